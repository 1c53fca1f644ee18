"""One look for every figure: sizes legible in print, colours that the colour-blind can tell apart; and whole tables."""

import io
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from dcmq.core.storage import atomic_write

# seaborn's colors for the color-blind, but for its pink and its yellow, which are faint on white and on a projector.
PALETTE = [
    "#332288" if i == 6 else "#999933" if i == 8 else c for i, c in enumerate(sns.color_palette("colorblind").as_hex())
]
MARKERS = "osD^vPX*"  # beside colour, so that a grey print still tells lines apart
SIZE = (6.4, 3.6)  # inches, of one panel; no text below 8 points at this size

# Without these two a figure's bytes change from run to run.
_REPEATABLE = {"svg.hashsalt": "dcmq", "savefig.bbox": "tight"}


def use_style() -> None:
    """Set the style for all figures that follow, and let tables show whole cells."""
    pd.set_option("display.max_colwidth", None)
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE, font_scale=1.15)
    mpl.rcParams |= {"figure.figsize": SIZE, "figure.dpi": 110, "savefig.dpi": 160, **_REPEATABLE}


def save(figure: plt.Figure, stem: Path | str) -> list[Path]:
    """Write ``figure`` to ``stem``.svg and ``stem``.png, and return both paths; the same figure gives the same bytes.

    Raises:
        DcmqError: the files cannot be written.
    """
    stem = Path(stem)
    paths = []
    # No date, and in the PNG no name of the matplotlib version that drew it.
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        content = io.BytesIO()
        with mpl.rc_context(_REPEATABLE):
            figure.savefig(content, format=suffix[1:], metadata=metadata)
        paths.append(stem.with_name(stem.name + suffix))
        atomic_write(paths[-1], content.getvalue())
    return paths

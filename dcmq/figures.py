"""One look for every figure: sizes legible in print, colours that the colour-blind can tell apart."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns


def use_style() -> None:
    """Set the style for all figures that follow."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=1.15)
    mpl.rcParams |= {"figure.dpi": 110, "savefig.dpi": 160, "savefig.bbox": "tight", "svg.hashsalt": "dcmq"}


def save(figure: plt.Figure, stem: Path) -> list[Path]:
    """Write ``stem``.svg and ``stem``.png; the same figure gives the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"))
    return [stem.with_suffix(".svg"), stem.with_suffix(".png")]

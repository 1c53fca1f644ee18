"""Figures that several studies draw; the look is that of :mod:`dcmq.reporting.figures`."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dcmq.reporting.figures import MARKERS
from dcmq.reporting.results import seed_means, select

DOTS = "filled i2t, hollow t2i;\na mark per seed, a bar their mean"
_BESIDE = 0.1  # half the width that the seeds of a variant take, where variants are 1 apart


def colors() -> list[str]:
    """The style's colours in order, as matplotlib takes them."""
    return plt.rcParams["axes.prop_cycle"].by_key()["color"]


def dots(axis: plt.Axes, rows: pd.DataFrame, label: str, by: str = "variant") -> None:
    """Draw a mark per seed and direction for each variant, filled i2t and hollow t2i, side by side, with a bar at their mean.

    Args:
        rows: results of one metric and one gallery.
        label: of the y axis.
    """
    names = list(dict.fromkeys(rows[by]))
    for i, name in enumerate(names):
        for shift, direction, style in ((-0.14, "i2t", "full"), (0.14, "t2i", "none")):
            values = rows[(rows[by] == name) & (rows.direction == direction)].value
            axis.hlines(
                values.mean(), i + shift - _BESIDE, i + shift + _BESIDE, colors()[i % len(colors())], linewidth=1
            )
            axis.plot(
                i + shift + _BESIDE * np.linspace(-0.6, 0.6, len(values)) if len(values) > 1 else [i + shift],
                values,
                MARKERS[i % len(MARKERS)],
                color=colors()[i % len(colors())],
                fillstyle=style,
                markersize=6,
            )
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set_xticks(range(len(names)), [wrapped(str(n)) for n in names])
    axis.set_ylabel(f"{label}, axis not from 0")
    axis.set_title(DOTS, fontsize=9)


def references(axis: plt.Axes, values: Mapping[str, float]) -> None:
    """Draw a dotted line for each of ``values``, with its name on it."""
    for name, value in values.items():
        axis.axhline(value, color="0.35", linestyle=":", linewidth=1.2, zorder=1)
        axis.annotate(
            name, (0.01, value), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8
        )
    axis.margins(y=0.1)


def wrapped(text: str, width: int = 14) -> str:
    """``text`` in lines of about ``width`` letters, broken between words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def lines(axis: plt.Axes, frame: pd.DataFrame, x: str, metric: str, label: str, by: str = "variant", **tags) -> None:
    """Draw the mean of both directions against column ``x``, with sd over seeds as bars; a line per value of ``by``."""
    names = list(dict.fromkeys(frame[by]))
    for i, name in enumerate(names):
        means = seed_means(frame[frame[by] == name], metric, by=x, **tags).sort_index(axis=1)
        axis.errorbar(
            means.columns,
            means.mean(),
            means.std(ddof=1).fillna(0) if len(means) > 1 else None,
            color=colors()[i % len(colors())],
            marker=MARKERS[i % len(MARKERS)],
            capsize=3,
            label=str(name),
        )
    axis.set_ylabel(label)


def bits_axis(axis: plt.Axes, frame: pd.DataFrame) -> None:
    """Make the x axis one of code lengths, as powers of two."""
    bits = sorted(frame.bits.unique())
    axis.set_xscale("log", base=2)
    axis.set_xticks(bits, [str(b) for b in bits])
    axis.set_xlabel("bits per item")


def line_styles(names: Sequence[str], reference: str = "") -> dict[str, dict]:
    """A color and a marker for the line of each name; that of ``reference`` is gray and dashed."""
    styles = {
        name: dict(color=colors()[i % len(colors())], marker=MARKERS[i % len(MARKERS)], markersize=4)
        for i, name in enumerate(name for name in names if name != reference)
    }
    return styles | ({reference: dict(color="0.35", linestyle="--")} if reference in names else {})


def curve(axis: plt.Axes, curves: pd.DataFrame, name: str, direction: str, reference: str = "") -> None:
    """Draw ``precision@N`` or ``recall@N`` against N, a line per variant and a band of one sd over seeds.

    The recall has a linear axis of N: below N = 100 it is near 0 whatever the method.
    """
    points = curves[(curves.curve == name) & (curves.direction == direction)]
    for variant, style in line_styles(list(dict.fromkeys(points.variant)), reference).items():
        per_seed = points[points.variant == variant].groupby(["seed", "n"]).value.mean().unstack("n")
        mean = per_seed.mean()
        axis.plot(mean.index, mean, label=variant, **style)
        if len(per_seed) > 1:
            sd = per_seed.std(ddof=1)
            axis.fill_between(mean.index, mean - sd, mean + sd, color=style["color"], alpha=0.2, linewidth=0)
    if name == "precision@N":
        axis.set_xscale("log")
    axis.set_xlabel("N items retrieved")
    axis.set_ylabel({"precision@N": "top-N precision", "recall@N": "recall@N"}[name])
    axis.set_title(
        "image query, gallery of texts" if direction == "i2t" else "text query, gallery of images", fontsize=9
    )


def curves_figure(curves: pd.DataFrame, reference: str = "") -> plt.Figure:
    """Top-N precision (above) and recall@N (below), a column per direction.

    Args:
        reference: the variant, if it is there, whose line is one to hold the others against.
    """
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 6.8), sharey="row")
    for row, name in zip(axes, ("precision@N", "recall@N"), strict=True):
        for axis, direction in zip(row, ("i2t", "t2i"), strict=True):
            curve(axis, curves, name, direction, reference)
    axes[0, 1].legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.02, 1))
    figure.tight_layout()
    return figure


def dots_figure(frame: pd.DataFrame, metrics: Sequence[tuple[str, str]], **tags) -> plt.Figure:
    """A panel of :func:`dots` for each (metric, its name on the axis)."""
    width = max(3.4, 1.1 * frame.variant.nunique() + 1)
    figure, axes = plt.subplots(1, len(metrics), figsize=(width * len(metrics), 3.6), squeeze=False)
    for axis, (metric, label) in zip(axes[0], metrics, strict=True):
        dots(axis, select(frame, metric, **tags), label)
    figure.tight_layout()
    return figure

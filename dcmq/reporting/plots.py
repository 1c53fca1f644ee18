"""Figures that several studies draw; the look is that of :mod:`dcmq.reporting.figures`."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dcmq.reporting.figures import MARKERS
from dcmq.reporting.results import select
from dcmq.reporting.verdicts import seed_means


def colors() -> list[str]:
    """The style's colours in order, as matplotlib takes them."""
    return plt.rcParams["axes.prop_cycle"].by_key()["color"]


def dots(axis: plt.Axes, rows: pd.DataFrame, label: str, by: str = "variant") -> None:
    """Draw a mark per seed and direction for each variant: filled i2t, hollow t2i.

    Args:
        rows: results of one metric and one gallery.
        label: of the y axis.
    """
    names = list(dict.fromkeys(rows[by]))
    for i, name in enumerate(names):
        for shift, direction, style in ((-0.14, "i2t", "full"), (0.14, "t2i", "none")):
            values = rows[(rows[by] == name) & (rows.direction == direction)].value
            axis.plot(
                np.full(len(values), i + shift),
                values,
                MARKERS[i % len(MARKERS)],
                color=colors()[i % len(colors())],
                fillstyle=style,
                markersize=6,
            )
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set_xticks(range(len(names)), [wrapped(str(n)) for n in names])
    axis.set_ylabel(label)
    axis.set_title("filled i2t, hollow t2i, a mark per seed", fontsize=9)


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


def curve(axis: plt.Axes, curves: pd.DataFrame, name: str, direction: str) -> None:
    """Draw ``precision@N`` or ``recall@N`` against N, a line per variant and a band of one sd over seeds."""
    points = curves[(curves.curve == name) & (curves.direction == direction)]
    for i, variant in enumerate(dict.fromkeys(points.variant)):
        per_seed = points[points.variant == variant].groupby(["seed", "n"]).value.mean().unstack("n")
        mean, color = per_seed.mean(), colors()[i % len(colors())]
        axis.plot(mean.index, mean, color=color, marker=MARKERS[i % len(MARKERS)], markersize=4, label=variant)
        if len(per_seed) > 1:
            sd = per_seed.std(ddof=1)
            axis.fill_between(mean.index, mean - sd, mean + sd, color=color, alpha=0.2, linewidth=0)
    axis.set_xscale("log")
    axis.set_xlabel("N items retrieved")
    axis.set_ylabel({"precision@N": "top-N precision", "recall@N": "recall@N"}[name])
    axis.set_title(
        "image query, gallery of texts" if direction == "i2t" else "text query, gallery of images", fontsize=9
    )


def curves_figure(curves: pd.DataFrame) -> plt.Figure:
    """Top-N precision (above) and recall@N (below), a column per direction."""
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 6.4), sharey="row")
    for row, name in zip(axes, ("precision@N", "recall@N"), strict=True):
        for axis, direction in zip(row, ("i2t", "t2i"), strict=True):
            curve(axis, curves, name, direction)
    axes[0, 1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
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

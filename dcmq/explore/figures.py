"""Static drawings of the map, the codebooks and the targets, as the widget shows them when one opens it."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_hex
from matplotlib.figure import Figure

from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.codebooks import usage_of
from dcmq.explore.items import KINDS
from dcmq.explore.map import NONE, Color, Kinds, Layout, colors, places, shown_rows
from dcmq.explore.targets import BINS, batch_of, histograms, target_of, teacher_of
from dcmq.explore.weights import codeword_weights, effective_number, fixed_noise, quantizing
from dcmq.reporting import plots
from dcmq.reporting.figures import use_style

_GREY = "#949494"  # of the palette: for what has no colour of its own


def map_figure(bench: Bench, kinds: Kinds | None = None, layout: Layout = "pca", color: Color | None = None) -> Figure:
    """The map under each shown ranker side by side.

    Args:
        kinds: images where there are any, else texts.
        color: class where there are labels, else hubness.

    Raises:
        DcmqError: there is no such value to colour by.
    """
    use_style()
    rankers, has = bench.shown_rankers, bench.items.has
    kinds = kinds or next(kind for kind in KINDS if has[kind].any())
    color = color or ("hubness" if bench.items.labels is None else "class")
    figure = Figure(figsize=(4.2 * len(rankers), 3.9), layout="constrained")
    axes = figure.subplots(1, len(rankers), squeeze=False)[0]
    images = len(shown_rows(bench, kinds).get("images", []))
    for axis, ranker in zip(axes, rankers, strict=True):
        points, shares = places(bench, ranker, kinds, layout)
        axis.set(xticks=[], yticks=[], aspect="equal", title=ranker.name)
        if shares:
            axis.set_xlabel(f"PCA: {shares[0]:.0%} and {shares[1]:.0%} of the variance", fontsize=8)
        legend, steps = colors(bench, ranker, kinds, color)
        for marker, part in (("o", slice(0, images)), ("x", slice(images, None))):
            style = dict(s=60 / max(1, len(points) / 400), marker=marker, linewidths=0.5)
            draw = _categories if "names" in legend else _measure
            draw(axis, points[part], steps[part], legend, style)
        if "names" not in legend:
            figure.colorbar(axis.collections[1], ax=axis, shrink=0.7).set_label(legend["title"], fontsize=8)
    if "names" in legend:
        marks = dict(zip(*reversed(axes[-1].get_legend_handles_labels()), strict=True))  # one for images and texts
        place = dict(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, title_fontsize=8)
        for mark in axes[-1].legend(marks.values(), marks, title=legend["title"], **place).legend_handles:
            mark.set_sizes([24])
    return figure


def _measure(axis: Axes, points: np.ndarray, steps: np.ndarray, legend: dict, style: dict) -> None:
    known, low, high = steps != NONE, legend["low"], legend["high"]
    axis.scatter(*points[~known].T, color=_GREY, **style)
    order = np.argsort(steps[known], kind="stable")  # the highest on top
    values = low + steps[known][order] / (NONE - 1) * (high - low)
    axis.scatter(*points[known][order].T, c=values, cmap="viridis", vmin=low, vmax=high, **style)


def _categories(axis: Axes, points: np.ndarray, steps: np.ndarray, legend: dict, style: dict) -> None:
    palette = [color for color in plots.colors() if to_hex(color) != _GREY]
    for c, (name, color) in enumerate(zip(legend["names"], palette, strict=False)):
        if (steps == c).any():
            axis.scatter(*points[steps == c].T, color=color, label=name, **style)
    other = steps >= len(palette)
    if other.any():
        axis.scatter(*points[other].T, color=_GREY, label="others", zorder=0.5, **style)


def codebooks_figure(bench: Bench) -> Figure:
    """Heat maps of the usage of codewords, a column for each shown ranker with codes and a line for images and for texts,
    on one scale. Raises DcmqError where no shown ranker has codes."""
    use_style()
    rankers = [ranker for ranker in bench.shown_rankers if ranker.codebooks is not None]
    if not rankers:
        raise DcmqError("codebooks: none of the rankers shown has codes; choose a student")
    usages = [usage_of(bench, ranker) for ranker in rankers]
    figure = Figure(figsize=(4.4 * len(rankers), 2.1 * len(usages[0])), layout="constrained")
    axes = figure.subplots(len(usages[0]), len(rankers), squeeze=False)
    shares = {}
    for column, usage in enumerate(usages):
        for line, (kind, summary) in enumerate(usage.items()):
            counts = summary["counts"].numpy()
            shares[line, column] = counts * counts.shape[1] / counts[0].sum()
            title = f"{kind}: entropy {summary['mean_entropy']:.3f}, {summary['dead']} dead"
            axes[line, column].set_title(f"{rankers[column].name}\n{title}" if not line else title, fontsize=9)
    most = max(share.max() for share in shares.values())
    for (line, column), share in shares.items():
        axis = axes[line, column]
        drawn = axis.imshow(share, aspect="auto", cmap="viridis", norm=PowerNorm(0.5, 0, most), interpolation="nearest")
        dead = np.argwhere(share == 0)
        axis.plot(dead[:, 1], dead[:, 0], "x", color="white", markersize=4, markeredgewidth=1)
        axis.grid(False)
        axis.set(xlabel="codeword" if line == len(usages[0]) - 1 else None, ylabel="codebook" if not column else None)
    figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02).set_label(
        "items, in fair shares (\N{MULTIPLICATION X}: dead)", fontsize=8
    )
    return figure


def targets_figure(bench: Bench) -> Figure:
    """The similarities of a training batch before and after NPC, the target of its first image, and the codewords' weights of
    that image; all settings as the method has them. Raises DcmqError where there is no teacher or no training item."""
    use_style()
    settings, teacher = TrainConfig(), teacher_of(bench)
    batch = batch_of(bench, teacher, settings.batch_size, seed=0)
    after = target_of(batch, settings.target, settings.npc_scope, None)
    ranker = quantizing(bench)
    figure = Figure(figsize=(9.6, 2.7 if ranker is None else 5), layout="constrained")
    top = figure if ranker is None else figure.subfigures(2, 1)[0]
    axes = top.subplots(1, 3)
    for axis, matrix, title in zip(
        axes, (batch.similarity, after), (f"{teacher.name}, cosines", "with NPC"), strict=False
    ):
        shares, edges = histograms(matrix, batch.relevant, -1, 1), np.linspace(-1, 1, BINS + 1)
        for i, label in enumerate(("share a label", "share none")):
            style = dict(color=plots.colors()[i], linestyle=("-", "--")[i], label=label)
            axis.stairs(shares[i].numpy(), edges, linewidth=1.6, **style)
        axis.set(title=title, xlabel="similarity", ylabel="share of pairs" if axis is axes[0] else None)
    axes[0].legend(fontsize=8)
    _target(axes[2], torch.softmax(after[0] / settings.tau, 0), batch.relevant[0])
    if ranker is not None:
        _weights(figure.subfigs[1], bench, ranker, int(batch.rows[0]), settings)
    return figure


def _target(axis: Axes, target, relevant) -> None:
    order = target.argsort(descending=True, stable=True)[:60]
    ranks = np.arange(1, len(order) + 1)
    for i, mask in enumerate((relevant[order], ~relevant[order])):
        color = plots.colors()[i]
        axis.bar(ranks[mask], target[order][mask], color=color, hatch=("", "////")[i], edgecolor="white", linewidth=0)
    axis.set(title=f"target of an image: {effective_number(target):.0f} texts", xlabel="text, the largest share first")


def _weights(part, bench: Bench, ranker, row: int, settings: TrainConfig) -> None:
    student, codebooks = settings.student, ranker.codebooks
    names = ("tau_q", "tau_g", "gumbel_weight")
    weights = codeword_weights(
        ranker.embeddings["images"][row],
        codebooks,
        fixed_noise(*codebooks.shape[:2], seed=0),
        form=student.gumbel_form,
        **{name: getattr(student, name) for name in names},
    )
    axes = part.subplots(1, 3, sharey=True)
    titles = (f"{ranker.name}: weights, Eq. 4", "Gumbel, Eq. 5", "both, Eq. 2")
    for axis, matrix, title in zip(axes, weights, titles, strict=True):
        drawn = axis.imshow(
            matrix, aspect="auto", cmap="viridis", vmin=0, vmax=max(1, matrix.max()), interpolation="nearest"
        )
        axis.plot(
            matrix.argmax(1), np.arange(len(matrix)), "s", markerfacecolor="none", markeredgecolor="white", markersize=5
        )
        axis.grid(False)
        axis.set(title=title, xlabel="codeword", ylabel="codebook" if axis is axes[0] else None)
        part.colorbar(drawn, ax=axis)

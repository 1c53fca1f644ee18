"""Static drawings of the search and the failures, and the image and line that stand for the widget where none can live."""

import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.failures import precision_points, query_precisions
from dcmq.explore.search import query_ranking
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS, use_style
from dcmq.reporting.gallery import RIGHT, WRONG

_ACROSS, _LINES = 6, 2  # tiles of each ranker in the drawing of a search
_DPI, _COLORS = 72, 96  # several drawings stand in a notebook, which is to stay small


def query_text(bench: Bench) -> str:
    """The query in words: in quotation marks if it is words, else which item's image or text it is."""
    query = bench.query
    if query["kind"] == "words":
        return f"\N{LEFT DOUBLE QUOTATION MARK}{query['text']}\N{RIGHT DOUBLE QUOTATION MARK}"
    return f"{query['kind']} {bench.items.ids[query['row']]}"


def state_text(bench: Bench, view: str) -> str:
    """A line on what is shown, the same for the same state."""
    rankers = " and ".join(ranker.name for ranker in bench.shown_rankers)
    return f"Explorer of {bench.items.name}, {len(bench.items):,} items: {view}, {query_text(bench)} in {bench.gallery}, {rankers}"


def png(figure: Figure) -> bytes:
    """The figure as PNG of a palette; the same figure gives the same bytes. Pyplot forgets it, so that none shows it twice."""
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return content.getvalue()


def view_png(bench: Bench, figure: Callable[[Bench], Figure]) -> bytes:
    """The drawing of a view as PNG; where there is none of this state, the line that says why."""
    try:
        return png(figure(bench))
    except DcmqError as error:
        empty = Figure(figsize=(8, 0.6))
        empty.text(0.01, 0.5, str(error), va="center", fontsize=9)
        return png(empty)


def search_figure(bench: Bench) -> Figure:
    """The first items under each shown ranker, side by side, with marks where it is known what is relevant."""
    use_style()
    rankers = bench.shown_rankers
    figure = Figure(figsize=(1.05 * _ACROSS * len(rankers), 1.3 * _LINES + 0.8), layout="constrained")
    figure.suptitle(f"{query_text(bench)}: the first {bench.gallery}", fontsize=10)
    parts = np.atleast_1d(figure.subfigures(1, len(rankers), wspace=0.04))
    for part, ranker in zip(parts, rankers, strict=True):
        axes = part.subplots(_LINES, _ACROSS).flat
        for axis in axes:
            axis.axis("off")
        try:
            ranking = query_ranking(bench, ranker)
        except DcmqError as error:
            part.suptitle(f"{ranker.name}: {plots.wrapped(str(error), 50)}", fontsize=8)
            continue
        part.suptitle(ranker.name, fontsize=9)
        relevant = bench.relevant(ranking.rows[: len(axes)])
        for i, (axis, row) in enumerate(zip(part.axes, ranking.rows[: len(part.axes)].tolist(), strict=False)):
            _tile(axis, bench, row, f"{ranking.scores[i]:.2f}", None if relevant is None else bool(relevant[i]))
    return figure


def failures_figure(bench: Bench) -> Figure:
    """The spread of the queries' AP under each shown ranker, and the precision curve of the bench's query."""
    use_style()
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    spread, curve = figure.subplots(1, 2)
    for i, ranker in enumerate(bench.shown_rankers):
        style = dict(color=plots.colors()[i], label=ranker.name)
        precisions = np.sort(query_precisions(bench, ranker))
        every = max(1, len(precisions) // 6)
        spread.plot(np.linspace(0, 1, len(precisions)), precisions, marker=MARKERS[i], markevery=every, **style)
        relevant = bench.relevant(query_ranking(bench, ranker).rows)
        if relevant is not None:
            curve.plot(*precision_points(relevant), marker=MARKERS[i], markevery=20, **style)
    spread.set(xlabel="share of queries, worst first", ylabel="AP", ylim=(0, 1.02))
    curve.set(xlabel="rank", ylabel="precision", ylim=(0, 1.02), xscale="log")
    curve.set_title(query_text(bench), fontsize=9)
    spread.legend(fontsize=8)
    return figure


def _tile(axis: Axes, bench: Bench, row: int, score: str, relevant: bool | None) -> None:
    """The image of a row, or its text, under its score."""
    axis.axis("on")
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    if bench.gallery == "images":
        image = bench.items.image(row)
        axis.imshow(np.full((8, 8, 3), 204, np.uint8) if image is None else np.asarray(image))
    else:
        words = plots.wrapped(bench.items.text(row), 13).splitlines()
        axis.text(0.04, 0.96, "\n".join(words[:6]), va="top", fontsize=6.5, transform=axis.transAxes)
    mark = {None: "", True: f"{RIGHT} ", False: f"{WRONG} "}[relevant]
    axis.set_title(mark + score, fontsize=8, fontfamily="DejaVu Sans", pad=2)
    color = "0.5" if relevant is None else plots.colors()[0 if relevant else 1]
    for side in axis.spines.values():
        side.set(color=color, linewidth=2, visible=True, linestyle="--" if relevant is False else "-")

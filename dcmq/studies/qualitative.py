"""Fig. 6: the first results of a few queries, right and wrong."""

import math
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.runs import trained_student
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.gallery import RIGHT, WRONG, labels_of, search, show_image, text_of
from dcmq.reporting.verdicts import Verdict
from dcmq.teachers.base import TeacherEmbeddings

Rankings = dict[str, tuple[np.ndarray, np.ndarray]]  # by direction: rows and hits of the first results of every query


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; the first of ``seeds`` draws the queries and trains the student."""

    notebook: ClassVar[str] = "qualitative"
    item: ClassVar[str] = "Fig. 6"
    title: ClassVar[str] = "What is found, right and wrong?"
    claim: ClassVar[str] = "The first results of DCMQ share the query's concepts."

    seeds: str = "0"
    bits: int = Field(64, gt=0)
    queries: int = Field(4, ge=1)
    top: int = Field(5, ge=1)

    def runs(self) -> list[PlannedRun]:
        """The run of the one student."""
        return [self.run(Variant("DCMQ", {"target": "npc"}), self.bits, self.seed_list[0])]

    def query_places(self, data: RetrievalDataset) -> np.ndarray:
        """The queries that are shown, as places in ``data.split.query``: drawn by the seed, not by what they retrieve."""
        places = np.random.default_rng(self.seed_list[0]).permutation(len(data.split.query))
        return np.sort(places[: self.queries])


def rankings(p: Parameters, data: RetrievalDataset, teacher: TeacherEmbeddings) -> Rankings:
    """The first ``p.top`` results of every query in both directions, as :func:`dcmq.reporting.gallery.search` gives them.

    Raises:
        DcmqError: more results wanted than the gallery holds.
    """
    if p.top > len(data.split.gallery):
        raise DcmqError(f"top is {p.top}, the gallery holds {len(data.split.gallery)} items; ask for fewer")
    student = trained_student(p.plan()[0].config, data, teacher)
    return {direction: search(student, data, direction, p.top) for direction in ("t2i", "i2t")}


def table(p: Parameters, data: RetrievalDataset, rankings: Rankings) -> pd.DataFrame:
    """Precision among the first ``top`` results, per direction: of each query shown, of these, of all, and by chance."""
    places = p.query_places(data)
    names = [f"{n}. holds {labels_of(data, row)}" for n, row in enumerate(data.split.query[places], 1)]
    names += [f"the {len(places)} shown", f"all {len(data.split.query)} queries", "a random ranking"]
    columns = {}
    for direction, (_, hits) in rankings.items():
        precision = hits.mean(1)
        values = [*precision[places], precision[places].mean(), precision.mean(), data.chance()]
        columns[f"precision@{p.top} {direction}"] = [f"{value:.3f}" for value in values]
    return pd.DataFrame(columns, index=pd.Index(names, name="query"))


def typical(p: Parameters, data: RetrievalDataset, rankings: Rankings) -> list[str]:
    """A line per direction on how far the shown queries lie from all, in standard deviations of such a draw."""
    lines, places = [], p.query_places(data)
    for direction, (_, hits) in rankings.items():
        precision = hits.mean(1)
        gap, n, m = precision[places].mean() - precision.mean(), len(precision), len(places)
        sd = precision.std() * math.sqrt((n - m) / max(n - 1, 1) / m)  # drawn without replacement
        distance = f"{gap / sd:+.1f} sd" if sd else f"{gap:+.3f}"
        lines.append(f"{direction}: the shown queries lie {distance} of a random draw of {m} from the mean of all")
    return lines


def verdicts(p: Parameters, data: RetrievalDataset, rankings: Rankings) -> list[Verdict]:
    """A verdict per direction on most of the first results being right, over all queries of the one student."""
    verdicts = []
    for direction, (_, hits) in rankings.items():
        share = hits.mean()
        word = "holds" if share > 0.5 else "does not hold"
        detail = (
            f"{share:.0%} of the first {p.top} share a label with the query, by chance {data.chance():.0%}; one student"
        )
        verdicts.append(Verdict(f"{direction}: most of the first results share a label", word, detail))
    return verdicts


def images_figure(p: Parameters, data: RetrievalDataset, rankings: Rankings) -> plt.Figure:
    """Text queries, a row each: the query, and its first images, with the labels that they share with it."""
    rows, hits = rankings["t2i"]
    places = p.query_places(data)
    size, widths = (1.7 + 1.35 * p.top, 1.75 * len(places)), [1.25] + [1] * p.top
    fig, axes = plt.subplots(len(places), p.top + 1, figsize=size, squeeze=False, width_ratios=widths)
    for number, (line, query) in enumerate(zip(axes, places, strict=True), 1):
        row = data.split.query[query]
        text = plots.wrapped(
            f"{number}. \N{LEFT DOUBLE QUOTATION MARK}{text_of(data, row)}\N{RIGHT DOUBLE QUOTATION MARK}", 18
        )
        line[0].text(0, 0.54, text, va="bottom", fontsize=10)
        line[0].text(0, 0.46, _labels(data, row, 20), va="top", fontsize=9, color="0.3")
        line[0].axis("off")
        for place, axis in enumerate(line[1:]):
            show_image(axis, data, rows[query, place], bool(hits[query, place]))
            axis.set_xlabel(plots.wrapped(labels_of(data, row, rows[query, place]), 24), fontsize=9, color="0.3")
    fig.tight_layout()
    return fig


def texts_figure(p: Parameters, data: RetrievalDataset, rankings: Rankings) -> plt.Figure:
    """Image queries, a row each: the query, and its first texts, with the labels that they share with it."""
    rows, hits = rankings["i2t"]
    places = p.query_places(data)
    size = 8.6, max(1.8, 0.3 * p.top) * len(places)
    fig, axes = plt.subplots(len(places), 3, figsize=size, squeeze=False, width_ratios=[1, 1.2, 3.8])
    for number, ((left, middle, right), query) in enumerate(zip(axes, places, strict=True), 1):
        row = data.split.query[query]
        show_image(left, data, row)
        middle.text(0, 0.98, f"{number}.", va="top", fontsize=10)
        middle.text(0, 0.02, _labels(data, row, 18), va="bottom", fontsize=9, color="0.3")
        for place, (item, hit) in enumerate(zip(rows[query], hits[query], strict=True)):
            height = 1 - (place + 0.5) / p.top
            mark, color = (RIGHT, plots.colors()[2]) if hit else (WRONG, plots.colors()[1])
            right.text(0, height, mark, va="center", color=color, fontsize=12, fontfamily="DejaVu Sans")
            shared = f"   [{labels_of(data, row, item)}]" if hit else ""
            right.text(0.05, height, text_of(data, item) + shared, va="center", fontsize=10)
        middle.axis("off")
        right.axis("off")
    fig.subplots_adjust(wspace=0.08, hspace=0.15)  # no tight layout: long texts would take the images' room
    return fig


def _labels(data: RetrievalDataset, row: int, width: int) -> str:
    return plots.wrapped(f"holds {labels_of(data, row)}", width)

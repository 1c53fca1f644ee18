"""Fig. 6: what is found, right and wrong."""

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
from dcmq.experiments.study import TrainingStudy
from dcmq.reporting import plots
from dcmq.reporting.gallery import RIGHT, WRONG, names_of, search, show_image, text_of
from dcmq.reporting.verdicts import Verdict
from dcmq.teachers.base import TeacherEmbeddings

Found = dict[str, tuple[np.ndarray, np.ndarray]]  # by direction: rows and hits of the first results of every query


class Parameters(TrainingStudy):
    """What the notebook may be asked; the first of ``seeds`` draws the queries and trains the student."""

    notebook: ClassVar[str] = "qualitative"
    item: ClassVar[str] = "Fig. 6"
    title: ClassVar[str] = "What is found, right and wrong?"
    claim: ClassVar[str] = "The first results of DCMQ share the query's concepts."

    bits: int = Field(gt=0)
    queries: int = Field(ge=1)
    top: int = Field(ge=1)

    def plan(self) -> list[PlannedRun]:
        """The one student."""
        return [self.run(Variant("DCMQ", {"target": "npc"}), self.bits, self.seed_list[0])]

    def chosen(self, data: RetrievalDataset) -> np.ndarray:
        """Which queries are shown, as places in ``data.split.query``: drawn by the seed, not by what they retrieve."""
        drawn = np.random.default_rng(self.seed_list[0]).permutation(len(data.split.query))
        return np.sort(drawn[: self.queries])


def rankings(p: Parameters, data: RetrievalDataset, teacher: TeacherEmbeddings) -> Found:
    """The first ``p.top`` results of every query in both directions, see :func:`dcmq.reporting.gallery.search`.

    Raises:
        DcmqError: more results wanted than the gallery holds.
    """
    if p.top > len(data.split.gallery):
        raise DcmqError(f"top is {p.top}, the gallery holds {len(data.split.gallery)} items; ask for fewer")
    student = trained_student(p.plan()[0].config, data, teacher)
    return {direction: search(student, data, direction, p.top) for direction in ("t2i", "i2t")}


def table(p: Parameters, data: RetrievalDataset, found: Found) -> pd.DataFrame:
    """Precision among the first ``top`` results, per direction: of each query shown, of these, of all, and by chance."""
    chosen = p.chosen(data)
    names = [f"{n}. holds {names_of(data, row)}" for n, row in enumerate(data.split.query[chosen], 1)]
    names += [f"the {len(chosen)} shown", f"all {len(data.split.query)} queries", "a random ranking"]
    columns = {}
    for direction, (_, hits) in found.items():
        each = hits.mean(1)
        values = [*each[chosen], each[chosen].mean(), each.mean(), data.chance()]
        columns[f"precision@{p.top} {direction}"] = [f"{value:.3f}" for value in values]
    return pd.DataFrame(columns, index=pd.Index(names, name="query"))


def typical(p: Parameters, data: RetrievalDataset, found: Found) -> list[str]:
    """How far the shown queries lie from all, in standard deviations of such a draw: a line per direction."""
    told, chosen = [], p.chosen(data)
    for direction, (_, hits) in found.items():
        each = hits.mean(1)
        away, n = each[chosen].mean() - each.mean(), len(each)
        sd = each.std() * math.sqrt((n - len(chosen)) / max(n - 1, 1) / len(chosen))  # drawn without replacement
        size = f"{away / sd:+.1f} sd" if sd else f"{away:+.3f}"
        told.append(f"{direction}: the shown queries lie {size} of a random draw of {len(chosen)} from the mean of all")
    return told


def verdicts(p: Parameters, data: RetrievalDataset, found: Found) -> list[Verdict]:
    """Whether most of the first results are right, over all queries of the one student."""
    result = []
    for direction, (_, hits) in found.items():
        share = hits.mean()
        word = "holds" if share > 0.5 else "does not hold"
        detail = (
            f"{share:.0%} of the first {p.top} share a label with the query, by chance {data.chance():.0%}; one student"
        )
        result.append(Verdict(f"{direction}: most of the first results share a label", word, detail))
    return result


def images_figure(p: Parameters, data: RetrievalDataset, found: Found) -> plt.Figure:
    """Text queries, a row each: what was asked, and the first pictures, with the labels shared."""
    rows, hits = found["t2i"]
    chosen = p.chosen(data)
    size, widths = (2.2 + 1.5 * p.top, 1.95 * len(chosen)), [1.6] + [1] * p.top
    drawn, axes = plt.subplots(len(chosen), p.top + 1, figsize=size, squeeze=False, width_ratios=widths)
    for number, (line, query) in enumerate(zip(axes, chosen, strict=True), 1):
        row = data.split.query[query]
        said = plots.wrapped(
            f"{number}. \N{LEFT DOUBLE QUOTATION MARK}{text_of(data, row)}\N{RIGHT DOUBLE QUOTATION MARK}", 22
        )
        line[0].text(0, 0.98, said, va="top", fontsize=10)
        line[0].text(0, 0.02, _labels(data, row), va="bottom", fontsize=9, color="0.3")
        line[0].axis("off")
        for place, axis in enumerate(line[1:]):
            show_image(axis, data, rows[query, place], bool(hits[query, place]))
            axis.set_xlabel(plots.wrapped(_shared(data, row, rows[query, place]), 24), fontsize=9, color="0.3")
    drawn.tight_layout()
    return drawn


def texts_figure(p: Parameters, data: RetrievalDataset, found: Found) -> plt.Figure:
    """Picture queries, a row each: the picture, and the first texts, with the labels shared."""
    rows, hits = found["i2t"]
    chosen = p.chosen(data)
    size = 8.6, max(1.8, 0.3 * p.top) * len(chosen)
    drawn, axes = plt.subplots(len(chosen), 3, figsize=size, squeeze=False, width_ratios=[1, 1.2, 3.8])
    for number, ((left, middle, right), query) in enumerate(zip(axes, chosen, strict=True), 1):
        row = data.split.query[query]
        show_image(left, data, row)
        middle.text(0, 0.98, f"{number}.", va="top", fontsize=10)
        middle.text(0, 0.02, _labels(data, row, 18), va="bottom", fontsize=9, color="0.3")
        for place, (item, hit) in enumerate(zip(rows[query], hits[query], strict=True)):
            height = 1 - (place + 0.5) / p.top
            mark, colour = (RIGHT, plots.colours()[2]) if hit else (WRONG, plots.colours()[1])
            right.text(0, height, mark, va="center", color=colour, fontsize=12, fontfamily="DejaVu Sans")
            why = f"   [{_shared(data, row, item)}]" if hit else ""
            right.text(0.05, height, text_of(data, item) + why, va="center", fontsize=10)
        middle.axis("off")
        right.axis("off")
    drawn.subplots_adjust(wspace=0.08, hspace=0.15)  # no tight layout: long texts would take the pictures' room
    return drawn


def _labels(data: RetrievalDataset, row: int, width: int = 24) -> str:
    return plots.wrapped(f"holds {names_of(data, row)}", width)


def _shared(data: RetrievalDataset, row: int, other: int) -> str:
    return ", ".join(data.classes[c] for c in np.flatnonzero(data.labels[row] & data.labels[other]))

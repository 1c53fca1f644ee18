"""Fig. 6: what is found, right and wrong."""

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments import trained_student
from dcmq.studies import plots
from dcmq.studies.base import Run, TrainingStudy, Variant
from dcmq.studies.gallery import RIGHT, WRONG, names_of, search, show_picture, text_of
from dcmq.studies.results import Verdict
from dcmq.teachers.base import TeacherEmbeddings


class Parameters(TrainingStudy):
    """What the notebook may be asked; the first of ``seeds`` draws the queries and trains the student."""

    notebook: ClassVar[str] = "qualitative"
    item: ClassVar[str] = "Fig. 6"
    title: ClassVar[str] = "What is found, right and wrong?"
    claim: ClassVar[str] = "The first results of DCMQ share the query's concepts."

    bits: int = Field(gt=0)
    queries: int = Field(ge=1)
    top: int = Field(ge=1)

    def plan(self) -> list[Run]:
        """The one student."""
        return [self.run(Variant("DCMQ", {"target": "npc"}), self.bits, self.seed_list[0])]

    def chosen(self, data: RetrievalDataset) -> np.ndarray:
        """Which queries are shown: drawn by the seed, before anything is retrieved."""
        drawn = np.random.default_rng(self.seed_list[0]).permutation(len(data.split.query))
        return np.sort(drawn[: self.queries])


def rankings(p: Parameters, data: RetrievalDataset, teacher: TeacherEmbeddings) -> dict[str, tuple]:
    """Per direction the ranked rows and hits of :func:`dcmq.studies.gallery.search`."""
    student = trained_student(p.plan()[0].config, data, teacher)
    return {direction: search(student, data, direction) for direction in ("t2i", "i2t")}


def table(p: Parameters, data: RetrievalDataset, found: dict[str, tuple]) -> pd.DataFrame:
    """Precision among the first ``top``: of the queries shown, of all queries, and by chance."""
    rows = {}
    for direction, (_, hits) in found.items():
        first = hits[:, : p.top]
        rows[direction] = {
            f"shown ({len(p.chosen(data))})": f"{first[p.chosen(data)].mean():.3f}",
            "all queries": f"{first.mean():.3f}",
            "chance": f"{data.chance():.3f}",
        }
    return pd.DataFrame(rows).T.rename_axis(f"precision@{p.top}")


def verdicts(p: Parameters, data: RetrievalDataset, found: dict[str, tuple]) -> list[Verdict]:
    """Whether most of the first results are right, over all queries."""
    result = []
    for direction, (_, hits) in found.items():
        share = hits[:, : p.top].mean()
        word = "holds" if share > 0.5 else "does not hold"
        detail = f"{share:.0%} of the first {p.top} share a label with the query, chance {data.chance():.0%}"
        result.append(Verdict(f"{direction}: most of the first results share a label", word, detail))
    return result


def pictures_figure(p: Parameters, data: RetrievalDataset, found: dict[str, tuple]) -> plt.Figure:
    """Text queries, a row each: what was asked, and the first pictures."""
    rows, hits = found["t2i"]
    chosen = p.chosen(data)
    drawn, axes = plt.subplots(
        len(chosen),
        p.top + 1,
        figsize=(2.2 + 1.5 * p.top, 1.75 * len(chosen)),
        squeeze=False,
        width_ratios=[1.6] + [1] * p.top,
    )
    for line, query in zip(axes, chosen, strict=True):
        said = text_of(data, data.split.query[query])
        line[0].text(
            0,
            0.5,
            plots.wrapped(f"\N{LEFT DOUBLE QUOTATION MARK}{said}\N{RIGHT DOUBLE QUOTATION MARK}", 22),
            va="center",
            fontsize=9,
        )
        names = plots.wrapped(f"holds {names_of(data, data.split.query[query])}", 26)
        line[0].text(0, 0.02, names, va="bottom", fontsize=8, color="0.35")
        line[0].axis("off")
        for place, axis in enumerate(line[1:]):
            show_picture(axis, data, rows[query, place], bool(hits[query, place]))
    drawn.tight_layout()
    return drawn


def texts_figure(p: Parameters, data: RetrievalDataset, found: dict[str, tuple]) -> plt.Figure:
    """Picture queries, a row each: the picture, and the first texts."""
    rows, hits = found["i2t"]
    chosen = p.chosen(data)
    drawn, axes = plt.subplots(len(chosen), 2, figsize=(8.6, 1.75 * len(chosen)), squeeze=False, width_ratios=[1, 4.4])
    for (left, right), query in zip(axes, chosen, strict=True):
        show_picture(left, data, data.split.query[query])
        left.set_xlabel(f"holds {names_of(data, data.split.query[query])}", fontsize=8, color="0.35")
        right.axis("off")
        for place in range(p.top):
            hit = bool(hits[query, place])
            height = 1 - (place + 0.5) / p.top
            colour = plots.colours()[2 if hit else 1]
            mark = RIGHT if hit else WRONG
            right.text(
                0,
                height,
                mark,
                va="center",
                color=colour,
                fontsize=11,
                fontfamily="DejaVu Sans",
                transform=right.transAxes,
            )
            right.text(
                0.05, height, text_of(data, rows[query, place]), va="center", fontsize=9, transform=right.transAxes
            )
    drawn.tight_layout()
    return drawn

"""What codebooks lose between modalities: trained on images, on texts or on both, shared or a set for each."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import AfterValidator

from dcmq.config import StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.methods.controls import TEXTS
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.results import METRICS, results_frame, select, table
from dcmq.reporting.verdicts import Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS, INTRA
from dcmq.teachers.base import TeacherEmbeddings

SHARED, APART = "DCMQ, shared codebooks", "DCMQ, codebooks per modality"
IMAGES, WORDS, BOTH, RABITQ = "OPQ of images", "OPQ of texts", "OPQ of both", "RaBitQ"
CONTROLS = {
    IMAGES: "teacher-OPQ(images)",
    WORDS: "teacher-OPQ(texts)",
    BOTH: "teacher-OPQ",
    RABITQ: "teacher-RaBitQ",
}
ALL_DIRECTIONS = (*DIRECTIONS, *INTRA)


def _known_texts(text: str) -> str:
    for kind in comma_list(text, str):
        if kind not in TEXTS:
            raise DcmqError(f"texts: {kind!r} is not known (known: {', '.join(TEXTS)})")
    return text


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``bits`` and ``texts``, what the frozen teacher reads, are comma-separated lists."""

    notebook: ClassVar[str] = "modality_gap"
    item: ClassVar[str] = "§3.3"
    title: ClassVar[str] = "The modality gap of codebooks"
    claim: ClassVar[str] = (
        "One set of codebooks serves images and texts; the paper shares it between them and measures no other way."
    )

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: str = "32,64,128"
    texts: Annotated[str, AfterValidator(_known_texts)] = "labels"

    def name_words(self) -> dict[str, str]:
        """As other studies have them, and what the teacher reads where that is not label sentences alone."""
        texts = "-".join(comma_list(self.texts, str))
        return super().name_words() | {"texts": texts if texts != "labels" else ""}

    def control(self, row: str, text: str) -> Variant:
        """A row of the frozen teacher; its name says what it reads, where that is no label sentence."""
        name = row if text == "labels" else f"{row}, reads {text}"
        return Variant(name, method=f"{CONTROLS[row]}-{text}")

    def variants(self) -> list[Variant]:
        """The rows that exist at every code length: OPQ of the frozen teacher, and DCMQ."""
        controls = [self.control(row, text) for text in comma_list(self.texts, str) for row in (IMAGES, WORDS, BOTH)]
        return [*controls, Variant(SHARED), Variant(APART, {"codebooks": "per-modality"})]

    def runs(self) -> list[PlannedRun]:
        """All rows at each length; and at the longest alone RaBitQ, whose length is that of the teacher's vectors."""
        longest = max(self.bit_list)
        rabitq = [self.control(RABITQ, text) for text in comma_list(self.texts, str)]
        return super().runs() + [self.run(variant, longest, seed) for variant in rabitq for seed in self.seed_list]


def all_directions(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """:func:`dcmq.reporting.results.results_frame` with the directions within one modality, which are on the judged gallery."""
    rows = []
    for run, record in zip(plan, records, strict=True):
        common = {"variant": run.variant, "seed": run.config.seed, **run.tags}
        data = record.get("dataset", {}).get("fingerprint", "")
        for direction in INTRA:
            for gallery, metrics in record["evaluation"][direction].items():
                for metric, value in metrics.items():
                    named = METRICS[0] if metric.endswith("(hits)") else metric
                    row = common | dict(direction=direction, gallery=gallery, metric=named, value=value)
                    rows.append(row | {"data": data, "queries": None})
    return pd.concat([results_frame(plan, records), pd.DataFrame(rows)], ignore_index=True)


def gap_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean within a modality less the mean across modalities, on the judged gallery: a row per variant, a column per length.

    Args:
        frame: as :func:`all_directions` gives it.
    """
    rows = select(frame, metric)
    kind = np.where(rows.direction.isin(INTRA), "within", "across")
    means = rows.groupby(["variant", "bits", "seed", kind], sort=False).value.mean().unstack()
    gaps = (means.within - means.across).rename("value").reset_index()
    return table(gaps, columns=["bits"])


def own_pair_table(plan: Sequence[PlannedRun], records: Sequence[dict], bits: int) -> pd.DataFrame:
    """Recall of a query's own other half among those of all queries, at 1, 5 and 10: mean ± sd over seeds, a row per variant."""
    rows = [
        {"variant": run.variant, "metric": f"recall@{k}", "direction": direction, "value": value}
        for run, record in zip(plan, records, strict=True)
        if run.tags["bits"] == bits
        for direction in DIRECTIONS
        for k, value in record["evaluation"][direction]["own pair"].items()
    ]
    return table(pd.DataFrame(rows))


def sizes_table(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """Bytes of an item at each length, and at the longest the numbers that were learnt, and how many of them are codewords of
    DCMQ: a row per variant. A set for each modality is twice the codewords; RaBitQ stores two floats with an item's signs."""
    longest, rows = max(run.tags["bits"] for run in plan), {}
    for run, record in zip(plan, records, strict=True):
        row = rows.setdefault(run.variant, {"bytes per item": {}, "numbers learnt": "", "of them codewords": ""})
        row["bytes per item"][f"{record['bytes_per_item']:g}"] = None
        if run.tags["bits"] == longest:
            row["numbers learnt"] = f"{record['student_parameters']:,}"
            if isinstance(run.config.student, StudentConfig):
                row["of them codewords"] = f"{codeword_numbers(run.config.student):,}"
    return pd.DataFrame(
        {name: row | {"bytes per item": ", ".join(row["bytes per item"])} for name, row in rows.items()}
    ).T


def codeword_numbers(student: StudentConfig) -> int:
    """The count of numbers in the codewords of a student."""
    sets = 1 if student.codebooks == "shared" else 2
    return sets * student.num_codebooks * student.num_codewords * student.subvector_dim


def gap_text(embeddings: TeacherEmbeddings, rows: np.ndarray) -> str:
    """A line on the teacher's own modality gap (Liang and others, NeurIPS 2022): how far the mean of its image vectors is from
    that of its text vectors, against how far vectors are from their own modality's mean."""
    image, text = embeddings.image[rows], embeddings.text[rows]
    gap = (image.mean(0) - text.mean(0)).norm().item()
    spread = [(part - part.mean(0)).norm(dim=1).mean().item() for part in (image, text)]
    return (
        f"means of image and text vectors are {gap:.3f} apart; vectors are {spread[0]:.3f} (images) and {spread[1]:.3f} (texts) "
        "from the mean of their own modality"
    )


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """At each length: OPQ of both against OPQ of one modality, and DCMQ's shared codebooks against a set for each, all across
    modalities.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    names, claims = list(dict.fromkeys(frame.variant)), []
    pairs = [(name, name.replace(BOTH, one)) for name in names if name.startswith(BOTH) for one in (IMAGES, WORDS)]
    pairs += [(SHARED, APART)]
    for bits in sorted(frame.bits.unique()):
        for better, worse in pairs:
            if {better, worse} <= set(names):
                text = f"{bits / 8:g} bytes: {better} > {worse}"
                claims.append(claim(frame, better, worse, text, floor=floor, bits=bits))
    return decide(claims)


def figure(frame: pd.DataFrame, metric: str, label: str, floor: float) -> plt.Figure:
    """A panel per code length, a group of the four directions for each row: a mark per seed and a bar at their mean. The dotted
    line is the floor.

    Args:
        frame: as :func:`all_directions` gives it.
        label: the metric's name with its R.
        floor: of mAP@all; 0: no line.
    """
    names, lengths = list(dict.fromkeys(frame.variant)), sorted(frame.bits.unique())
    fig, axes = plt.subplots(
        1, len(lengths), figsize=(3.2 * len(lengths) + 1.6, 0.62 * len(names) + 1.6), sharey=True, squeeze=False
    )
    for axis, bits in zip(axes[0], lengths, strict=True):
        rows = select(frame, metric, bits=bits)
        for i, direction in enumerate(ALL_DIRECTIONS):
            color, place = plots.colors()[i], 0.18 * (i - 1.5)
            for y, name in enumerate(names):
                values = rows[(rows.variant == name) & (rows.direction == direction)].value
                axis.plot(values, np.full(len(values), y + place), MARKERS[i], color=color, markersize=4)
                axis.vlines(values.mean(), y + place - 0.09, y + place + 0.09, color, linewidth=1.5)
            axis.plot([], [], MARKERS[i], color=color, label=direction)
        if floor:
            axis.axvline(floor, color="0.35", linestyle=":", linewidth=1.2)
        axis.set_title(f"{bits / 8:g} bytes", fontsize=10)
        axis.set_xlabel(f"{label}, axis not from 0", fontsize=9)
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    axes[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
    fig.tight_layout()
    return fig

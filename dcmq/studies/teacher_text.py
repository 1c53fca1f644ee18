"""What the teacher should read of a training sample: label names, or texts that need no labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import AfterValidator, Field

from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import Variant
from dcmq.experiments.study import FROM_A_FILE, TrainingStudy, is_from_file, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import METRICS, metric_name, seed_means, select
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import HOLDS, Verdict, claim, decide, did_not_learn
from dcmq.retrieval.evaluate import DIRECTIONS, evaluate_teacher
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.teachers.texts import sentences, text_kinds, text_vectors

LABELS = "labels"
TEXTS = "labels,captions,tags,labels+captions,labels+tags,names"
GALLERY_TEXTS = "names,captions"
LONGER = 2.75  # the gallery of scenes in training sets
ORDERS = ((LABELS, "captions"), (LABELS, "tags"), (LABELS, "names"), ("names", "tags"))  # that are judged


def _kinds(text: str) -> str:
    for kind in comma_list(text, str):
        text_kinds(kind)
    return text


def _without_labels(text: str) -> str:
    for kind in comma_list(_kinds(text), str):
        if LABELS in text_kinds(kind):
            raise DcmqError(f"gallery_texts: {kind} reads labels, and nobody may know those of the gallery")
    return text


def gallery_row(kind: str) -> str:
    """The name of the row that is trained on pictures and texts of the whole gallery, and on no label."""
    return f"{kind}, gallery seen without labels"


def longer_row(kind: str) -> str:
    """The name of the row that is trained on the training set with as many steps as :func:`gallery_row`."""
    return f"{kind}, as many steps"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook."""

    notebook: ClassVar[str] = "teacher_text"
    item: ClassVar[str] = "§1, §3.2"
    title: ClassVar[str] = "What should the teacher read?"
    claim: ClassVar[str] = (
        "The teacher should read the names of a sample's labels; the paper argues for it, and measures no other text."
    )

    seeds: str = "0,1,2,3,4"
    bits: int = Field(64, gt=0)
    texts: Annotated[str, AfterValidator(_kinds)] = TEXTS
    gallery_texts: Annotated[str, AfterValidator(_without_labels)] = GALLERY_TEXTS
    longer: float = Field(LONGER, ge=1)

    @property
    def kinds(self) -> list[str]:
        """The kinds of ``texts`` that the teacher can read, a row each.

        Raises:
            DcmqError: it can read none of them.
        """
        kinds = [kind for kind in comma_list(self.texts, str) if kind not in self.left_out]
        if not kinds:
            raise DcmqError(f"texts: {self.teacher} has vectors of label sentences alone; name labels")
        return kinds

    @property
    def left_out(self) -> list[str]:
        """The kinds that a teacher with vectors from a file cannot read: all but label sentences."""
        given = [*comma_list(self.texts, str), *comma_list(self.gallery_texts, str)]
        return [kind for kind in dict.fromkeys(given) if is_from_file(self.teacher) and kind != LABELS]

    @property
    def gallery_kinds(self) -> list[str]:
        """The kinds that are also read of the whole gallery."""
        return [kind for kind in comma_list(self.gallery_texts, str) if kind not in self.left_out]

    def variants(self) -> list[Variant]:
        """A row for each kind of text; for some, one on the whole gallery, and one with as many steps on the training set."""
        epochs = round(self.longer * self.config().epochs)
        rows = [Variant(kind, {"teacher_text": kind}) for kind in self.kinds]
        for kind in self.gallery_kinds:
            read = {"teacher_text": kind}
            rows.append(Variant(longer_row(kind), read | {"epochs": epochs}))
            rows.append(Variant(gallery_row(kind), read | {"train_on": "gallery"}))
        return rows


def left_out_text(p: Parameters) -> str:
    """A line on the rows that are left out, and why; empty where none is."""
    if not p.left_out:
        return ""
    return f"left out: {', '.join(p.left_out)}: {FROM_A_FILE}, and the file has no model"


def steps_text(p: Parameters, data: RetrievalDataset) -> str:
    """A line on how much longer an epoch over the gallery is, against the factor that the rows of as many steps have."""
    share = len(data.split.gallery) / len(data.split.train)
    fits = "as planned" if abs(share - p.longer) < 0.01 else f"but longer={p.longer:g}: steps are not equal"
    return f"an epoch over the gallery is {share:.2f} epochs over the training set, {fits}"


def examples(teacher: TeacherEmbeddings, data: RetrievalDataset, kinds: Sequence[str], count: int = 4) -> pd.DataFrame:
    """The texts that the teacher reads of the first training samples: a row per sample, a column per kind that is no sum."""
    rows = data.split.train[:count]
    single = list(dict.fromkeys(part for kind in kinds for part in text_kinds(kind)))
    read = {kind: sentences(teacher, data, kind) for kind in single}
    return pd.DataFrame({kind: [read[kind][row] for row in rows] for kind in single}, index=[data.ids[r] for r in rows])


def teacher_table(teacher: TeacherEmbeddings, data: RetrievalDataset, kinds: Sequence[str], r: int) -> pd.DataFrame:
    """The teacher's own retrieval, not quantized, on the whole gallery: a row for each kind that it reads.

    Args:
        r: R of mAP@R (hits).
    """
    rows = {}
    for kind in kinds:
        text = text_vectors(teacher, data, kind)
        found = evaluate_teacher(replace(teacher, vectors=lambda text=text: (teacher.image, text)), data, r)
        names = dict.fromkeys(metric_name(metric, r) for metric in METRICS)
        rows[kind] = {f"{name} {d}": mean_sd([found[d][name]]) for name in names for d in DIRECTIONS}
    return pd.DataFrame(rows).T


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """The orders of :data:`ORDERS` whose rows are there, and the gallery without labels against the training set alone.

    Args:
        floor: mAP@all that a row has to be above, or it did not learn.
    """
    rows = list(dict.fromkeys(frame.variant))
    pairs = [*ORDERS]
    for kind in rows:
        pairs += [(gallery_row(kind), kind), (gallery_row(kind), longer_row(kind))]
    texts = {pair: f"{pair[0]} > {pair[1]}" for pair in pairs if set(pair) <= set(rows)}
    return decide([claim(frame, *pair, text, floor=floor) for pair, text in texts.items()])


def advice(frame: pd.DataFrame, found: Sequence[Verdict], floor: float = 0.0) -> str:
    """The text for someone with pictures of his own: what the teacher should read, with and without labels, as these runs have it.

    Args:
        found: the verdicts of the same ``frame``.
        floor: as :func:`verdicts` has it; rows that did not learn are no advice.
    """
    failed = did_not_learn(frame, floor) if floor else []
    means = seed_means(frame, "mAP@all").mean().drop(failed).sort_values(ascending=False, kind="stable")
    if means.empty:
        return "No row learned, so there is nothing to advise."
    labelled = [name for name in means.index if LABELS in name.partition(",")[0].split("+")]
    free = [name for name in means.index if name not in labelled]
    text = ""
    if labelled:
        text = f"With labels: {labelled[0]} (mAP@all {means[labelled[0]]:.3f}, mean of both directions). "
    if not free:
        return text + "Without labels: not judged here, as this teacher reads nothing else."
    text += f"Without labels: {free[0]} ({means[free[0]]:.3f}"
    text += f", {means[free[0]] - means[labelled[0]]:+.3f} to the best with labels). " if labelled else "). "
    of_gallery = tuple(name for name in free if name == gallery_row(name.partition(",")[0]))
    gains = [verdict for verdict in found if of_gallery and verdict.claim.startswith(of_gallery)]
    if gains:
        sure = [verdict.claim for verdict in gains if verdict.word == HOLDS]
        text += f"Training on the gallery without its labels is better in {len(sure)} of {len(gains)} comparisons in all directions and metrics"
        text += f": {'; '.join(sure)}." if sure else "."
    return text.strip()


def figure(frame: pd.DataFrame, metric: str, label: str, lines: Mapping[str, float]) -> plt.Figure:
    """All rows on the judged gallery, a mark per seed and direction, with dotted lines at ``lines``.

    Args:
        label: the metric's name with its R.
    """
    fig, axis = plt.subplots(figsize=(1.25 * frame.variant.nunique() + 1, 4))
    plots.dots(axis, select(frame, metric), label)
    plots.references(axis, lines)
    fig.tight_layout()
    return fig

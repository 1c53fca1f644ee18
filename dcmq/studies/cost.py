"""Table 5: what codes and embeddings cost, and what they are worth. Tables are in :mod:`dcmq.reporting.gallery_forms`,
:mod:`dcmq.reporting.cost_tables` and :mod:`dcmq.reporting.cost_paper`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments import efficiency
from dcmq.experiments.efficiency import Size
from dcmq.experiments.plan import PlannedRun, method_variants
from dcmq.experiments.study import Methods, TrainingStudy, register_study
from dcmq.methods.dcmq.student import Student, make_student
from dcmq.networks.inputs import text_inputs
from dcmq.reporting import plots, search_times
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.gallery_forms import CODES, TEACHER, column
from dcmq.reporting.paper.tables import published
from dcmq.reporting.results import WHERE, WHOLE, select
from dcmq.reporting.verdicts import Claim, Verdict, decide
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.significance import paired_difference
from dcmq.teachers.base import Teacher


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``bits``, ``methods`` and ``architectures`` are comma-separated lists."""

    notebook: ClassVar[str] = "cost"
    item: ClassVar[str] = "Table 5"
    title: ClassVar[str] = "What does it cost?"
    claim: ClassVar[str] = (
        "Against CLIP itself, DCMQ's codes are 128 times smaller, its student has a quarter of the parameters and trains in "
        "a sixth of the time, and it ranks slightly better."
    )

    bits: str = "32,64,128"
    methods: Methods = "CMMQ"
    batch: int = Field(64, gt=0)
    repeats: int = Field(7, gt=0)
    architectures: str = "ViT-B-32,RN50"

    def compared_plan(self) -> list[PlannedRun]:
        """The runs of the compared methods, at the same lengths and seeds."""
        rows = method_variants(self.methods)
        return [self.run(row, bits, seed) for row in rows for bits in self.bit_list for seed in self.seed_list]

    def changes_runs(self, plan: Sequence[PlannedRun], name: str) -> bool:
        """As in other studies, the runs of the compared methods among them."""
        return super().changes_runs(plan, name) or any(name in run.written for run in self.compared_plan())

    def students(self, data: RetrievalDataset) -> dict[str, Student]:
        """An untrained student for each code length, by its name in tables; sizes and times do not depend on the weights."""
        configs = [self.config(bits=bits, seed=self.seed_list[0]) for bits in self.bit_list]
        return {column(c.student.bits): make_student(c, data.bow.shape[1]).eval() for c in configs}


def sizes(students: Mapping[str, Student], data: RetrievalDataset, teacher: Teacher) -> dict[str, Size]:
    """Sizes of the teacher, if it runs a model here whose halves can be told apart, and of every student."""
    teacher_size, first = efficiency.teacher_size(teacher), data.split.gallery[:1]
    own = {TEACHER: teacher_size} if teacher_size else {}
    return own | {name: efficiency.student_size(s, text_inputs(s, data)(first)) for name, s in students.items()}


def times(
    study: Parameters, students: Mapping[str, Student], data: RetrievalDataset, teacher: Teacher
) -> dict[str, tuple[float, float]]:
    """Seconds per image and per text: of the teacher to its embeddings, if it runs a model here, and of every student to
    its codeword numbers."""
    rows = data.split.gallery[: study.batch]
    own = {}
    if teacher.reads_any_text:  # embeddings that were made elsewhere took no time here
        own[TEACHER] = efficiency.teacher_seconds(teacher, data, rows, study.repeats)
    return own | {name: efficiency.student_seconds(s, data, rows, study.repeats) for name, s in students.items()}


def verdicts(forms: pd.DataFrame, sizes: Mapping[str, Size]) -> list[Verdict]:
    """Verdicts on storage and sizes as the paper claims them.

    Args:
        forms: as :func:`dcmq.reporting.gallery_forms.with_quality` gives them.
        sizes: as :func:`sizes` gives them.
    """
    paper = published(5).set_index("quantity").loc["storage_per_sample"]
    factor = paper.CLIP / paper.DCMQ  # 128
    teacher, codes = forms.iloc[0], forms[forms.form == CODES]
    smaller = [
        _judged(
            f"{row.model}: codes are {factor:g} times smaller than the teacher's embeddings, or more",
            teacher["item"] / row.item >= factor,
            f"{teacher['item'] / row.item:g} times: {row.item:g} bytes instead of {teacher['item']:g} in float32",
        )
        for row in codes.itertuples()
    ]
    exact = [row.file == row.header + row.items * int(row.model.split()[1]) // 8 for row in codes.itertuples()]
    headers = ", ".join(f"{header}" for header in dict.fromkeys(codes.header))
    whole_file = _judged(
        "a gallery file holds items x bits / 8 bytes and a header",
        all(exact),
        f"{codes['items'].iloc[0]:,} items, header of {headers} bytes",
    )
    training = Verdict("the student trains in less time than the teacher", "not judged here", "teachers come trained")
    return [*smaller, whole_file, *_smaller(sizes), training]


def _smaller(sizes: Mapping[str, Size]) -> list[Verdict]:
    """Verdicts on every student being smaller than the teacher, in what it learns and in what it computes."""
    verdicts = []
    counts = {"parameters": "parameters", "MACs per image": "image_macs", "MACs per text": "text_macs"}
    for name, attribute in counts.items():
        claim = f"the student has fewer {name} than the teacher"
        if TEACHER not in sizes:
            verdicts.append(Verdict(claim, "not judged here", "this teacher's embeddings were made elsewhere"))
            continue
        largest = max(getattr(size, attribute) for model, size in sizes.items() if model != TEACHER)
        theirs = getattr(sizes[TEACHER], attribute)
        detail = f"at most {largest / 1e6:.2f} million against {theirs / 1e6:.2f}"
        verdicts.append(_judged(claim, largest < theirs, detail))
    return verdicts


def real_verdicts(teachers: Mapping[str, tuple[Size, int]], student: Size) -> list[Verdict]:
    """Verdicts on the share of CLIP's parameters that the paper says its ``student`` has, for each of ``teachers``.

    Args:
        teachers: as :func:`dcmq.reporting.cost_paper.real_teachers` gives them.
    """
    paper = published(5).set_index("quantity").loc["parameters"]
    share = paper.DCMQ / paper.CLIP
    return [
        _judged(
            f"at the paper's size, the student has at most {share:.2f} of the parameters of {name}",
            student.parameters / size.parameters <= share,
            f"{student.parameters / size.parameters:.2f}: {student.parameters / 1e6:.2f} million against "
            f"{size.parameters / 1e6:.2f}",
        )
        for name, (size, _) in teachers.items()
    ]


def _judged(claim: str, holds: bool, detail: str) -> Verdict:
    return Verdict(claim, "holds" if holds else "does not hold", detail)


def quality_verdicts(frame: pd.DataFrame, teachers: Mapping[int, dict], metric: str) -> list[Verdict]:
    """Verdicts for each code length on codes ranking better than the teacher, not quantized, on the data of the same seed.

    On the whole gallery, by runs: the teacher has no seed, and on unseen items alone it is not measured.

    Args:
        frame: results of the students' runs.
        teachers: by seed, as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured the teacher on its data.
        metric: one that does not need R.
    """
    claims = []
    for bits in dict.fromkeys(frame.bits):
        parts = {}
        for direction in DIRECTIONS:
            rows = select(frame, metric, WHOLE, bits=bits, direction=direction)
            gaps = [row.value - teachers[row.seed][direction][metric] for row in rows.itertuples()]
            parts[direction, metric] = paired_difference([np.array(gaps)[:, None]])
        claims.append(Claim(f"{column(bits)}: codes rank better than the teacher itself", parts, WHERE[WHOLE]))
    return decide(claims)


def figure(
    forms: pd.DataFrame, name: str, chance: float, search: dict | None, frame: pd.DataFrame, compared: pd.DataFrame
) -> plt.Figure:
    """Quality against bytes per item, and where searches were timed also against ms per query; sd over seeds as bars.

    Args:
        forms: as :func:`dcmq.reporting.gallery_forms.with_quality` gives them, with the metric called ``name``.
        search: as :func:`dcmq.reporting.search_times.benchmark_record` gives it.
        frame, compared: results of DCMQ's and of the compared methods' runs.
    """
    panels = 2 if search else 1
    fig, axes = plt.subplots(1, panels, figsize=(8 if panels == 1 else 12, 4), sharey=True, squeeze=False)
    axis = axes[0][0]
    if search:
        search_times.draw(axes[0][1], search, frame, compared, name)
    lines = (
        ("teacher, not quantized", (forms.model == TEACHER)),
        ("students, not quantized, float32", (forms.model != TEACHER) & (forms.kind == "float32")),
        ("students' codes", forms.form == CODES),
    )
    for i, (label, mask) in enumerate(lines):
        rows = forms[mask]
        means = [np.mean(scores) for scores in rows.scores]
        sds = [np.std(scores, ddof=1) if len(scores) > 1 else 0 for scores in rows.scores]
        axis.errorbar(rows["item"], means, sds, color=plots.colors()[i], marker=MARKERS[i], capsize=3, label=label)
        for j, (row, mean) in enumerate(zip(rows.itertuples(), means, strict=True)):
            text = row.kind if row.model == TEACHER else row.model.removeprefix("DCMQ ")
            place = (0, -16) if j % 2 else (0, 9)  # in turn, as neighbours are close
            axis.annotate(text, (row.item, mean), place, textcoords="offset points", ha="center", fontsize=8)
    axis.axhline(chance, color="0.4", linestyle=":", label="chance, nearly")
    axis.set_xscale("log", base=2)
    ticks = sorted(set(forms["item"]))
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.margins(x=0.08, y=0.15)
    axis.set_xlabel("bytes per item of the gallery")
    axis.set_ylabel(f"{name}, mean of i2t and t2i")
    axis.legend(fontsize=8, loc="best")
    fig.tight_layout()
    return fig

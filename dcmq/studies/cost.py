"""Table 5: what codes and embeddings cost, and what they are worth. The tables are in :mod:`.cost_tables`."""

from dataclasses import replace
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pydantic import Field

from dcmq.codes.assign import assign
from dcmq.codes.pack import pack
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments import efficiency as cost
from dcmq.experiments.efficiency import Size
from dcmq.experiments.plan import PlannedRun, method_variants
from dcmq.experiments.study import Methods, TrainingStudy
from dcmq.methods.dcmq.student import Student, make_student
from dcmq.networks.inputs import text_inputs
from dcmq.reporting import plots, search_times
from dcmq.reporting.cost_tables import CODES, EMBEDDINGS, TEACHER, column
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.paper.tables import published
from dcmq.reporting.verdicts import Verdict, seed_means
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.teachers.base import Encoder, Teacher, TeacherEmbeddings


class Parameters(TrainingStudy):
    """What the notebook may be asked; ``bits``, ``methods`` and ``architectures`` are comma-separated lists."""

    notebook: ClassVar[str] = "cost"
    item: ClassVar[str] = "Table 5"
    title: ClassVar[str] = "What does it cost?"
    claim: ClassVar[str] = (
        "Against CLIP itself, DCMQ's codes are 128 times smaller, its student has a quarter of the parameters and trains in "
        "a sixth of the time, and it ranks slightly better."
    )

    bits: str
    methods: Methods
    batch: int = Field(gt=0)
    repeats: int = Field(gt=0)
    architectures: str

    def compared_plan(self) -> list[PlannedRun]:
        """The runs of the compared methods, at the same lengths and seeds."""
        rows = method_variants(self.methods)
        return [self.run(row, bits, seed) for row in rows for bits in self.bit_list for seed in self.seed_list]

    def students(self, data: RetrievalDataset) -> dict[str, Student]:
        """By column, a student for each code length, untrained: sizes and times do not depend on what the weights are."""
        configs = [self.config(bits=bits, seed=self.seed_list[0]) for bits in self.bit_list]
        return {column(c.student.bits): make_student(c, data.bow.shape[1]).eval() for c in configs}


@torch.no_grad()
def storage(made: dict[str, Student], data: RetrievalDataset, embeddings: TeacherEmbeddings) -> pd.DataFrame:
    """The gallery in all its forms, each written to a file and looked at.

    The texts stand for the pictures too: both have embeddings and codes of one length.

    Returns:
        a row per form: model, form (embeddings or codes), kind of number, bytes per item without the header, bytes of
        the file and of its header, and how many items there are.
    """
    rows = data.split.gallery
    forms = [(TEACHER, EMBEDDINGS, embeddings.text[torch.from_numpy(rows)])]
    for name, student in made.items():
        words, parts = text_inputs(student, data), np.array_split(rows, -(-len(rows) // 1024))
        continuous = torch.cat([student.encode_texts(words(part)) for part in parts])
        packed = pack(assign(continuous, student.quantizer.codebooks), student.config.num_codewords)
        forms += [(name, EMBEDDINGS, continuous), (name, CODES, torch.from_numpy(packed))]
    found = []
    for model, form, array in forms:
        for kind in (torch.uint8,) if form == CODES else (torch.float32, torch.float16):
            file = cost.stored(array.to(kind))
            row = {"model": model, "form": form, "kind": str(kind).removeprefix("torch.")}
            item = (file.bytes - file.header) / len(rows)
            found.append(row | {"item": item, "file": file.bytes, "header": file.header, "items": len(rows)})
    return pd.DataFrame(found)


def halved(embeddings: TeacherEmbeddings) -> TeacherEmbeddings:
    """The teacher's embeddings as half precision leaves them."""
    return replace(embeddings, image=embeddings.image.half().float(), text=embeddings.text.half().float())


def with_quality(
    forms: pd.DataFrame, frame: pd.DataFrame, teachers: dict[str, dict], metric: str, name: str
) -> pd.DataFrame:
    """``forms`` with a column ``scores``: ``metric``, mean of both directions, per seed; empty where it is not measured.

    Args:
        teachers: by kind of number, as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured them.
        name: of ``metric`` with its R.
    """
    named = frame.assign(model=frame.bits.map(column))
    galleries = {(CODES, "uint8"): "gallery", (EMBEDDINGS, "float32"): "continuous"}

    def scores(row) -> list[float]:
        if row.model == TEACHER:
            return [float(np.mean([teachers[row.kind][d][name] for d in DIRECTIONS]))]
        gallery = galleries.get((row.form, row.kind))
        return seed_means(named, metric, by="model", gallery=gallery)[row.model].tolist() if gallery else []

    return forms.assign(scores=[scores(row) for row in forms.itertuples()])


def sizes(made: dict[str, Student], data: RetrievalDataset, teacher: Teacher) -> dict[str, Size]:
    """Of the teacher, if it runs a model here, and of every student."""
    network, first = cost.teacher_network(teacher), data.split.gallery[:1]
    found = {TEACHER: cost.clip_size(network)} if network is not None else {}
    return found | {name: cost.student_size(s, text_inputs(s, data)(first)) for name, s in made.items()}


def times(
    study: Parameters, made: dict[str, Student], data: RetrievalDataset, teacher: Teacher
) -> dict[str, tuple[float, float]]:
    """Seconds per picture and per text: of the teacher to its embeddings, of every student to its codeword numbers."""
    rows = data.split.gallery[: study.batch]
    own = {TEACHER: cost.teacher_seconds(teacher, data, rows, study.repeats)} if isinstance(teacher, Encoder) else {}
    return own | {name: cost.student_seconds(s, data, rows, study.repeats) for name, s in made.items()}


def verdicts(forms: pd.DataFrame, measured: dict[str, Size], name: str) -> list[Verdict]:
    """Storage, sizes and quality as the paper claims them, judged here.

    Args:
        forms: as :func:`with_quality` gives them, with the metric called ``name``.
    """
    paper = published(5).set_index("quantity").loc["storage_per_sample"]
    factor = paper.CLIP / paper.DCMQ  # 128
    teacher, codes = forms.iloc[0], forms[forms.form == CODES]
    found = [
        _judged(
            f"{row.model}: codes are {factor:g} times smaller than the teacher's embeddings, or more",
            teacher["item"] / row.item >= factor,
            f"{teacher['item'] / row.item:g} times: {row.item:g} bytes instead of {teacher['item']:g} in float32",
        )
        for row in codes.itertuples()
    ]
    exact = [row.file == row.header + row.items * int(row.model.split()[1]) // 8 for row in codes.itertuples()]
    headers = ", ".join(f"{header}" for header in dict.fromkeys(codes.header))
    found.append(
        _judged(
            "a gallery file holds items x bits / 8 bytes and a header",
            all(exact),
            f"{codes['items'].iloc[0]:,} items, header of {headers} bytes",
        )
    )
    found += _smaller(measured)
    found.append(
        Verdict("the student trains in less time than the teacher", "not judged here", "teachers come trained")
    )
    return found + [_better(row, teacher["scores"][0], name) for row in codes.itertuples()]


def _smaller(measured: dict[str, Size]) -> list[Verdict]:
    """Whether every student is smaller than the teacher, in what it learns and in what it computes."""
    found = []
    claims = {"parameters": "parameters", "MACs per picture": "image_macs", "MACs per text": "text_macs"}
    for what, number in claims.items():
        claim = f"the student has fewer {what} than the teacher"
        if TEACHER not in measured:
            found.append(Verdict(claim, "not judged here", "this teacher's embeddings were made elsewhere"))
            continue
        largest = max(getattr(size, number) for model, size in measured.items() if model != TEACHER)
        theirs = getattr(measured[TEACHER], number)
        found.append(
            _judged(claim, largest < theirs, f"at most {largest / 1e6:.2f} million against {theirs / 1e6:.2f}")
        )
    return found


def real_verdicts(teachers: dict[str, tuple[Size, int]], student: Size) -> list[Verdict]:
    """Whether the paper's ``student`` has the share of CLIP's parameters that the paper says.

    Args:
        teachers: as :func:`.cost_tables.real_teachers` gives them.
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


def _better(row, teacher: float, name: str) -> Verdict:
    """Whether the codes rank better than the teacher, which has one value and no seeds: in units of the sd over seeds."""
    claim = f"{row.model}: codes rank better than the teacher itself"
    gap, detail = np.mean(row.scores) - teacher, f"{name} {np.mean(row.scores):.3f} against {teacher:.3f}"
    if len(row.scores) < 2:
        return Verdict(claim, "one seed cannot tell", detail)
    return (
        Verdict(claim, "a tie", detail)
        if abs(gap) < 2 * np.std(row.scores, ddof=1)
        else _judged(claim, gap > 0, detail)
    )


def figure(
    forms: pd.DataFrame, name: str, chance: float, search: dict | None, frame: pd.DataFrame, compared: pd.DataFrame
) -> plt.Figure:
    """Quality against bytes per item, and where searches were timed against ms per query; sd over seeds as bars.

    Args:
        search: as :func:`.search_times.measured` gives it.
        frame, compared: results of DCMQ's and the compared methods' runs.
    """
    panels = 2 if search else 1
    drawn, axes = plt.subplots(1, panels, figsize=(8 if panels == 1 else 12, 4), sharey=True, squeeze=False)
    axis = axes[0][0]
    if search:
        search_times.draw(axes[0][1], search, frame, compared, name)
    lines = (
        ("teacher, not quantised", (forms.model == TEACHER)),
        ("students, not quantised, float32", (forms.model != TEACHER) & (forms.kind == "float32")),
        ("students' codes", forms.form == CODES),
    )
    for i, (label, chosen) in enumerate(lines):
        rows = forms[chosen]
        means = [np.mean(scores) for scores in rows.scores]
        sds = [np.std(scores, ddof=1) if len(scores) > 1 else 0 for scores in rows.scores]
        axis.errorbar(rows["item"], means, sds, color=plots.colours()[i], marker=MARKERS[i], capsize=3, label=label)
        for j, (row, mean) in enumerate(zip(rows.itertuples(), means, strict=True)):
            text = row.kind if row.model == TEACHER else row.model.removeprefix("DCMQ ")
            place = (0, -15) if j % 2 else (0, 8)  # in turn, as neighbours are close
            axis.annotate(text, (row.item, mean), place, textcoords="offset points", ha="center", fontsize=8)
    axis.axhline(chance, color="0.4", linestyle=":", label="chance, nearly")
    axis.set_xscale("log", base=2)
    ticks = sorted(set(forms["item"]))
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.margins(x=0.08, y=0.15)
    axis.set_xlabel("bytes per item of the gallery")
    axis.set_ylabel(f"{name}, mean of i2t and t2i")
    axis.legend(fontsize=8, loc="best")
    drawn.tight_layout()
    return drawn

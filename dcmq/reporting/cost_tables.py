"""The tables of :mod:`.cost`: what was measured, beside the paper's Table 5 and the architectures it names."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from dcmq.config import StudentConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments import efficiency as cost
from dcmq.experiments.efficiency import Size
from dcmq.experiments.plan import PlannedRun
from dcmq.experiments.settings import PROFILES
from dcmq.methods.dcmq.student import Student
from dcmq.reporting.paper.tables import published
from dcmq.reporting.results import METRICS, metric_name, results_frame, select
from dcmq.reporting.tables import mean_sd
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.teachers.base import Teacher

TEACHER = "teacher"
EMBEDDINGS, CODES = "embeddings", "codes"
UNKNOWN = "not measured here"


WORDS = 2026  # of the paper's bags of words on COCO


ITEM, FILE, TRAINING, PARAMETERS = "bytes per item", "gallery on disk, kB", "s of training", "million parameters"


def column(bits: int) -> str:
    """What the student with codes of ``bits`` is called in tables."""
    return f"DCMQ {bits} bits"


def storage_table(forms: pd.DataFrame, name: str) -> pd.DataFrame:
    """``forms``, as :func:`.cost.with_quality` gives them, to be read; factors are against the teacher in float32."""
    rows = {
        f"{row.model}, {row.form}" + (f" in {row.kind}" if row.form == EMBEDDINGS else ""): {
            ITEM: f"{row.item:,g}",
            "file of the gallery": f"{row.file:,} bytes",
            "smaller than the teacher": f"{forms['item'].iloc[0] / row.item:g} x",
            f"{name}, both directions": mean_sd(row.scores) if row.scores else UNKNOWN,
        }
        for row in forms.itertuples()
    }
    return pd.DataFrame(rows).T


def bytes_table(forms: pd.DataFrame) -> pd.DataFrame:
    """What one would keep: the teacher's embeddings in float32, the students' codes."""
    kept = forms[(forms.form == CODES) | ((forms.model == TEACHER) & (forms.kind == "float32"))]
    return pd.DataFrame(
        {row.model: {ITEM: f"{row.item:g}", FILE: f"{row.file / 1e3:,.1f}"} for row in kept.itertuples()}
    )


def size_table(measured: dict[str, Size]) -> pd.DataFrame:
    """Parameters and MACs, a column per model."""
    return pd.DataFrame(
        {
            name: {
                PARAMETERS: f"{size.parameters / 1e6:.2f}",
                "... to embed pictures": f"{size.image_parameters / 1e6:.2f}",
                "... to embed texts": f"{size.text_parameters / 1e6:.2f}",
                "million MACs per picture": f"{size.image_macs / 1e6:,.2f}",
                "million MACs per text": f"{size.text_macs / 1e6:,.2f}",
            }
            for name, size in measured.items()
        }
    )


def time_table(measured: dict[str, tuple[float, float]], data: RetrievalDataset) -> pd.DataFrame:
    """Times per item, a column per model; for all training data, the teacher's are extrapolated from those."""
    shown = {
        model: {"ms per picture": f"{1e3 * picture:.3f}", "ms per text": f"{1e3 * text:.3f}"}
        for model, (picture, text) in measured.items()
    }
    if TEACHER in measured:
        picture, text = measured[TEACHER]
        train = data.split.train
        whole = picture * len(train) + text * len(set(data.label_sentences(train)))
        for model in shown:
            shown[model]["s for the teacher to embed the training data, extrapolated"] = f"{whole:.1f}"
    return pd.DataFrame(shown)


def run_table(
    plan: Sequence[PlannedRun], records: Sequence[dict], frame: pd.DataFrame, teacher: Teacher, own: dict, r: int
) -> pd.DataFrame:
    """Seconds of training and mAP, mean ± sd over seeds, a column per model.

    Args:
        own: the teacher's metrics, as :func:`dcmq.retrieval.evaluate.evaluate_teacher` gives them.
    """
    seconds: dict[str, list[float]] = {}
    for run, record in zip(plan, records, strict=True):
        seconds.setdefault(column(run.tags["bits"]), []).append(record["training_seconds"])
    once = cost.teacher_training(teacher)
    shown = {TEACHER: {TRAINING: f"{once:,.0f} (says its file)" if once else UNKNOWN}}
    shown |= {model: {TRAINING: _seconds(taken)} for model, taken in seconds.items()}
    for metric in METRICS:
        for direction in DIRECTIONS:
            row = f"{metric_name(metric, r)} {direction}"
            shown[TEACHER][row] = mean_sd([own[direction][metric_name(metric, r)]])
            for bits in dict.fromkeys(frame.bits):
                shown[column(bits)][row] = mean_sd(list(select(frame, metric, bits=bits, direction=direction).value))
    return pd.DataFrame(shown)


def compared_table(plan: Sequence[PlannedRun], records: Sequence[dict], r: int) -> pd.DataFrame:
    """Bytes, parameters, seconds of training and mAP of the compared methods, a column per method and code length."""
    shown: dict[str, dict] = {}
    if not plan:
        return pd.DataFrame()
    frame = results_frame(plan, records)
    for name, bits in dict.fromkeys((run.variant, run.tags["bits"]) for run in plan):
        own = [
            record for run, record in zip(plan, records, strict=True) if (run.variant, run.tags["bits"]) == (name, bits)
        ]
        column = shown.setdefault(f"{name} {bits} bits", {})
        column[ITEM] = f"{own[0]['bytes_per_item']:g}"
        column[PARAMETERS] = f"{own[0]['student_parameters'] / 1e6:.2f}"
        column[TRAINING] = _seconds([record["training_seconds"] for record in own])
        for metric in METRICS:
            for direction in DIRECTIONS:
                values = select(frame, metric, variant=name, bits=bits, direction=direction).value
                column[f"{metric_name(metric, r)} {direction}"] = mean_sd(list(values))
    return pd.DataFrame(shown)


def _seconds(taken: list[float]) -> str:
    spread = f" ± {np.std(taken, ddof=1):.1f}" if len(taken) > 1 else ""
    return f"{np.mean(taken):.1f}{spread}"


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """All rows of ``tables`` under the same models."""
    models = list(dict.fromkeys(name for table in tables for name in (TEACHER, *table)))
    whole = pd.DataFrame(index=list(dict.fromkeys(row for table in tables for row in table.index)), columns=models)
    for table in tables:
        whole.update(table)
    return whole.fillna(UNKNOWN)


def paper(results: pd.DataFrame, hits: str) -> pd.DataFrame:
    """The paper's Table 5 with ours beside it, where ``results`` has it; mAP there is of an unknown R, here ``hits``."""
    rows = {
        "storage_per_sample": (ITEM, ITEM),
        "gallery_storage": ("gallery, MB (ours kB)", FILE),
        "parameters": (PARAMETERS, PARAMETERS),
        "training_time": (TRAINING, TRAINING),
        "map_i2t": ("mAP i2t", f"{hits} i2t"),
        "map_t2i": ("mAP t2i", f"{hits} t2i"),
    }
    theirs = published(5).set_index("quantity").drop(columns="unit")
    ours = [name for name in results if name == TEACHER or name.endswith((" 64 bits", " 128 bits"))]
    shown = {
        name: {f"paper, {model}": f"{value:g}" for model, value in theirs.loc[key].items()}
        | {f"ours, {model}": results.loc[row, model] for model in ours}
        for key, (name, row) in rows.items()
    }
    return pd.DataFrame(shown).T


def real_teachers(architectures: Sequence[str]) -> dict[str, tuple[Size, int]]:
    """Sizes of open_clip's ``architectures``, and how many numbers their embeddings have. No weights are needed for it."""
    return {name: cost.architecture_size(name) for name in architectures}


def real_students(lengths: Sequence[int] = (64, 128)) -> dict[str, tuple[Size, int]]:
    """The same of the paper's student with codes of ``lengths`` bits; the widths of its MLP are ours."""
    fields = {k: v for k, v in PROFILES["paper"].items() if k in StudentConfig.model_fields}
    found = {}
    for bits in lengths:
        with torch.device("meta"):
            student = Student(StudentConfig(bits=bits, **fields), WORDS).eval()
        numbers = student.config.num_codebooks * student.config.subvector_dim
        found[f"student {bits} bits"] = cost.student_size(student, torch.zeros(1, WORDS)), numbers
    return found


def real_table(measured: dict[str, tuple[Size, int]]) -> pd.DataFrame:
    """``measured``, as :func:`real_sizes` gives it, to be read."""
    rows = {
        name: {
            PARAMETERS: f"{size.parameters / 1e6:.2f}",
            "... to embed pictures": f"{size.image_parameters / 1e6:.2f}",
            "... to embed texts": f"{size.text_parameters / 1e6:.2f}",
            "billion MACs per picture": f"{size.image_macs / 1e9:.3f}",
            "billion MACs per text": f"{size.text_macs / 1e9:.3f}",
            "bytes of an embedding": f"{4 * numbers:,} in float32, {2 * numbers:,} in float16",
        }
        for name, (size, numbers) in measured.items()
    }
    return pd.DataFrame(rows).T


def paper_notes(teachers: dict[str, tuple[Size, int]]) -> list[str]:
    """What the numbers of the paper's Table 5 say of each other, and of ``teachers`` (see :func:`real_teachers`)."""
    table, first = published(5).set_index("quantity"), published(1)
    cmmq = first[(first.variant == "CMMQ") & (first.dataset == "coco")].pivot(
        index="bits", columns="task", values="map"
    )
    same = [f"{bits}" for bits, row in cmmq.iterrows() if all(row[d] == table.CMMQ[f"map_{d}"] for d in DIRECTIONS)]
    items = {name: table[name].gallery_storage * 1e6 / table[name].storage_per_sample for name in ("CLIP", "CMMQ")}
    codebooks = 4 * StudentConfig(bits=64).num_codebooks * StudentConfig().num_codewords * StudentConfig().subvector_dim
    size, millions = table.CLIP.storage_per_sample, table.CLIP.parameters
    notes = [
        f"Codes of {table.DCMQ.storage_per_sample:g} bytes are codes of {8 * table.DCMQ.storage_per_sample:g} bits.",
        f"CMMQ's mAP, {table.CMMQ.map_i2t} and {table.CMMQ.map_t2i}, is in Table 1 (MS COCO) that of {', '.join(same)} bits.",
        f"The galleries hold {items['CLIP']:,.0f} (CLIP) and {items['CMMQ']:,.0f} (CMMQ) items, if 1 MB is 10^6 bytes.",
        f"DCMQ's gallery is {table.DCMQ.gallery_storage - table.CMMQ.gallery_storage:.2f} MB larger than CMMQ's; codebooks "
        f"like ours, for 64 bits, take {codebooks / 1e6:.3f} MB in float32.",
        f"CLIP's {size:,g} bytes per item are {size / 4:g} numbers in float32, {size / 2:g} in float16.",
    ]
    if teachers:
        nearest = min(teachers, key=lambda name: abs(teachers[name][0].parameters / 1e6 - millions))
        notes.append(
            f"CLIP's {millions:g} million parameters are nearest to those of {nearest}, "
            f"{teachers[nearest][0].parameters / 1e6:.2f}, whose embeddings have {teachers[nearest][1]:,} numbers."
        )
    return notes

"""Tables of what models cost: parameters, multiplications, times and training, a column per model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.efficiency import Size
from dcmq.experiments.plan import PlannedRun
from dcmq.reporting.gallery_forms import ITEM, TEACHER, UNKNOWN, column
from dcmq.reporting.results import METRICS, metric_name, results_frame, select
from dcmq.reporting.tables import mean_sd
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.teachers.base import Teacher

TRAINING, PARAMETERS = "s of training", "million parameters"
IMAGE_PARAMETERS, TEXT_PARAMETERS = "... to embed images", "... to embed texts"


def size_table(sizes: Mapping[str, Size]) -> pd.DataFrame:
    """Parameters and MACs, a column per model."""
    return pd.DataFrame(
        {
            name: {
                PARAMETERS: f"{size.parameters / 1e6:.2f}",
                IMAGE_PARAMETERS: f"{size.image_parameters / 1e6:.2f}",
                TEXT_PARAMETERS: f"{size.text_parameters / 1e6:.2f}",
                "million MACs per image": f"{size.image_macs / 1e6:,.2f}",
                "million MACs per text": f"{size.text_macs / 1e6:,.2f}",
            }
            for name, size in sizes.items()
        }
    )


def time_table(times: Mapping[str, tuple[float, float]], data: RetrievalDataset) -> pd.DataFrame:
    """Times per item, a column per model; and that of the teacher for all training data, extrapolated from them.

    Args:
        times: seconds per image and per text.
    """
    cells = {
        model: {"ms per image": f"{1e3 * image:.3f}", "ms per text": f"{1e3 * text:.3f}"}
        for model, (image, text) in times.items()
    }
    if TEACHER in times:
        image, text = times[TEACHER]
        train = data.split.train
        seconds = image * len(train) + text * len(set(data.label_sentences(train)))
        for model in cells:
            cells[model]["s for the teacher to embed the training data, extrapolated"] = f"{seconds:.1f}"
    return pd.DataFrame(cells)


def run_table(
    plan: Sequence[PlannedRun],
    records: Sequence[dict],
    frame: pd.DataFrame,
    teacher: Teacher,
    teacher_metrics: dict,
    r: int,
) -> pd.DataFrame:
    """Seconds of training and mAP, mean ± sd over seeds, a column per model.

    Args:
        teacher_metrics: as :func:`dcmq.retrieval.evaluate.evaluate_teacher` gives them.
    """
    seconds: dict[str, list[float]] = {}
    for run, record in zip(plan, records, strict=True):
        seconds.setdefault(column(run.tags["bits"]), []).append(record["training_seconds"])
    once = teacher.training_seconds
    cells = {TEACHER: {TRAINING: f"{once:,.0f} (says its file)" if once else UNKNOWN}}
    cells |= {model: {TRAINING: _seconds(values)} for model, values in seconds.items()}
    for metric in METRICS:
        for direction in DIRECTIONS:
            row = f"{metric_name(metric, r)} {direction}"
            cells[TEACHER][row] = mean_sd([teacher_metrics[direction][metric_name(metric, r)]])
            for bits in dict.fromkeys(frame.bits):
                cells[column(bits)][row] = mean_sd(list(select(frame, metric, bits=bits, direction=direction).value))
    return pd.DataFrame(cells)


def compared_table(plan: Sequence[PlannedRun], records: Sequence[dict], r: int) -> pd.DataFrame:
    """Bytes, parameters, seconds of training and mAP of the compared methods, a column per method and code length."""
    if not plan:
        return pd.DataFrame()
    frame = results_frame(plan, records)
    by_column: dict[tuple[str, int], list[dict]] = {}
    for run, record in zip(plan, records, strict=True):
        by_column.setdefault((run.variant, run.tags["bits"]), []).append(record)
    columns = {}
    for (name, bits), runs in by_column.items():
        cells = {
            ITEM: f"{runs[0]['bytes_per_item']:g}",
            PARAMETERS: f"{runs[0]['student_parameters'] / 1e6:.2f}",
            TRAINING: _seconds([record["training_seconds"] for record in runs]),
        }
        for metric in METRICS:
            for direction in DIRECTIONS:
                values = select(frame, metric, variant=name, bits=bits, direction=direction).value
                cells[f"{metric_name(metric, r)} {direction}"] = mean_sd(list(values))
        columns[f"{name} {bits} bits"] = cells
    return pd.DataFrame(columns)


def _seconds(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """All rows of ``tables`` under the same models; a cell that none of them has says that it was not measured."""
    models = list(dict.fromkeys(name for table in tables for name in (TEACHER, *table)))
    rows = list(dict.fromkeys(row for table in tables for row in table.index))
    whole = pd.DataFrame(index=rows, columns=models)
    for table in tables:
        whole.update(table)
    return whole.fillna(UNKNOWN)

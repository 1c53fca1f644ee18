"""What a notebook says of its data and leaves under ``reports/``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dcmq.config import EncodersConfig, StudentConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.figures import save
from dcmq.reports import write_record, write_table
from dcmq.core.hashing import digest
from dcmq.studies.base import Run, Study
from dcmq.studies.results import Verdict
from dcmq.teachers.base import TeacherEmbeddings


def plan_text(plan: Sequence[Run]) -> str:
    """How many runs of which variants, and what their students have in common or in turn."""
    variants = list(dict.fromkeys(run.variant for run in plan))
    seeds = sorted({run.config.seed for run in plan})
    students = [run.config.student for run in plan]
    encoders = list(dict.fromkeys(f"{s.image_encoder} at {s.image_size} px" for s in students))
    quantised = [s for s in students if isinstance(s, StudentConfig)]
    codes = list(dict.fromkeys(_codes(s) for s in quantised or students))
    return "\n".join(
        [
            f"{counted(len(plan), 'run')} of {counted(len(variants), 'variant')}, seeds {seeds}",
            f"student {', '.join(encoders)}",
            f"codes   {', '.join(codes)}",
        ]
    )


def _codes(student: EncodersConfig) -> str:
    if isinstance(student, StudentConfig):
        return f"{student.bits} bits = {student.books} codebooks x {student.codewords} codewords"
    return f"{student.bits} bits"


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}" + ("s" if number != 1 else "")


def data_text(data: RetrievalDataset, *teachers: TeacherEmbeddings) -> str:
    """Teachers as resolved, the choices made of the data, the split with its hash, and chance."""
    split = data.split
    return "\n".join(
        [
            *(f"teacher {t.name} = {t.resolved}" for t in teachers),
            f"data    {data.name} {data.choices}",
            f"split   {split.hash}: {len(split.query)} queries, gallery {len(split.gallery)}, "
            f"{len(split.train)} of it trained on",
            f"chance  {data.chance():.3f}",
        ]
    )


def provenance(records: Sequence[dict]) -> dict:
    """What stands behind ``records``: data, teachers, code, versions, dates, and one hash of all run keys."""

    def distinct(values) -> list:
        return list(dict.fromkeys(values))

    return {
        "data": distinct(f"{r['dataset']['name']}, split {r['dataset']['split']}" for r in records),
        "teachers": distinct(r["teacher"]["resolved"] for r in records),
        "configurations": digest(*sorted({r["key"] for r in records})),
        "runs": len({r["key"] for r in records}),
        "seeds": sorted({r["config"]["seed"] for r in records}),
        "code": distinct(f"{r['code']} (git {r['git']})" for r in records),
        "versions": distinct(", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records),
        "devices": distinct(f"{r['device']}, {r['machine']}" for r in records),
        "finished": max((r["finished"] for r in records), default=""),
    }


def write_report(
    study: Study,
    tables: dict[str, pd.DataFrame],
    verdicts: Sequence[Verdict],
    records: Sequence[dict],
    figures: dict[str, Figure] | None = None,
    frame: pd.DataFrame | None = None,
    **more,
) -> Path:
    """Write tables (CSV, Markdown, LaTeX), figures (SVG, PNG), single values and the record; return the folder.

    Args:
        tables: ``table`` is the one that an overview shows, ``paper`` the paper's numbers; empty ones are left out.
        figures: ``figure`` is the one that an overview shows.
        more: whatever else JSON can hold.
    """
    folder = study.folder
    for name, table in tables.items():
        if not table.empty:
            write_table(table, folder / name)
    for name, figure in (figures or {}).items():
        save(figure, folder / name)
    if frame is not None:
        frame.round(6).to_csv(folder / "values.csv", index=False, lineterminator="\n")
    write_record(
        folder / "record.json",
        study.model_dump(),
        list({r["key"]: r for r in records}.values()),
        notebook=study.notebook,
        item=study.item,
        title=study.title,
        claim=study.claim,
        verdicts=[{"claim": v.claim, "word": v.word, "detail": v.detail} for v in verdicts],
        provenance=provenance(records) if records else {},
        **more,
    )
    return folder

"""The lines in which a notebook says what it works on, and the files that it leaves under ``reports/``."""

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dcmq.config import EncodersConfig, StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.sealed import read_sealed, sealed
from dcmq.core.storage import atomic_write
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.plan import Plan, PlannedRun, weights_label
from dcmq.experiments.study import Study
from dcmq.reporting.alone import alone_in
from dcmq.reporting.figures import save
from dcmq.reporting.results import METRICS, WHERE, WHOLE, metric_name, written
from dcmq.reporting.tables import markdown, write_table
from dcmq.reporting.verdict_table import verdict_table
from dcmq.reporting.verdicts import Verdict
from dcmq.retrieval.galleries import judged_gallery
from dcmq.teachers.base import TeacherEmbeddings

# What differs between two records of the same results: when and from which commit they were made, and how long that took.
# The provenance repeats it in words.
_CIRCUMSTANCES = frozenset({"training_seconds", "seconds", "finished", "git", "provenance", "workers", "scheduler"})
RECORD, NOTEBOOK = "record.json", "notebook.ipynb"
_SECONDS = re.compile(r"\d[\d,.]* s\b")


def plan_text(plan: Sequence[PlannedRun]) -> str:
    """Lines on the planned runs: how many of how many variants, their seeds, the students' encoders and codes; the rows that are
    left out, and why; and the settings that were written for all and that only some have."""
    variants = list(dict.fromkeys(run.variant for run in plan))
    seeds = sorted({run.config.seed for run in plan})
    students = [run.config.student for run in plan]
    encoders = list(dict.fromkeys(_image_encoder(s) for s in students))
    quantized = [s for s in students if isinstance(s, StudentConfig)]
    codes = list(dict.fromkeys(_codes(s) for s in quantized or students))
    return "\n".join(
        [
            f"{counted(len(plan), 'run')} of {counted(len(variants), 'variant')}, seeds {seeds}",
            f"student {', '.join(encoders)}",
            f"codes   {', '.join(codes)}",
            *(_notes(plan) if isinstance(plan, Plan) else ()),
        ]
    )


def _notes(plan: Plan) -> Iterator[str]:
    for why in dict.fromkeys(plan.left_out.values()):
        rows = [row for row, reason in plan.left_out.items() if reason == why]
        yield f"left out {', '.join(rows)}: {why}"
    for name, value in plan.settings.items():
        runs = plan.with_setting(name)
        if len(runs) < len(plan):
            having = dict.fromkeys(run.variant for run in runs)
            others = dict.fromkeys(run.variant for run in plan if run.variant not in having)
            rows = f"all rows but {', '.join(others)}" if 0 < len(others) < len(having) else ", ".join(having)
            which = f"of {counted(len(plan), 'run')} have it as it is: {rows or 'what they have follows from it'}"
            yield f"setting {name}={value}: {len(runs)} {which}"


def _image_encoder(student: EncodersConfig) -> str:
    return f"{student.image_encoder} ({weights_label(student.backbone_weights)}) at {student.image_size} px"


def _codes(student: EncodersConfig) -> str:
    if isinstance(student, StudentConfig):
        return f"{student.bits} bits = {student.num_codebooks} codebooks x {student.num_codewords} codewords"
    return f"{student.bits} bits"


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}" + ("s" if number != 1 else "")


def data_text(data: RetrievalDataset, *teachers: TeacherEmbeddings) -> str:
    """Lines on the data: what each teacher is, the choices made, the split with its hash, and chance."""
    split = data.split
    return "\n".join(
        [
            *(f"teacher {t.name} = {t.description}" for t in teachers),
            f"data    {data.name} {data.choices}",
            f"split   {split.hash}: {len(split.query)} queries, gallery {len(split.gallery)}, "
            f"{len(split.train)} of it trained on",
            f"chance  {data.chance():.3f}",
        ]
    )


def floors_text(found: dict) -> str:
    """A line on how well rankings do that look at no object and read no word, by mAP@all on the judged gallery.

    Args:
        found: as :func:`dcmq.retrieval.floors.floors` gives them.
    """
    gallery = judged_gallery(next(iter(found.values())))
    values = ", ".join(f"{name} {measured[gallery]['mAP@all']:.3f}" for name, measured in found.items())
    return f"floors  mAP@all, {WHERE[gallery]}: {values}"


def floors_table(found: dict, r: int) -> pd.DataFrame:
    """Both mAPs of the rankings by cues alone: a row for each, first on the judged gallery, then on the whole.

    Args:
        found: as :func:`dcmq.retrieval.floors.floors` gives them. r: R of mAP@R (hits).
    """
    rows = {}
    for name, measured in found.items():
        for gallery in sorted(measured, key=lambda gallery: gallery == WHOLE):
            values = measured[gallery]
            hits = next(value for metric, value in values.items() if metric.endswith("(hits)"))
            cells = {metric_name(METRICS[0], r): hits, METRICS[1]: values[METRICS[1]]}
            rows.setdefault(name, {}).update({f"{m}, {WHERE[gallery]}": f"{v:.3f}" for m, v in cells.items()})
    return pd.DataFrame(rows).T.rename_axis("a ranking by")


def provenance(records: Sequence[dict]) -> dict:
    """The origins of ``records``: data, teachers, code, versions, devices, the last date, and one hash of all run keys."""

    return {
        "data": _distinct(f"{r['dataset']['name']}, split {r['dataset']['split']}" for r in records),
        "teachers": _distinct(r["teacher"]["description"] for r in records),
        "configurations": digest(*sorted({r["key"] for r in records})),
        "runs": len({r["key"] for r in records}),
        "seeds": sorted({r["config"]["seed"] for r in records}),
        "code": _distinct(f"{r['code']} (git {r['git']})" for r in records),
        "versions": _distinct(", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records),
        "devices": _distinct(f"{r['device']}, {r['machine']}" for r in records),
        "finished": max((r["finished"] for r in records), default=""),
    }


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def write_report(
    study: Study,
    tables: dict[str, pd.DataFrame],
    verdicts: Sequence[Verdict],
    records: Sequence[dict],
    figures: dict[str, Figure] | None = None,
    frame: pd.DataFrame | None = None,
    floors: dict | None = None,
    **more,
) -> Path:
    """Write tables (CSV, Markdown, LaTeX), that of verdicts among them, figures (SVG, PNG), single values and the record; return
    the folder. Tables, figures and values of a former report in it that this one does not have are removed.

    A record that is there already stays if the new one differs in times, dates and commits alone, and so do tables that
    differ in seconds alone: who runs a notebook again leaves the evidence of its first run as it is. Where results differ, the
    notebook of the former run that lies beside them is removed.

    Args:
        tables: ``table`` is the one that the page over all reports shows, ``paper`` the paper's numbers; empty ones are
            left out.
        figures: ``figure`` is the one that the page shows.
        frame: single values, as :func:`dcmq.reporting.results.results_frame` gives them.
        floors: what rankings by cues alone reach, as :func:`dcmq.retrieval.floors.floors` gives it.
        more: further entries of the record, whatever JSON can hold.

    Raises:
        DcmqError: content that JSON cannot hold, or a file that cannot be written.
    """
    folder = study.folder
    if floors:
        tables = tables | {"table-floors": floors_table(floors, getattr(study, "r", 0))}
        more |= {"floors": floors}
    tables = {"table-verdicts": verdict_table(verdicts, getattr(study, "r", 0))} | tables
    tables, figures = {name: table for name, table in tables.items() if not table.empty}, figures or {}
    about = dict(
        notebook=study.notebook,
        item=study.item,
        title=study.title,
        claim=study.claim,
        verdicts=[verdict.record() for verdict in verdicts],
        provenance=provenance(records) if records else {},
        **more,
    )
    content = _content(folder / RECORD, study.model_dump(), list({r["key"]: r for r in records}.values()), about)
    with alone_in(folder):
        is_new = _results_text(content) != _written_results(folder / RECORD)
        _remove_former(folder, {*tables, *figures}, frame is not None, is_new)
        for name, table in tables.items():
            if not _is_written(folder / f"{name}.md", table):
                write_table(table, folder / name)
        for name, figure in figures.items():
            save(figure, folder / name)
        if frame is not None:
            atomic_write(folder / "values.csv", written(frame).to_csv(index=False, lineterminator="\n").encode())
        _write_content(folder / RECORD, content)
    return folder


def _remove_former(folder: Path, stems: Collection[str], has_values: bool, is_new: bool) -> None:
    """Remove what a former report left in ``folder`` and the new one will not write: tables and figures, known by the files that
    each consists of, with other ``stems``; values, unless it ``has_values``; and the executed notebook, if it ``is_new``."""
    former: list[Path] = []
    for suffixes in ((".md", ".csv", ".tex"), (".svg", ".png")):
        for file in folder.glob(f"*{suffixes[-1]}"):
            files = [file.with_suffix(suffix) for suffix in suffixes]
            if file.stem not in stems and all(file.is_file() for file in files):
                former += files
    former += [folder / name for name, stays in (("values.csv", has_values), (NOTEBOOK, not is_new)) if not stays]
    try:
        for file in former:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise DcmqError(f"cannot replace the report in {folder}: {error.strerror}; set DCMQ_REPORTS to a folder you can write") from None


def _is_written(file: Path, table: pd.DataFrame) -> bool:
    """True where ``file`` holds ``table``, perhaps with other seconds."""
    return file.is_file() and _SECONDS.sub("s", file.read_text()) == _SECONDS.sub("s", markdown(table))


def write_record(path: Path | str, parameters: dict, records: list[dict], **more) -> Path:
    """Write a notebook's JSON record, its parameters and every run record in full, and return its path.

    A record that is there already stays if the new one differs in times, dates and commits alone; that is printed.

    Args:
        path: the file; ``.json`` is added where it is missing.
        parameters: the validated parameters.
        records: what the runs left, as :func:`dcmq.experiments.parallel.run_all` returns them.
        more: further entries, whatever JSON can hold, such as ``teacher`` or ``verdicts``.

    Raises:
        DcmqError: content that JSON cannot hold (NaN among it), or a file that cannot be written.
    """
    path = Path(path)
    path = path if path.suffix == ".json" else path.with_name(path.name + ".json")
    _write_content(path, _content(path, parameters, records, more))
    return path


def _content(path: Path, parameters: dict, records: list[dict], more: dict) -> dict:
    """The content of a record. Raises DcmqError where it is none that JSON can hold."""
    content = {"parameters": parameters, **more, "runs": records}
    try:
        record_text(content)
    except (TypeError, ValueError) as error:
        raise DcmqError(f"write_record: {path.name} cannot be JSON ({error}); give plain numbers and text") from None
    return content


def _write_content(path: Path, content: dict) -> None:
    if _results_text(content) == _written_results(path):
        print(f"unchanged: {path.name} that is there holds the same results")
        with suppress(OSError):  # of a file that is only to be read
            os.utime(path)  # it is the newest report all the same
    else:
        atomic_write(path, record_text(sealed(content)).encode())


def record_text(content: dict) -> str:
    """A report's record as JSON, indented but for the runs, which have a line each: hundreds of them stay readable as a difference."""
    head = json.dumps({name: part for name, part in content.items() if name != "runs"}, indent=2, allow_nan=False)
    runs = ",\n".join(f"    {json.dumps(run, allow_nan=False)}" for run in content["runs"])
    return f'{head.removesuffix("}").rstrip()},\n  "runs": [\n{runs}\n  ]\n}}\n'


def _written_results(path: Path) -> str:
    """The text of the results in a record that is there; empty where there is none that can be read."""
    try:
        return _results_text(read_sealed(path, "it is written anew"))
    except DcmqError:
        return ""


def _results_text(record: dict) -> str:
    """The results of a record as text, without when and how fast it was made."""

    def results(part):
        if isinstance(part, dict):
            return {name: results(value) for name, value in part.items() if name not in _CIRCUMSTANCES}
        return [results(value) for value in part] if isinstance(part, list | tuple) else part

    return json.dumps(results(record), sort_keys=True, allow_nan=False)

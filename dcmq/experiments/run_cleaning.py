"""Runs that nothing refers to any more, and their removal."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dcmq.core.errors import DcmqError
from dcmq.core.paths import reports_dir
from dcmq.core.sealed import read_sealed
from dcmq.experiments.run_files import RECORD
from dcmq.experiments.run_list import is_called, is_in_training, newest_runs, run_folders, run_key_of


@dataclass(frozen=True)
class Removable:
    """A run that may go. ``size``: of all its files, in bytes."""

    folder: Path
    size: int
    finished: bool


def removable_runs(keep: Sequence[str] = (), unfinished: bool = False) -> list[Removable]:
    """The runs that no report under :func:`reports_dir` refers to, none of ``keep``, and none that is being trained.

    Args:
        keep: beginnings of names or keys.
        unfinished: runs without a record too, whose training could go on.

    Raises:
        DcmqError: an entry of ``keep`` names no run, or a report's record cannot be read.
    """
    folders = run_folders()
    for name in keep:
        if not name or not any(is_called(folder, name) for folder in folders):
            raise DcmqError(f"--keep: there is no run {name!r}; {newest_runs()}")
    reported = reported_keys()
    return [
        Removable(folder, _size(folder), (folder / RECORD).is_file())
        for folder in folders
        if (unfinished or (folder / RECORD).is_file())
        and run_key_of(folder) not in reported
        and not any(is_called(folder, name) for name in keep)
        and not is_in_training(folder)
    ]


def reported_keys() -> set[str]:
    """The keys of all runs that stand in a report. Raises DcmqError for a record that cannot be read."""
    keys: set[str] = set()
    for path in sorted(reports_dir().rglob(RECORD)):
        try:
            record = read_sealed(path, "what it refers to is not known: repair or delete it")
            keys |= {run["key"] for run in record.get("runs", ())}
        except (TypeError, KeyError, AttributeError):
            raise DcmqError(f"{path} is no record of a report, so what it refers to is not known: delete it") from None
    return keys


def remove_run(folder: Path) -> bool:
    """Remove the run in ``folder``, unless a process trains it. Returns whether it is gone."""
    gone = folder.with_name(f".removed-{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)  # what an interrupted removal left
    try:
        with FileLock(folder / ".lock", timeout=0):
            folder.rename(gone)  # whoever looks for the run sees all of it, or nothing
    except Timeout:
        return False
    shutil.rmtree(gone)
    return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

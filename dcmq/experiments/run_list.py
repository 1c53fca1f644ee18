"""The runs that there are: read from their folders, filtered, sorted, and found by the beginning of a name.

Nothing slow is imported, so that a list of many runs is there at once.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, runs_dir
from dcmq.core.sealed import read_sealed
from dcmq.experiments.run_files import CHECKPOINT, INPUTS, RECORD, name_parts

_NEWEST = 4  # named where a run is not found


@dataclass(frozen=True)
class RunRow:
    """The row of a run in a list; what its folder does not say is None.

    Attributes:
        label: the target of a run of DCMQ, else the method, as in the name of the folder.
        parts: a loss and a quantizer that are not DCMQ's own, as ``loss=mine quantizer=mine``.
        epochs: how many are trained.
        i2t, t2i: mAP@all on the judged gallery: the items that were not trained on, where there are any.
        i2t_at_r, t2i_at_r: mAP@R (hits), on the same. r: that R.
        seconds: of training. finished: when, in ISO format; None for a run that is not.
    """

    folder: Path
    key: str
    label: str
    method: str | None = None
    target: str | None = None
    parts: str = ""
    bits: int | None = None
    dataset: str | None = None
    teacher: str | None = None
    seed: int | None = None
    epochs: int | None = None
    i2t: float | None = None
    t2i: float | None = None
    r: int | None = None
    i2t_at_r: float | None = None
    t2i_at_r: float | None = None
    seconds: float | None = None
    finished: str | None = None

    def to_dict(self) -> dict:
        """The attributes as plain values, for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


COLUMNS = tuple(name for name in RunRow.__dataclass_fields__ if name not in ("folder", "label"))  # to sort by


def list_runs() -> tuple[list[RunRow], list[str]]:
    """All runs, the newest first and the unfinished after them; and a line for each folder that cannot be read."""
    rows, problems = [], []
    for folder in run_folders():
        try:
            rows.append(run_row(folder))
        except DcmqError as error:
            problems.append(str(error))
    return sorted_runs(rows, "finished", reverse=True), problems


def run_folders() -> list[Path]:
    """Every folder of a run, finished or not, by name."""
    return [folder for folder in sorted(runs_dir().iterdir()) if _is_run(folder)]


def run_row(folder: Path) -> RunRow:
    """The row of the run in ``folder``. Raises DcmqError where its record or its checkpoint is damaged."""
    if not (folder / RECORD).is_file():
        return _unfinished_row(folder)
    try:
        return _finished_row(folder, read_record(folder))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        lacking = f" (it lacks {error})" if isinstance(error, KeyError) else ""
        raise DcmqError(f"{folder / RECORD} is no record of a run{lacking}: delete it, and run again") from None


def _finished_row(folder: Path, record: dict) -> RunRow:
    config, measured = record["config"], record["evaluation"]
    judged = {direction: judged_metrics(measured[direction]) for direction in ("i2t", "t2i")}
    return RunRow(
        folder=folder,
        key=record["key"],
        label=config.get("target") or config["method"],
        method=config["method"],
        target=config.get("target"),
        parts=_other_parts(config),
        bits=config["student"]["bits"],
        dataset=record["dataset"]["name"],
        teacher=record["teacher"]["name"],
        seed=config["seed"],
        epochs=len(record["losses"]),
        i2t=judged["i2t"]["mAP@all"],
        t2i=judged["t2i"]["mAP@all"],
        r=measured["R"],
        i2t_at_r=_at_r(judged["i2t"]),
        t2i_at_r=_at_r(judged["t2i"]),
        seconds=record["training_seconds"],
        finished=record["finished"],
    )


def judged_metrics(galleries: dict) -> dict:
    """The metrics of the gallery that verdicts are about, out of a direction's metrics by gallery; empty where it has none.

    The same as :func:`dcmq.retrieval.galleries.judged_gallery` says, which is slow to import.
    """
    return galleries.get("unseen", galleries.get("gallery", {}))


def _other_parts(config: dict) -> str:
    chosen = {
        "loss": (config.get("loss"), TrainConfig.model_fields["loss"].default),
        "quantizer": (config["student"].get("quantizer"), StudentConfig.model_fields["quantizer"].default),
    }
    return " ".join(f"{name}={value}" for name, (value, usual) in chosen.items() if value not in (None, usual))


def read_record(folder: Path) -> dict:
    """The record of the finished run in ``folder``.

    Raises:
        DcmqError: the run is not finished, or its record is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        raise DcmqError(f"{folder} is no finished run; {newest_runs()}")
    record = read_sealed(path, "run its notebook again, and the run is measured anew")
    named = name_parts(folder.name)  # a folder that dcmq push wrote has any name
    if named and record.get("key", named["key"]) != named["key"]:
        raise DcmqError(f"{path} is that of run {record['key']}: delete it and run the notebook again, and the run is measured anew")
    return record


def select_runs(rows: Iterable[RunRow], **wanted: str | int | None) -> list[RunRow]:
    """The rows whose columns have the values in ``wanted``; None asks for nothing.

    The label of an unfinished run stands for its method or its target, whichever is asked for.
    """
    asked = {name: value for name, value in wanted.items() if value is not None}

    def fits(row: RunRow, name: str, value: str | int) -> bool:
        own = getattr(row, name)
        return value == (row.label if own is None and name in ("method", "target") and not row.finished else own)

    return [row for row in rows if all(fits(row, name, value) for name, value in asked.items())]


def sorted_runs(rows: Iterable[RunRow], column: str, reverse: bool = False) -> list[RunRow]:
    """The rows by one of :data:`COLUMNS`; those without a value in it come last, in either direction."""
    rows = list(rows)
    known = [row for row in rows if getattr(row, column) is not None]
    known.sort(key=lambda row: getattr(row, column), reverse=reverse)
    return known + [row for row in rows if getattr(row, column) is None]


def find_run_folder(name: str) -> Path:
    """The folder of a finished run, named by its path, or by the beginning of its key or of its folder's name.

    Raises:
        DcmqError: no run is called so, several are, or the one that is called so is not finished.
    """
    if name and Path(name).is_dir():
        return Path(name)
    called_so = [folder for folder in run_folders() if name and is_called(folder, name)]
    folders = [folder for folder in called_so if (folder / RECORD).is_file()]
    if len(folders) == 1:
        return folders[0]
    if folders:
        some = ", ".join(folder.name for folder in folders[:_NEWEST]) + (", ..." if len(folders) > _NEWEST else "")
        raise DcmqError(f"{len(folders)} runs are called {name!r}: {some}; name one by its key")
    if called_so:
        raise DcmqError(f"{called_so[0].name} is not finished: run its notebook again, and it goes on; {newest_runs()}")
    raise DcmqError(f"there is no run {name!r}; {newest_runs()}")


def is_called(folder: Path, name: str) -> bool:
    """Tell whether ``name`` is the beginning of the name or of the key of the run in ``folder``."""
    return folder.name.startswith(name) or run_key_of(folder).startswith(name)


def run_key_of(folder: Path) -> str:
    """The key of the run in ``folder``, from the folder's name."""
    return folder.name.rpartition("-")[2]


def newest_runs() -> str:
    """The end of a message: which finished runs are the newest, or how to make one."""
    files = sorted(runs_dir().glob(f"*/{RECORD}"), key=lambda file: -file.stat().st_mtime)
    names = ", ".join(display_path(file.parent) for file in files[:_NEWEST])
    return f"the newest are {names}" if names else "run a notebook first, such as notebooks/quickstart.ipynb"


def is_in_training(folder: Path) -> bool:
    """Tell whether a process holds the lock of the run in ``folder``."""
    if not (folder / ".lock").exists():
        return False
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a place where nobody can write, so nobody trains there
        return False


def _is_run(folder: Path) -> bool:
    return not folder.name.startswith(".") and any((folder / name).is_file() for name in (RECORD, CHECKPOINT, INPUTS))


def _unfinished_row(folder: Path) -> RunRow:
    name = name_parts(folder.name)
    facts = {"label": folder.name, "key": run_key_of(folder)}
    if name:
        facts = {"label": name["label"], "key": name["key"], "bits": int(name["bits"]), "seed": int(name["seed"])}
    return RunRow(folder, **facts, epochs=_trained_epochs(folder / CHECKPOINT))


def _trained_epochs(checkpoint: Path) -> int:
    """The number of epochs in a checkpoint: the length of its loss history; 0 where there is no checkpoint."""
    if not checkpoint.is_file():
        return 0
    try:
        with safe_open(str(checkpoint), framework="numpy") as file:
            histories = [name for name in file.keys() if name.startswith("history.")]  # noqa: SIM118 (not a dict)
            return file.get_slice(histories[0]).get_shape()[0] if histories else 0
    except (SafetensorError, OSError) as error:
        raise DcmqError(f"{checkpoint} cannot be read ({error}): delete it, and run again") from None


def _at_r(metrics: dict) -> float:
    """mAP@R (hits), whatever R is."""
    return next(value for name, value in metrics.items() if name.endswith("(hits)"))

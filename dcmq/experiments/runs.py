"""Runs that are recorded, found again and never repeated: the only way notebooks train."""

import atexit
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from filelock import Timeout
from safetensors import SafetensorError, safe_open

from dcmq.config import RunConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.executors import torch_threads
from dcmq.core.paths import runs_dir
from dcmq.core.sealed import BrokenSeal, read_sealed, sealed
from dcmq.core.storage import locked, sweep, write_json
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.keys import evaluation_fingerprint, run_key
from dcmq.experiments.records import finished_record, make_record
from dcmq.experiments.run_files import CHECKPOINT, INPUTS, RECORD, folder_name
from dcmq.methods.base import FitResult, FitTask
from dcmq.methods.dcmq.student import Student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.methods.registry import METHODS
from dcmq.retrieval import evaluate as evaluation
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.loop import Progress
from dcmq.training.processes import by_first, world_size


class TrainedElsewhere(Exception):
    """Somebody else is at a run: another process, or another machine that shares the folder of runs."""


def run(
    config: RunConfig,
    dataset: RetrievalDataset,
    teacher: TeacherEmbeddings,
    on_epoch_end: Callable[[Progress], None] | None = None,
    r: int = 5000,
    wait: bool = True,
) -> dict:
    """The record of the run that ``config`` describes: a finished one, or one made now.

    Training goes on from the last epoch that was finished. A run that is trained is only measured again, where ``r`` or the
    code that measures has changed. The record is kept as ``record.json`` in :func:`run_folder`; a run that stands in a report
    under ``$DCMQ_PUBLISHED`` is not repeated either. Under ``torchrun`` all its processes train the run together.

    Args:
        on_epoch_end: called after each epoch that is trained now.
        r: R of mAP@R (hits).
        wait: False: do not wait for somebody else, on any machine that shares the folder, who is at this run.

    Raises:
        TrainedElsewhere: somebody is, and ``wait`` is False.
        DcmqError: settings that cannot be trained, a loss that is not finite, or replaced code, see :func:`run_key`.
    """
    if world_size() > 1:
        _leave_the_group_at_exit()
    key = run_key(config, dataset, teacher)
    record_file = run_folder(config, key) / RECORD

    def finished() -> dict | None:
        return finished_record(key, record_file, r)

    if record := by_first(finished):
        return record
    folder = _prepared_folder(config, key, dataset)
    with _locked(folder, wait):
        if record := by_first(finished):  # by the process that had the lock
            return record
        with torch_threads(config.threads), _global_randomness(config.seed):
            task = FitTask(config, dataset, teacher, checkpoint_file(folder), key, on_epoch_end)
            with _named(task):
                fitted = METHODS[config.method].fit(task)
            return by_first(lambda: _measured(task, fitted, record_file, r))


@contextmanager
def _named(task: FitTask):
    """Let what a method refuses say of which run: of many that a notebook plans it may be the only one."""
    try:
        yield
    except DcmqError as error:
        config = task.config
        method = config.method if config.label == config.method else f"{config.method} ({config.label})"
        run_of = f"{method} of {config.student.bits} bits, seed {config.seed}, on {task.dataset.name}"
        raise DcmqError(f"{run_of}: {error}") from None


@cache
def _leave_the_group_at_exit() -> None:
    """Let this process leave the others in order: else the threads that talk to them may end it by an abort."""

    def leave() -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    atexit.register(leave)


def _measured(task: FitTask, fitted: FitResult, record_file: Path, r: int) -> dict:
    """The record of a run that is trained, evaluated now and written."""
    config, start = task.config, time.perf_counter()
    metrics = evaluation.evaluate(fitted.retriever, task.dataset, r)
    seconds = round(time.perf_counter() - start, 2)
    if run_key(config, task.dataset, task.teacher) != task.key:
        raise DcmqError(
            f"{config.label}: a part of your own changed what it reads while it was trained, so the run could not be "
            "recognised again: let it read only what stays the same"
        )
    measured = {"R": r, "code": evaluation_fingerprint(), "seconds": seconds, **metrics}
    record = make_record(config, task.dataset, task.teacher, task.key, fitted, measured)
    write_json(record_file, sealed(record))
    return record


@contextmanager
def _locked(folder: Path, wait: bool):
    """Hold the run's folder, for all processes that train it together."""
    with ExitStack() as held:

        def acquire() -> None:
            try:
                held.enter_context(locked(folder / ".lock", -1 if wait else 0))
            except Timeout:
                raise TrainedElsewhere(folder.name) from None
            sweep(folder)

        by_first(acquire)
        yield


def checkpoint_file(folder: Path) -> Path:
    """The checkpoint in a run's folder."""
    return folder / CHECKPOINT


def run_folder(config: RunConfig, key: str) -> Path:
    """Where the run's record and checkpoint lie: ``runs/<method or target>-<bits>bits-seed<seed>-<key>``."""
    return runs_dir() / folder_name(config.label, config.student.bits, config.seed, key)


def epochs_done(folder: Path) -> int:
    """The number of epochs that the checkpoint in a run's folder has; 0 where there is none that can be read."""
    try:
        with safe_open(str(checkpoint_file(folder)), framework="np") as file:
            counts = [file.get_slice(name).get_shape()[0] for name in file.keys() if name.startswith("history.")]  # noqa: SIM118
            return max(counts, default=0)
    except (OSError, SafetensorError):
        return 0


def _prepared_folder(config: RunConfig, key: str, dataset: RetrievalDataset) -> Path:
    """The run's folder, with what its student must be told to read other images and texts."""
    folder = run_folder(config, key)
    if not _are_of(folder / INPUTS, key):
        inputs = {
            "key": key,
            "vocabulary": dataset.vocabulary,
            "dataset_image_size": dataset.images.shape[1],
            "word_pattern": dataset.word_pattern,
        }
        write_json(folder / INPUTS, sealed(inputs))
    return folder


def _are_of(inputs: Path, key: str) -> bool:
    """True where the file is there, as it was written, for the run ``key``."""
    try:
        return read_sealed(inputs, "").get("key") == key
    except BrokenSeal:
        return False


def trained_student(config: TrainConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings) -> Student:
    """The student of a run of DCMQ, trained now if need be."""
    key = run_key(config, dataset, teacher)
    folder = _prepared_folder(config, key, dataset)
    with _locked(folder, wait=True), torch_threads(config.threads):
        return Trainer(config, dataset, teacher, checkpoint_file(folder), key).run()


@contextmanager
def _global_randomness(seed: int):
    """Random numbers that a part of the user's draws from torch or numpy themselves are the same in each run of a ``seed``. The
    package's own come from streams of their own; a run that is resumed has other ones than one that is not."""
    numpys = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpys)

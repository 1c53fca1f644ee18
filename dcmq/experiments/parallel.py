"""Many runs, several at a time, here or on a cluster."""

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import wait
from functools import cache

import cloudpickle
from tqdm.auto import tqdm

from dcmq.config import RunConfig
from dcmq.core import own_parts
from dcmq.core.errors import DcmqError
from dcmq.core.executors import open_executor, retried, scheduler_address, was_lost
from dcmq.core.paths import display_path, runs_dir
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.keys import run_key
from dcmq.experiments.records import finished_record
from dcmq.experiments.run_files import RECORD
from dcmq.experiments.runs import TrainedElsewhere, epochs_done, run, run_folder
from dcmq.experiments.setup import ExperimentSetup
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.processes import is_first, world_size

Run = tuple[RunConfig, ExperimentSetup]
_POLL = 0.5  # seconds between two looks at what others have done
_alone = threading.Lock()  # a worker of a cluster may have threads; runs share the random numbers of a process


def run_all(runs: Iterable[Run], workers: int = 2, r: int = 5000, scheduler: str = "") -> list[dict]:
    """The records of ``runs``, settings with data and teacher, in order; several at a time, with one bar over all epochs that
    are still to train.

    Each run keeps to ``config.threads`` CPU threads, so ``workers`` changes the time and not the result. Where a process is
    killed, the others go on, and what it trained is tried again afterwards, at most twice, with a process fewer each time. A run
    that somebody else is at, on any machine that shares the folder of runs, is left for later. Under ``torchrun``, its processes
    train each run together, one after the other.

    Args:
        scheduler: address of a Dask scheduler whose workers train, in the place of ``workers`` processes of this machine; they
            must share the folder of runs. Empty: what ``$DCMQ_SCHEDULER`` names, else this machine.

    Raises:
        DcmqError: as :func:`dcmq.experiments.runs.run`; a run whose process was killed each time; or an interruption: then no
            process is left. In each case nothing that was trained is lost.
    """
    runs, load, scheduler = list(runs), _loader(), scheduler_address(scheduler)
    if world_size() > 1:
        workers, scheduler = 1, ""
    keys = [run_key(config, *load(setup)) for config, setup in runs]
    keyed = dict(zip(keys, runs, strict=True))  # each once, however often it is asked for
    files = {key: run_folder(config, key) / RECORD for key, (config, _) in keyed.items()}
    missing = {key: keyed[key] for key, file in files.items() if not finished_record(key, file, r)}
    try:
        with _Bar(
            {key: run for key, run in missing.items() if not files[key].is_file()}
        ) as bar:  # others are only measured
            if scheduler and missing:
                _train_elsewhere(missing, load, workers, r, bar, scheduler)
            elif min(workers, len(missing)) > 1:
                _train_elsewhere(missing, load, min(workers, len(missing)) - 1, r, bar)
            made = {key: run(config, *load(setup), bar.look, r) for key, (config, setup) in keyed.items()}
            return [made[key] for key in keys]
    except KeyboardInterrupt:
        finished = sum(finished_record(key, file, r) is not None for key, file in files.items())
    raise DcmqError(  # outside the handler: its lines would only hide this one
        f"interrupted: {finished} of {len(files)} runs are finished; started again, the others go on from their last epoch"
    )


class _Bar:
    """A bar over the epochs of runs that are still to train. What was trained is read from the runs' folders, whoever did it."""

    def __init__(self, runs: Mapping[str, Run]):
        self._epochs = {run_folder(config, key): config.total_epochs for key, (config, _) in runs.items()}
        self._bar = tqdm(total=sum(self._epochs.values()), unit="epoch", desc="training", disable=not runs or not is_first())

    def __enter__(self) -> "_Bar":
        self.look()
        return self

    def __exit__(self, *_) -> None:
        self.look()
        self._bar.close()

    def look(self, *_) -> None:
        """Show what is done by now."""
        done = 0
        for folder, epochs in self._epochs.items():
            done += epochs if (folder / RECORD).is_file() else epochs_done(folder)
        self._bar.update(done - self._bar.n)

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)


def _train_elsewhere(
    todo: Mapping[str, Run], load: Callable, processes: int, r: int, bar: _Bar, scheduler: str = ""
) -> None:
    """Train ``todo``, by key, in ``processes`` beside this one, which takes those that no other has begun; or by a cluster."""
    names = {key: run_folder(config, key).name for key, (config, _) in todo.items()}

    def once(keys: Collection[str], attempt: int) -> Collection[str]:
        some, fewer = {key: todo[key] for key in keys}, max(1, processes - attempt)
        return _begun_and_lost(some, load, fewer, r, bar, scheduler, here=not (attempt or scheduler))

    retried(names, once, bar.write, "set workers to 1, or lower batch_size; the other runs are finished")


def _begun_and_lost(
    todo: Mapping[str, Run], load: Callable, processes: int, r: int, bar: _Bar, scheduler: str, here: bool
) -> Collection[str]:
    """Train ``todo`` once; the keys of those whose process was killed. With ``here``, this process trains too."""
    parts = own_parts.pack()
    with open_executor(processes, scheduler) as executor:
        futures = {key: executor.submit(_work, parts, cloudpickle.dumps((*todo[key], r, key))) for key in todo}
        for key in reversed(futures):
            if here and futures[key].cancel():  # no other process has begun it: this one need not wait either
                config, setup = todo[key]
                _unless_elsewhere(config, load(setup), r, bar.look)
        while not all(future.done() for future in futures.values()):
            wait(futures.values(), timeout=_POLL)
            bar.look()
    errors = {
        key: future.exception() for key, future in futures.items() if not future.cancelled() and future.exception()
    }
    lost = [key for key, error in errors.items() if was_lost(error)]
    for key in errors.keys() - lost:
        raise errors[key]
    for key, (config, _) in todo.items():
        unseen = (
            scheduler and key not in lost and futures[key].result() and not (run_folder(config, key) / RECORD).is_file()
        )
        if unseen:
            raise DcmqError(
                f"{run_folder(config, key).name}: the cluster trained it, and its record is not in {display_path(runs_dir())}: "
                "start the workers with DCMQ_HOME set to a folder that they share with this machine"
            )
    return lost


def _unless_elsewhere(config: RunConfig, loaded: tuple, r: int, on_epoch_end: Callable | None = None) -> bool:
    """Train a run, unless somebody is at it. True where it is finished."""
    try:
        run(config, *loaded, on_epoch_end, r, wait=False)
    except TrainedElsewhere:
        return False
    return True


def _work(parts: bytes, task: bytes) -> bool:
    """Train a run in another process. True where it is finished, False where somebody else is at it."""
    with _alone:
        _unpack(parts)  # first: settings may be of a class that a cell defines
        config, setup, r, key = cloudpickle.loads(task)
        loaded = _load(setup)
        if run_key(config, *loaded) != key:
            raise DcmqError(
                f"{config.label}: another process finds other code than this one, as a file was edited after it was imported: "
                "restart the kernel, and the workers of a cluster"
            )
        return _unless_elsewhere(config, loaded, r)


_unpack = cache(own_parts.unpack)


def _loader() -> Callable[[ExperimentSetup], tuple[RetrievalDataset, TeacherEmbeddings]]:
    """A function that loads each setup once."""
    return cache(lambda setup: setup.load())


_load = _loader()  # of a process that trains for another

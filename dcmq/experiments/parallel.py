"""Many runs, several at a time."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace

import cloudpickle
from tqdm.auto import tqdm

from dcmq.config import RunConfig
from dcmq.core import own_parts
from dcmq.core.errors import DcmqError
from dcmq.core.processes import mend_main
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.keys import run_key
from dcmq.experiments.records import finished_record
from dcmq.experiments.run_files import RECORD
from dcmq.experiments.runs import run, run_folder
from dcmq.experiments.setup import ExperimentSetup
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.loop import Progress

Run = tuple[RunConfig, ExperimentSetup]
_worker = SimpleNamespace()  # of a process that helps: updates, and what it loads


def _start_worker(parts: bytes, updates) -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    own_parts.unpack(parts)
    _worker.load, _worker.updates = _loader(), updates


def _loader() -> Callable[[ExperimentSetup], tuple[RetrievalDataset, TeacherEmbeddings]]:
    """A function that loads each setup once."""
    return cache(lambda setup: setup.load())


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, as when a kernel is killed: nobody would collect what it trains."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(task: bytes) -> dict:
    config, setup, r, key = cloudpickle.loads(task)  # settings may be of a class that a cell defines
    loaded = _worker.load(setup)
    if run_key(config, *loaded) != key:
        raise DcmqError(
            f"{config.label}: another process finds other code than this one, as a file was edited after it was imported: "
            "restart the kernel"
        )

    def on_epoch_end(progress: Progress) -> None:
        _worker.updates.put(1)

    return run(config, *loaded, on_epoch_end, r)


def run_all(runs: Iterable[Run], workers: int = 2, r: int = 5000) -> list[dict]:
    """The records of ``runs``, settings with data and teacher, in order; several at a time, with one bar over all epochs that
    are still to train.

    Each run keeps to ``config.threads`` CPU threads, so ``workers`` changes the time and not the result.

    Raises:
        DcmqError: as :func:`dcmq.experiments.runs.run`, or an interruption: then no process is left, and nothing is lost.
    """
    runs, load = list(runs), _loader()
    keys = [run_key(config, *load(setup)) for config, setup in runs]
    keyed = dict(zip(keys, runs, strict=True))  # each once, however often it is asked for
    files = {key: run_folder(config, key) / RECORD for key, (config, _) in keyed.items()}
    missing = [key for key, file in files.items() if not finished_record(key, file, r)]
    epochs = sum(keyed[key][0].total_epochs for key in missing if not files[key].is_file())  # others are only measured
    others = min(workers, len(missing)) - 1
    try:
        with tqdm(total=epochs, unit="epoch", desc="training", disable=not epochs) as bar:
            if others > 0:
                _train_beside({key: keyed[key] for key in missing}, load, others, r, bar)
            made = {key: run(config, *load(setup), lambda _: bar.update(), r) for key, (config, setup) in keyed.items()}
            return [made[key] for key in keys]
    except KeyboardInterrupt:
        finished = sum(finished_record(key, file, r) is not None for key, file in files.items())
    raise DcmqError(  # outside the handler: its lines would only hide this one
        f"interrupted: {finished} of {len(files)} runs are finished; started again, the others go on from their last epoch"
    )


def _train_beside(todo: Mapping[str, Run], load: Callable, others: int, r: int, bar: tqdm) -> None:
    """Train ``todo``, by key, here and in ``others`` further processes; each takes a run that no other has begun."""
    mend_main()
    parts, context, before = own_parts.pack(), multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with ExitStack() as stack:
        try:
            with _interrupts_held():
                updates = context.Queue()
                pool = stack.enter_context(ProcessPoolExecutor(others, context, _start_worker, (parts, updates)))
                tasks = [cloudpickle.dumps((*run, r, key)) for key, run in todo.items()]
                futures = [pool.submit(_work, task) for task in tasks]

            def show() -> None:
                while not updates.empty():
                    bar.update(updates.get())

            def here(_) -> None:
                bar.update()
                show()

            for (config, setup), future in reversed(list(zip(todo.values(), futures, strict=True))):
                if future.cancel():  # no other process has begun it: this one need not wait either
                    run(config, *load(setup), here, r)
            while not all(f.done() for f in futures):
                wait(futures, timeout=0.5)
                show()
            for future in futures:
                if not future.cancelled():
                    future.result()
        except BaseException:  # else the pool would train on to the end of what it has begun
            for process in set(multiprocessing.active_children()) - set(before):
                process.terminate()
            raise


@contextmanager
def _interrupts_held():
    """Start processes in the block that an interruption does not reach: this one ends them, so none writes a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

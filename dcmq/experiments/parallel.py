"""Many runs, several at a time."""

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, wait

import cloudpickle
from tqdm.auto import tqdm

from dcmq.config import RunConfig
from dcmq.core import own_parts
from dcmq.experiments.keys import run_key
from dcmq.experiments.records import finished_record
from dcmq.experiments.run_files import RECORD
from dcmq.experiments.runs import run, run_folder
from dcmq.experiments.setup import ExperimentSetup
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.loop import Progress

_worker: dict = {}


def _start_worker(parts: bytes, setup: ExperimentSetup, teacher: TeacherEmbeddings, updates) -> None:
    own_parts.unpack(parts)
    _worker.update(dataset=setup.data(), teacher=teacher, updates=updates)


def _work(task: bytes) -> dict:
    config, r = cloudpickle.loads(task)  # settings may be of a class that a cell defines

    def on_epoch_end(progress: Progress) -> None:
        _worker["updates"].put(1)

    return run(config, _worker["dataset"], _worker["teacher"], on_epoch_end, r)


def run_all(configs: Iterable[RunConfig], setup: ExperimentSetup, workers: int = 2, r: int = 5000) -> list[dict]:
    """The records of ``configs`` in order, several at a time, with one bar over all epochs that are still to train.

    Each run keeps to ``config.threads`` CPU threads, so ``workers`` changes the time and not the result.
    """
    configs = list(configs)
    dataset, teacher = setup.load()  # embeds once, before the workers look for it
    keyed = {run_key(c, dataset, teacher): c for c in configs}  # each once, however often it is asked for
    files = {key: run_folder(c, key) / RECORD for key, c in keyed.items()}
    missing = [key for key, file in files.items() if not finished_record(key, file, r)]
    todo = [keyed[key] for key in missing]
    epochs = sum(keyed[key].total_epochs for key in missing if not files[key].is_file())  # others are only measured
    if len(todo) <= 1 or workers <= 1:
        with tqdm(total=epochs, unit="epoch", desc="training", disable=not epochs) as bar:
            return [run(c, dataset, teacher, lambda _: bar.update(), r) for c in configs]
    parts, context = own_parts.pack(), multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        tqdm(total=epochs, unit="epoch", desc="training", disable=not epochs) as bar,
    ):
        updates = manager.Queue()

        def show(_=None) -> None:
            while not updates.empty():
                bar.update(updates.get())

        def here(_) -> None:
            bar.update()
            show()

        others = min(workers, len(todo)) - 1
        with ProcessPoolExecutor(others, context, _start_worker, (parts, setup, teacher, updates)) as pool:
            futures = [pool.submit(_work, cloudpickle.dumps((c, r))) for c in todo]
            for config, future in reversed(list(zip(todo, futures, strict=True))):
                if future.cancel():  # no other process has begun it: this one need not wait either
                    run(config, dataset, teacher, here, r)
            while not all(f.done() for f in futures):
                wait(futures, timeout=0.5)
                show()
            for future in futures:
                if not future.cancelled():
                    future.result()
    return [run(c, dataset, teacher, r=r) for c in configs]

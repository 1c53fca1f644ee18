"""Runs that are recorded, found again and never repeated: the only way notebooks train."""

import json
import multiprocessing
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock
from tqdm.auto import tqdm

import dcmq
from dcmq.config import RunConfig, TrainConfig
from dcmq.data import load_dataset
from dcmq.data.dataset import RetrievalDataset
from dcmq.encoders import weights_fingerprint
from dcmq.epochs import Progress
from dcmq.evaluation import evaluate
from dcmq.methods import METHODS
from dcmq.methods.base import Fitted, Job
from dcmq.models import Student
from dcmq.core.paths import runs_dir
from dcmq.core.hashing import digest
from dcmq.core.storage import write_json
from dcmq.teachers import embed, resolve_teacher
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training import Trainer

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "scikit-learn", "pillow", "lightning-fabric")
INPUTS = "inputs.json"  # in a run's folder
# What a run's weights depend on besides its settings: a change to any of these files makes a new run.
_TRAINING = (
    "codes.py",
    "encoders.py",
    "epochs.py",
    "inputs.py",
    "losses.py",
    "models.py",
    "quantizer.py",
    "retrieval.py",
    "targets.py",
    "training.py",
    "methods/base.py",
)
# What its measurements depend on as well: after a change to any of these, finished runs are measured again.
_EVALUATION = ("codewords.py", "evaluation.py", "metrics.py")


@dataclass(frozen=True)
class Workspace:
    """A data set and a teacher by name, as every process of an experiment loads them."""

    dataset: str
    teacher: str
    root: str = ""
    options: dict = field(default_factory=dict)
    validation: bool = False  # choose settings here: queries cut from train, never the real ones

    def load(self) -> tuple[RetrievalDataset, TeacherEmbeddings]:
        """The data and the teacher's embeddings of it, from the cache if they were made before."""
        whole = load_dataset(self.dataset, self.root, **self.options)
        return self._view(whole), embed(resolve_teacher(self.teacher, self.dataset), whole)

    def data(self) -> RetrievalDataset:
        """The data alone."""
        return self._view(load_dataset(self.dataset, self.root, **self.options))

    def _view(self, whole: RetrievalDataset) -> RetrievalDataset:
        return whole.validation_view() if self.validation else whole


@lru_cache
def code_fingerprint(method: str = "DCMQ") -> str:
    """Hash of the modules that decide what a method's run learns."""
    return _digest_of([*_TRAINING, *(f"methods/{name}" for name in METHODS[method].sources)])


@lru_cache
def evaluation_fingerprint() -> str:
    """Hash of the modules that, with those, decide what is measured of it."""
    return _digest_of(_EVALUATION)


def _digest_of(names: Iterable[str]) -> str:
    folder = Path(__file__).parent
    return digest(*((folder / name).read_bytes() for name in names))


def run_key(config: RunConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings) -> str:
    """Identifies a run: settings, data with split, teacher, and the code that trains and measures."""
    settings = config.model_dump(mode="json")
    for weights in ("backbone_weights", "text_weights"):
        settings["student"][weights] = weights_fingerprint(settings["student"][weights])
    return digest(settings, dataset.fingerprint, teacher.fingerprint, code_fingerprint(config.method))


def run(config: RunConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, report=None, r: int = 5000) -> dict:
    """The record of a finished run: the stored one, or after training, which goes on where it was interrupted.

    A run that is trained is only measured anew where ``r`` or the code that measures has changed. The record is ``runs/<method or target>-<key>/record.json``: settings, fingerprints, versions, timings, losses, metrics.
    ``$DCMQ_PUBLISHED`` may name a folder of reports: a run that stands in one of their records is not repeated either.
    """
    key = run_key(config, dataset, teacher)
    if published := _published_record(key, r):
        return published
    folder = _prepared_folder(config, key, dataset)
    with FileLock(folder / ".lock"):
        record_file = folder / "record.json"
        if stored := _stored_record(record_file, r):
            return stored
        with _threads(config.threads):
            fitted = METHODS[config.method].fit(Job(config, dataset, teacher, checkpoint(folder), key, report))
            start = time.perf_counter()
            metrics = evaluate(fitted.retriever, dataset, r)
        record = _record(config, dataset, teacher, key, fitted)
        seconds = round(time.perf_counter() - start, 2)
        record["evaluation"] = {"R": r, "code": evaluation_fingerprint(), "seconds": seconds, **metrics}
        if int(os.environ.get("RANK", 0)) == 0:
            write_json(record_file, record)
    return record


def _stored_record(file: Path, r: int) -> dict | None:
    """The record in ``file`` if it is there and measured as it would be now."""
    record = json.loads(file.read_text()) if file.is_file() else None
    return record if record and _is_current(record, r) else None


def _published_record(key: str, r: int) -> dict | None:
    record = _published(os.environ.get("DCMQ_PUBLISHED", "")).get(key)
    return record if record and _is_current(record, r) else None


def _is_current(record: dict, r: int) -> bool:
    measured = record["evaluation"]
    return measured["R"] == r and measured.get("code") == evaluation_fingerprint()


def checkpoint(folder: Path) -> Path:
    """The checkpoint in a run's folder."""
    return folder / "checkpoint.safetensors"


def run_folder(config: RunConfig, key: str) -> Path:
    """Where the run's record and checkpoint lie."""
    return runs_dir() / f"{config.label}-{config.student.bits}bits-seed{config.seed}-{key}"


def _prepared_folder(config: RunConfig, key: str, dataset: RetrievalDataset) -> Path:
    """The run's folder, with what its student must be told to read other pictures and texts."""
    folder = run_folder(config, key)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / INPUTS).is_file():
        write_json(folder / INPUTS, {"vocabulary": dataset.vocabulary, "picture_size": dataset.images.shape[1]})
    return folder


def trained_student(config: TrainConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings) -> Student:
    """The student of a run of DCMQ, trained now if need be."""
    key = run_key(config, dataset, teacher)
    folder = _prepared_folder(config, key, dataset)
    with FileLock(folder / ".lock"), _threads(config.threads):
        return Trainer(config, dataset, teacher, checkpoint(folder), key).run()


@contextmanager
def _threads(number: int):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _published(folder: str) -> dict[str, dict]:
    """Run records by key, from the report records under ``folder``."""
    files = sorted(Path(folder).rglob("record.json")) if folder else []
    return {record["key"]: record for file in files for record in json.loads(file.read_text())["runs"]}


def _record(config, dataset, teacher, key: str, fitted: Fitted) -> dict:
    return {
        "key": key,
        "config": config.model_dump(mode="json"),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "split": dataset.split.hash,
            "choices": dataset.choices,
        },
        "teacher": {
            "name": teacher.name,
            "resolved": teacher.resolved,
            "parameters": teacher.parameters,
            "fingerprint": teacher.fingerprint,
        },
        "backbone": weights_fingerprint(config.student.backbone_weights),
        "bytes_per_item": fitted.retriever.bytes_per_item,
        "student_parameters": fitted.parameters,
        "training_seconds": round(fitted.seconds, 2),
        "losses": fitted.history,
        "device": fitted.device,
        "machine": f"{platform.system()} {platform.machine()}",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_fingerprint(config.method),
        "git": git_revision(),
        "versions": {"dcmq": dcmq.__version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


def git_revision() -> str:
    """The checkout's commit, with ``+`` if files differ from it; ``unknown`` outside a checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


_worker: dict = {}


def _start_worker(workspace: Workspace, teacher: TeacherEmbeddings, updates) -> None:
    _worker.update(dataset=workspace.data(), teacher=teacher, updates=updates)


def _work(config: RunConfig, r: int) -> dict:
    def report(progress: Progress) -> None:
        _worker["updates"].put(1)

    return run(config, _worker["dataset"], _worker["teacher"], report, r)


def run_all(configs: Iterable[RunConfig], workspace: Workspace, workers: int = 2, r: int = 5000) -> list[dict]:
    """The records of ``configs`` in order, several at a time, with one bar over all epochs that are still to train.

    Each run keeps to ``config.threads`` CPU threads, so ``workers`` changes the time and not the result.
    """
    configs = list(configs)
    dataset, teacher = workspace.load()  # embeds once, before the workers look for it
    keyed = {run_key(c, dataset, teacher): c for c in configs}  # each once, however often it is asked for
    files = {key: run_folder(c, key) / "record.json" for key, c in keyed.items()}
    missing = [key for key, file in files.items() if not (_published_record(key, r) or _stored_record(file, r))]
    todo = [keyed[key] for key in missing]
    epochs = sum(keyed[key].total_epochs for key in missing if not files[key].is_file())  # others are only measured
    if len(todo) <= 1 or workers <= 1:
        with tqdm(total=epochs, unit="epoch", desc="training") as bar:
            return [run(c, dataset, teacher, lambda _: bar.update(), r) for c in configs]
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        tqdm(total=epochs, unit="epoch", desc="training") as bar,
    ):
        updates = manager.Queue()

        def show(_=None) -> None:
            while not updates.empty():
                bar.update(updates.get())

        def here(_) -> None:
            bar.update()
            show()

        others = min(workers, len(todo)) - 1
        with ProcessPoolExecutor(others, context, _start_worker, (workspace, teacher, updates)) as pool:
            futures = [pool.submit(_work, c, r) for c in todo]
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

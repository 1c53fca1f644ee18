"""What a study on a prepared data set takes, stage by stage, each in a process of its own: ``python -m benchmarks.stages STAGE NAME
FOLDER TEACHER [QUICK]``. Prints the seconds of the stage alone, and then what there is to say."""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dcmq.core.executors import torch_threads
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.datasets import load_dataset
from dcmq.data.resize import resize
from dcmq.experiments.runs import run, trained_student
from dcmq.experiments.teacher_shards import embed_in_shards
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.studies.qualitative import Parameters
from dcmq.teachers.bundled import BundledClip
from dcmq.training.batches import epoch_batches
from dcmq.training.seeds import random_stream

TIMED_STEPS = 3  # that are timed, after one to warm up
_CORES = 2  # that a step may use


def parameters(name: str, folder: Path, teacher: Path, **others) -> Parameters:
    """The study whose one run is trained, by default for one epoch with the demo profile's student."""
    return Parameters(dataset=name, data_root=str(folder), teacher=f"precomputed:{teacher}", **({"epochs": 1} | others))


def load(name: str, folder: Path, teacher: Path, quick: bool) -> None:
    """Load the data set as every run does."""
    start = time.perf_counter()
    data = load_dataset(name, str(folder))
    print(time.perf_counter() - start, f"{len(data.ids):,} samples, {len(data.split.train):,} to train on")


def embed(name: str, folder: Path, teacher: Path, quick: bool) -> None:
    """Embed all images and labels with the bundled CLIP in the place of CLIP ViT-B/32, and write the file ``teacher``."""
    data = load_dataset(name, str(folder))
    start = time.perf_counter()
    embeddings = embed_in_shards(BundledClip("clip"), data)
    image, text = embeddings.image, embeddings.text
    print(time.perf_counter() - start, f"{len(image):,} images")
    np.savez(teacher, image_id=data.ids, image=image.numpy(), text=text.numpy())


def paper_steps(name: str, folder: Path, teacher: Path, quick: bool) -> None:
    """Train a few steps of the paper's profile, at its batch and its 224 pixels, from random weights, and encode a batch. Says the
    steps of an epoch, the epochs, the batch, and seconds to encode an image."""
    smaller = " image_size=32 batch_size=4 text_hidden=[16,8]" if quick else ""
    study = parameters(name, folder, teacher, profile="paper", epochs=0, settings=f"backbone_weights={smaller}")
    data, embeddings = study.setup().load()
    config = study.plan()[0].config
    order, noise, changes = (random_stream(config.seed, 0, stream) for stream in range(3))
    batches = list(epoch_batches(data.split.train, config.batch_size, order))
    with tempfile.TemporaryDirectory(dir=teacher.parent) as scratch, torch_threads(_CORES):
        data = _with_rows(data, torch.cat(batches[: 1 + TIMED_STEPS]).numpy(), config.student.image_size, Path(scratch))
        trainer = Trainer(config, data, embeddings, Path(scratch) / "checkpoint", "")
        trainer.network.train()
        trainer.step(batches[0], noise, changes)
        start = time.perf_counter()
        for rows in batches[1 : 1 + TIMED_STEPS]:
            trainer.step(rows, noise, changes)
        seconds = time.perf_counter() - start
        trainer.network.eval()
        images = torch.from_numpy(np.asarray(trainer.images[batches[0].numpy()]))
        start = time.perf_counter()
        with torch.inference_mode():
            trainer.network.encode_images(images)
        encoding = (time.perf_counter() - start) / len(images)
    print(seconds, len(batches), config.epochs, config.batch_size, encoding)


def _with_rows(data: RetrievalDataset, rows: np.ndarray, side: int, folder: Path) -> RetrievalDataset:
    """The data set with the images of ``rows`` at the size ``side``, in a file with holes in the places of all others: a run has them
    all resized, which would take gigabytes here."""
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(data.ids), side, side, 3))
    images[rows] = resize(torch.from_numpy(data.images[rows]), side).numpy()
    return replace(data, images=images)


def epoch(name: str, folder: Path, teacher: Path, quick: bool) -> None:
    """Train the demo profile's student for a whole epoch."""
    study = parameters(name, folder, teacher)
    data, embeddings = study.setup().load()
    start = time.perf_counter()
    trained_student(study.plan()[0].config, data, embeddings)
    print(time.perf_counter() - start, f"{len(data.split.train):,} training samples")


def evaluation(name: str, folder: Path, teacher: Path, quick: bool) -> None:
    """Evaluate that student: all metrics, directions and galleries, and the run's record."""
    study = parameters(name, folder, teacher)
    data, embeddings = study.setup().load()
    start = time.perf_counter()
    run(study.plan()[0].config, data, embeddings, r=study.r)
    print(time.perf_counter() - start, f"{len(data.split.query):,} queries, {len(data.split.gallery):,} items")


STAGES = {stage.__name__: stage for stage in (load, embed, paper_steps, epoch, evaluation)}

if __name__ == "__main__":
    STAGES[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), "quick" in sys.argv[5:])

"""Workloads of the training benchmark: students, data for them, and the bare step that DCMQ's is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.arrays import new_array
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.datasets import load_dataset
from dcmq.data.splits import draw_split
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.teachers.base import TeacherEmbeddings, l2_normalize
from dcmq.training.batches import epoch_batches
from dcmq.training.optimizer import adam
from dcmq.training.seeds import make_encoders, random_stream, seeded


@dataclass(frozen=True)
class Workload:
    """A student and data for it.

    Attributes:
        rows: training samples.
        batch: samples in a batch.
        noise: whether the data are noise of that size; else ``scenes``.
        vocab_size: words of the noise's texts; the default is that of the paper's MS COCO.
    """

    name: str
    student: StudentConfig
    rows: int
    batch: int
    noise: bool
    vocab_size: int = 2026

    def config(self) -> TrainConfig:
        """The run's settings: defaults but for the student and the batch."""
        return TrainConfig(student=self.student, batch_size=self.batch)

    def data(self, folder: Path) -> tuple[RetrievalDataset, TeacherEmbeddings]:
        """The data set, and a teacher of random unit vectors: its quality costs no time. Images are memory-mapped."""
        if self.noise:
            dataset = noise_dataset(folder, self.rows, self.student.image_size, self.vocab_size)
        else:
            dataset = load_dataset("scenes", query=20, train=self.rows, gallery=self.rows)
        generator = torch.Generator().manual_seed(0)
        image, text = (l2_normalize(torch.randn(len(dataset.ids), 512, generator=generator)) for _ in range(2))
        return dataset, TeacherEmbeddings(lambda: (image, text), "random", "random", 0, "random")


def noise_dataset(folder: Path, rows: int, side: int, vocab_size: int, classes: int = 80) -> RetrievalDataset:
    """Noise: ``rows`` images to train on, texts of about 10 words, about 3 labels; the images lie in ``folder``."""
    rng = np.random.default_rng(0)
    n = rows + 8
    path = folder / "images.npy"
    with new_array(path, (n, side, side, 3)) as images:
        images[:] = rng.integers(0, 256, images.shape, dtype=np.uint8)
    labels = (rng.random((n, classes)) < 3 / classes).astype(np.uint8)
    labels[np.arange(n), rng.integers(0, classes, n)] = 1
    bow = sparse.random(n, vocab_size, 10 / vocab_size, "csr", np.float32, rng, np.ones)
    return RetrievalDataset(
        name="noise", ids=np.arange(n), classes=tuple(map(str, range(classes))), labels=labels, train_labels=labels,
        images=np.load(path, mmap_mode="r"), bow=bow, vocabulary=tuple(map(str, range(vocab_size))), captions=(), tags=(),
        split=draw_split(n, 8, rows), fingerprint="noise", choices={},
    )  # fmt: skip


class BatchInputs:
    """The inputs of an epoch's batches, gathered beforehand, by the batches' row numbers."""

    def __init__(self, gather: Callable, parts: list[Tensor]):
        self.parts = {rows.numpy().tobytes(): gather(rows.numpy()) for rows in parts}

    def __getitem__(self, rows: np.ndarray):
        return self.parts[rows.tobytes()]

    __call__ = __getitem__


def first_epoch(trainer: Trainer) -> list[Tensor]:
    """The row numbers of the batches of the trainer's epoch 0."""
    config = trainer.config
    return list(epoch_batches(trainer.dataset.split.train, config.batch_size, random_stream(config.seed, 0, 0)))


def hold_in_memory(trainer: Trainer) -> None:
    """Make the trainer find the inputs of epoch 0 ready as tensors, instead of gathering them."""
    parts = first_epoch(trainer)
    trainer.images = BatchInputs(lambda rows: np.array(trainer.dataset.images[rows]), parts)
    trainer.texts = BatchInputs(trainer.texts, parts)


class BareTraining:
    """The trainer's two encoders, each with a linear layer to the labels, taught by cross-entropy of every label alone.

    Takes the inputs that ``trainer`` takes, as it takes them, and Adam over the same encoders.
    """

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        student, classes = trainer.config.student, trainer.labels.shape[1]
        dimension = student.num_codebooks * student.subvector_dim
        encoders = make_encoders(trainer.config, trainer.dataset.bow.shape[1], dimension)
        self.encoders = encoders.to(memory_format=torch.channels_last).train()
        self.heads = seeded(0, lambda: nn.ModuleList(nn.Linear(dimension, classes) for _ in range(2)))
        self.optimizer = adam(self.encoders, trainer.config, self.heads.parameters())

    def epoch(self) -> float:
        """The mean loss of the trainer's epoch 0."""
        losses = [self.step(rows) for rows in first_epoch(self.trainer)]
        return sum(losses) / len(losses)

    def step(self, rows: Tensor) -> float:
        """One optimizer step on the batch ``rows``."""
        images, texts = torch.from_numpy(self.trainer.images[rows.numpy()]), self.trainer.texts(rows.numpy())
        labels = self.trainer.labels[rows].float()
        embeddings = self.encoders.encode_images(images), self.encoders.encode_texts(texts)
        logits = [head(x) for head, x in zip(self.heads, embeddings, strict=True)]
        loss = sum(F.binary_cross_entropy_with_logits(x, labels) for x in logits)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

"""A data set of 90 samples that a small student learns in a second, and settings for it."""

from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.splits import draw_split
from dcmq.teachers.base import TeacherEmbeddings, l2_normalize

STUDENT = StudentConfig(bits=16, subvector_dim=4, image_encoder="small_resnet", image_size=16, text_hidden=(16, 16))


def tiny_dataset(n=90, classes=3):
    """Images, words and teacher embeddings that all follow one label each."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, n)
    labels = np.eye(classes, dtype=np.uint8)[label]
    colors = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220]])
    images = np.clip(colors[label][:, None, None] + rng.integers(-40, 40, (n, 16, 16, 3)), 0, 255).astype(np.uint8)
    dataset = RetrievalDataset(
        name="tiny", ids=np.arange(n), classes=("red", "green", "blue"), labels=labels, train_labels=labels,
        images=images, bow=csr_matrix(labels.astype(np.float32)), vocabulary=("a", "b", "c"), captions=(), tags=(),
        split=draw_split(n, 20, 50), fingerprint="tiny", choices={},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    points = torch.eye(classes, 8) + 0.1 * torch.randn(classes, 8, generator=generator)
    embeddings = l2_normalize(points[label])
    return dataset, TeacherEmbeddings(lambda: (embeddings, embeddings), "tiny", "tiny", 0, "tiny")


def config(**changes):
    return TrainConfig(**(dict(student=STUDENT, epochs=4, batch_size=16, learning_rate=3e-3) | changes))


def several_labels(n=90, classes=3):
    """The data set with two labels for some samples, captions, and a teacher that half knows the labels."""
    dataset, teacher = tiny_dataset(n, classes)
    rng = np.random.default_rng(1)
    labels = dataset.labels | (rng.random(dataset.labels.shape) < 0.2).astype(np.uint8)
    points = torch.randn(classes, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, n, 8, generator=torch.Generator().manual_seed(1))
    image, text = torch.nn.functional.normalize(torch.from_numpy(labels).float() @ points + noise, dim=-1)
    captions = tuple(
        (f"{' '.join(dataset.classes[c] for c in np.flatnonzero(row))} thing number {i}",)
        for i, row in enumerate(labels)
    )
    return replace(dataset, labels=labels, captions=captions), replace(teacher, vectors=lambda: (image, text))


TAGS = ("red", "blue", "boat", "sea", "cat")
TAG_STUDENT = StudentConfig(bits=16, subvector_dim=4, image_encoder="small_convnet", image_size=32, text_hidden=(6, 5))


def tagged_dataset(n=40):
    """Images of noise whose tags are their labels, over the vocabulary :data:`TAGS`."""
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, n)]
    bow = csr_matrix(np.concatenate([labels, labels[:, :2]], 1).astype(np.float32))
    return RetrievalDataset(
        name="tiny", ids=np.arange(n) + 100, classes=("boat", "fire truck", "cat"), labels=labels, train_labels=labels,
        images=rng.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8), bow=bow, vocabulary=TAGS, captions=(), tags=(),
        split=draw_split(n, 8, 16), fingerprint="tiny", choices={},
    )  # fmt: skip

"""A data set of 90 samples that a small student learns in a second, and settings for it."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.splits import draw_split
from dcmq.teachers.base import TeacherEmbeddings, l2_normalize

STUDENT = StudentConfig(bits=16, subvector_dim=4, image_encoder="small_resnet", image_size=16, text_hidden=(16, 16))


def tiny_dataset(n=90, classes=3):
    """Pictures, words and teacher embeddings that all follow one label each."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, n)
    labels = np.eye(classes, dtype=np.uint8)[label]
    colours = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220]])
    images = np.clip(colours[label][:, None, None] + rng.integers(-40, 40, (n, 16, 16, 3)), 0, 255).astype(np.uint8)
    dataset = RetrievalDataset(
        name="tiny", ids=np.arange(n), classes=("red", "green", "blue"), labels=labels, train_labels=labels,
        images=images, bow=csr_matrix(labels.astype(np.float32)), vocabulary=("a", "b", "c"), captions=(), tags=(),
        split=draw_split(n, 20, 50), fingerprint="tiny", choices={},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    points = torch.eye(classes, 8) + 0.1 * torch.randn(classes, 8, generator=generator)
    embeddings = l2_normalize(points[label])
    return dataset, TeacherEmbeddings(embeddings, embeddings, "tiny", "tiny", 0, "tiny")


def config(**changes):
    return TrainConfig(**(dict(student=STUDENT, epochs=4, batch_size=16, learning_rate=3e-3) | changes))

"""Batches of an epoch: their order, and the augmentation of their images."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dcmq.training.simclr import simclr


def epoch_batches(rows: np.ndarray, size: int, generator: torch.Generator, processes: int = 1) -> Iterator[Tensor]:
    """Shuffled ``rows``, cut into the fewest batches of at most ``size`` rows, all of nearly equal length.

    Args:
        rows: (n,) row numbers of the training samples.
        size: of a batch, over all processes together.
        processes: each batch is cut to a multiple of this, so that every process gets as many rows.

    Yields:
        (b,) int64 row numbers.
    """
    order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)]
    for batch in torch.tensor_split(order, -(-len(order) // size)):
        yield batch[: len(batch) // processes * processes]


def augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """(b, H, W, 3) images changed as the setting ``augment`` says: :func:`shifted`, :func:`dcmq.training.simclr.simclr`, or with
    ``""`` not at all."""
    return {"": lambda images, _: images, "shift": shifted, "simclr": simclr}[kind](images, generator)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images of any type, each mirrored with chance 1/2 and shifted by up to an eighth, edges repeated (ours)."""
    n, height, width, _ = images.shape
    reach = height // 8
    down, right = (torch.randint(-reach, reach + 1, (n, 1), generator=generator) for _ in range(2))
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    y = (torch.arange(height) + down).clamp(0, height - 1)
    x = (torch.arange(width) + right).clamp(0, width - 1)
    x = torch.where(mirror, width - 1 - x, x)
    return images[torch.arange(n)[:, None, None], y[:, :, None], x[:, None, :]]

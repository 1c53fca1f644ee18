"""Batches: their order, the images' augmentation, and the random streams of an epoch."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def random_stream(seed: int, epoch: int, stream: int) -> torch.Generator:
    """The source of one kind of randomness in one epoch; independent of what was drawn before, so runs can resume."""
    mixed = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) & (2**63 - 1))


def epoch_batches(rows: np.ndarray, size: int, generator: torch.Generator, parts: int = 1) -> Iterator[Tensor]:
    """Global batches of shuffled ``rows``: as few as ``size`` allows and of nearly equal length, so none is a remainder.

    With ``parts`` processes each batch is cut to a multiple of ``parts``.
    """
    order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)]
    for batch in torch.tensor_split(order, -(-len(order) // size)):
        yield batch[: len(batch) // parts * parts]


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each (H, W, 3) picture mirrored with chance 1/2 and shifted by up to an eighth, edges repeated (ours)."""
    n, height, width, _ = images.shape
    reach = height // 8
    down, right = (torch.randint(-reach, reach + 1, (n, 1), generator=generator) for _ in range(2))
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    y = (torch.arange(height) + down).clamp(0, height - 1)
    x = (torch.arange(width) + right).clamp(0, width - 1)
    x = torch.where(mirror, width - 1 - x, x)
    return images[torch.arange(n)[:, None, None], y[:, :, None], x[:, None, :]]

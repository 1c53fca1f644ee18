"""What a run draws at random: its first weights, and in each epoch a stream for each kind of randomness."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dcmq.config import RunConfig
from dcmq.networks.dual_encoder import DualEncoder


def random_stream(seed: int, epoch: int, stream: int) -> torch.Generator:
    """The generator of one kind of randomness in one epoch.

    It depends on its three numbers alone and not on what was drawn before, so a run that is resumed draws the same.

    Args:
        seed: the run's. epoch: counted from 0. stream: a number for each kind of randomness.
    """
    mixed = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) & (2**63 - 1))


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """The module that ``make`` makes, its random weights drawn from ``seed``; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def make_encoders(config: RunConfig, vocab_size: int, dimension: int) -> DualEncoder:
    """Encoders before training; their weights depend on ``config.seed`` only.

    Args:
        vocab_size: length of a bag of words. dimension: length of an embedding.
    """
    return seeded(config.seed, lambda: DualEncoder(config.student, vocab_size, dimension))

"""What a run draws at random: its first weights, and in each epoch a stream for each kind of randomness."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from dcmq.config import RunConfig
from dcmq.networks.dual_encoder import DualEncoder

GLOBAL = 9  # the stream of the global generators; no other kind of randomness has it


def random_stream(seed: int, epoch: int, stream: int) -> torch.Generator:
    """The generator of one kind of randomness in one epoch.

    It depends on its three numbers alone and not on what was drawn before, so a run that is resumed draws the same.

    Args:
        seed: the run's. epoch: counted from 0. stream: a number for each kind of randomness.
    """
    return torch.Generator().manual_seed(_mixed(seed, epoch, stream))


@contextmanager
def global_randomness(seed: int, epoch: int, rank: int = 0) -> Iterator[None]:
    """Inside, what a part of the user's draws from the global generators of torch, numpy and Python depends on these three numbers
    alone, so a run that is resumed draws the same. Afterwards the generators are as they were. The package's own random numbers
    come from :func:`random_stream`.

    Args:
        seed: the run's. epoch: counted from 0. rank: the process's, so that each draws its own.
    """
    number, numpys, pythons = _mixed(seed, epoch, GLOBAL, rank), np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)
        try:
            yield
        finally:
            np.random.set_state(numpys)
            random.setstate(pythons)


def _mixed(*numbers: int) -> int:
    """A seed below 2^63 made of ``numbers``."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) & (2**63 - 1)


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

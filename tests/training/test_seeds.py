"""Random numbers are functions of seed, epoch and kind."""

import random

import numpy as np
import torch

from dcmq.training.seeds import global_randomness, random_stream


def draws(*numbers):
    with global_randomness(*numbers):
        return torch.rand(1).item(), np.random.rand(), random.random()


def test_global_generators_give_the_same_in_an_epoch_and_other_numbers_elsewhere():
    assert draws(0, 3) == draws(0, 3)
    found = [draws(*numbers) for numbers in ((0, 3), (0, 4), (1, 3), (0, 3, 1))]
    for kind in range(3):
        assert len({each[kind] for each in found}) == 4
    assert len(set(found[0])) == 3


def test_global_generators_are_afterwards_as_they_were():
    def state():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = state()
    draws(0, 0)
    assert state() == before


def test_streams_differ_by_seed_epoch_and_kind():
    found = {torch.rand(1, generator=random_stream(*numbers)).item() for numbers in ((0, 0, 1), (0, 1, 0), (1, 0, 0))}
    assert len(found) == 3

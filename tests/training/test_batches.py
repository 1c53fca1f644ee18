"""Batches hold every row once; augmentation moves pixels and makes none."""

import numpy as np
import torch

from dcmq.training.batches import augment, epoch_batches
from dcmq.training.seeds import random_stream


def test_batches_hold_every_row_once_and_differ_by_at_most_one():
    rows = np.arange(5, 42)
    made = list(epoch_batches(rows, 10, random_stream(0, 0, 0)))
    assert sorted(torch.cat(made).tolist()) == rows.tolist()
    assert {len(b) for b in made} <= {9, 10}
    again = list(epoch_batches(rows, 10, random_stream(0, 1, 0)))
    assert not torch.equal(torch.cat(made), torch.cat(again))


def test_shifted_images_keep_their_pixels():
    image = torch.arange(16 * 16 * 3, dtype=torch.int32).remainder(251).to(torch.uint8).view(1, 16, 16, 3)
    moved = augment(image.repeat(20, 1, 1, 1), "shift", torch.Generator().manual_seed(0))
    assert moved.shape == (20, 16, 16, 3) and len(moved.unique(dim=0)) > 5
    assert set(moved.unique().tolist()) <= set(image.unique().tolist())


def test_without_augmentation_images_are_as_they_were():
    image = torch.rand(2, 4, 4, 3)
    assert torch.equal(augment(image, "", torch.Generator()), image)

"""SimCLR's augmentation: each step alone against loops, and all of them from one generator."""

import colorsys
import math

import pytest
import torch

from dcmq.training.batches import augment
from dcmq.training.simclr import blur, crop, grey, jitter

HALF = torch.full((1,), 0.5)
ONE = torch.ones(1)
NO = torch.tensor([False])


def images(n=1, height=12, width=16):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def test_one_generator_gives_the_same_images_and_another_other_ones():
    batch = images(40).round().to(torch.uint8).permute(0, 2, 3, 1)
    first, again, other = (augment(batch, "simclr", torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.shape == batch.shape and first.dtype == torch.uint8
    assert torch.equal(first, again) and not torch.equal(first, other)
    greys = (first[..., 0] == first[..., 1]).flatten(1).all(1).sum().item()
    assert 1 <= greys <= 20  # of 40, a fifth


def test_the_whole_image_as_crop_is_the_image_and_its_mirror_the_mirror():
    x = images()
    torch.testing.assert_close(crop(x, ONE, HALF, HALF, HALF, NO), x, atol=1e-2, rtol=0)
    torch.testing.assert_close(crop(x, ONE, HALF, HALF, HALF, ~NO), x.flip(3), atol=1e-2, rtol=0)


def test_a_crop_covers_the_share_of_the_image_that_is_drawn():
    """On a ramp the values at both ends tell the width and the place of the part."""
    ramp = torch.arange(64.0).expand(1, 3, 64, 64)
    part = crop(ramp, torch.tensor([(0.25 - 0.08) / 0.92]), HALF, HALF, ONE, NO)  # a quarter, at the right edge
    torch.testing.assert_close(part[0, 0, 5], 32 + torch.arange(64.0) / 2 - 0.25, atol=0.26, rtol=0)
    wide = crop(ramp, torch.tensor([(0.27 - 0.08) / 0.92]), ONE, HALF, torch.zeros(1), NO)
    seen = (wide[0, 0, 5, -2] - wide[0, 0, 5, 1]).item() / 61
    assert seen == pytest.approx(math.sqrt(0.27 * 4 / 3), rel=0.01)


def test_draws_of_one_half_change_no_colour():
    torch.testing.assert_close(jitter(images(), HALF, HALF, HALF, HALF), images(), atol=1e-2, rtol=0)


def test_jitter_is_brightness_then_contrast_then_saturation():
    x = images() / 4 + 90  # so that no value is cut at 0 or 255
    result = jitter(x, ONE * 0.625, ONE * 0.75, ONE * 0.25, HALF)
    x = 1.1 * x
    mean = grey(x).mean()
    x = mean + 1.2 * (x - mean)
    for row in range(12):
        bright = 0.299 * x[0, 0, row, 3] + 0.587 * x[0, 1, row, 3] + 0.114 * x[0, 2, row, 3]
        for channel in range(3):
            expected = bright + 0.8 * (x[0, channel, row, 3] - bright)
            assert result[0, channel, row, 3].item() == pytest.approx(expected.item(), abs=0.02)


def test_hues_turn_one_way_or_the_other_and_greys_have_none():
    red = torch.tensor([180.0, 100.0, 100.0]).view(1, 3, 1, 1)
    hues = [colorsys.rgb_to_hsv(*jitter(red, HALF, HALF, HALF, ONE * draw).flatten().tolist())[0] for draw in (0, 1)]
    assert sorted(min(hue, 1 - hue) for hue in hues) == pytest.approx([0.1, 0.1], abs=0.05)
    assert (hues[0] < 0.5) != (hues[1] < 0.5)
    flat = torch.full((1, 3, 2, 2), 80.0)
    torch.testing.assert_close(jitter(flat, HALF, HALF, HALF, ONE), flat, atol=0.1, rtol=0)


def test_blur_is_a_gaussian_window_and_leaves_flat_images():
    flat = torch.full((1, 3, 5, 5), 7.0)
    torch.testing.assert_close(blur(flat, ONE), flat)
    dot = torch.zeros(1, 3, 5, 5)
    dot[:, :, 2, 2] = 1
    side = math.exp(-0.5 / 0.8**2)
    weights = [side / (1 + 2 * side), 1 / (1 + 2 * side), side / (1 + 2 * side)]
    result = blur(dot, ONE * 0.8)
    for i in range(3):
        for j in range(3):
            assert result[0, 0, 1 + i, 1 + j].item() == pytest.approx(weights[i] * weights[j], abs=1e-6)
    assert result[0, 0, 0].abs().max() == 0

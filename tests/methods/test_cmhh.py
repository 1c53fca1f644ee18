"""CMHH's losses against loops over single pairs."""

import math

import pytest
import torch
from tasks import numbers

from dcmq.methods import cmhh
from dcmq.methods.hashing import signs


def test_cmhhs_distance_is_hammings_on_signs():
    x, y = signs(numbers(4, 8)), signs(numbers(5, 8, seed=1))
    found = cmhh.hamming_surrogate(x, y)
    for i in range(4):
        for j in range(5):
            assert found[i, j].item() == pytest.approx(max((x[i] != y[j]).sum().item(), cmhh.SMALLEST), abs=1e-4)


def test_cmhhs_focal_loss_is_a_weighted_mean_over_pairs():
    distance, similar = numbers(3, 3).abs() + 0.1, torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    beta, gamma = 0.5, 2.0
    expected = 0.0
    for i in range(3):
        for j in range(3):
            p = math.exp(-beta * distance[i, j])
            if similar[i, j]:
                expected -= 9 / 2 * (1 - p) ** gamma * math.log(p)
            else:
                expected -= 9 / 7 * p**gamma * math.log(1 - p)
    assert cmhh.focal_loss(distance, similar, beta, gamma).item() == pytest.approx(expected / 9, rel=1e-4)


def test_cmhhs_gradient_is_finite_where_codes_are_equal_and_where_a_kind_of_pair_is_absent():
    for similar in (torch.zeros(4, 4), torch.ones(4, 4)):
        x = torch.ones(4, 8, requires_grad=True)
        loss = cmhh.focal_loss(cmhh.hamming_surrogate(x, torch.ones(4, 8)), similar, 0.25, 2.0)
        (loss + cmhh.quantization_loss(x, 0.25)).backward()
        assert torch.isfinite(loss) and torch.isfinite(x.grad).all()

"""The objectives of Eq. 6 and 7 against explicit loops."""

import math

import pytest
import torch

from dcmq.methods.dcmq.losses import distillation_losses


def test_losses_equal_explicit_loops():
    torch.manual_seed(0)
    x, zx, y, zy = (torch.randn(4, 6) for _ in range(4))
    target, tau = torch.rand(4, 4), 0.3

    def cosine(a, b):
        return (a @ b / a.norm() / b.norm()).item()

    def loop(query, quantized, wanted):
        total = 0.0
        for i in range(4):
            weights = [math.exp(wanted[i, j].item() / tau) for j in range(4)]
            logits = [cosine(query[i], quantized[j]) / tau for j in range(4)]
            log_sum = math.log(sum(math.exp(value) for value in logits))
            total -= sum(w / sum(weights) * (value - log_sum) for w, value in zip(weights, logits, strict=True))
        return total / 4

    losses = distillation_losses(x, zx, y, zy, target, tau)
    assert losses["i2t"].item() == pytest.approx(loop(x, zy, target), rel=1e-5)
    assert losses["t2i"].item() == pytest.approx(loop(y, zx, target.T), rel=1e-5)

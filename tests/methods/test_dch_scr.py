"""DCH-SCR's ranking loss against loops over triples."""

import math

import pytest
import torch
from tasks import numbers

from dcmq.methods import dch_scr


def test_ndcg_weights_and_the_ranking_loss_are_sums_over_triples():
    b, margin = 4, 0.5
    wanted, cosine = numbers(b, b).sigmoid(), torch.tanh(numbers(b, b, seed=1))
    weights = dch_scr.ndcg_weights(wanted, cosine)
    total = triples = 0
    for i in range(b):
        order, ideal = sorted(range(b), key=lambda j: -cosine[i, j]), sorted(range(b), key=lambda j: -wanted[i, j])
        best = sum((2 ** wanted[i, j].item() - 1) / math.log2(2 + place) for place, j in enumerate(ideal))
        for j in range(b):
            away = abs(1 / math.log2(2 + order.index(j)) - 1 / math.log2(2 + ideal.index(j)))
            weight = (2 ** wanted[i, j].item() - 1) * away / best
            assert weights[i, j].item() == pytest.approx(weight, abs=1e-5)
            for k in range(b):
                if wanted[i, j] > wanted[i, k]:
                    gap = margin * (wanted[i, j] - wanted[i, k]) - (cosine[i, j] - cosine[i, k])
                    total, triples = total + weight * max(0.0, gap.item()), triples + 1
    assert dch_scr.ranking_loss(cosine, wanted, margin).item() == pytest.approx(total / triples, rel=1e-4)


def test_a_perfect_ranking_costs_nothing():
    wanted = numbers(4, 4).sigmoid()
    assert dch_scr.ranking_loss(wanted, wanted, 1.0).item() == 0

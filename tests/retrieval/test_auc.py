"""AUC against loops over pairs of scores."""

import math

import numpy as np
import pytest
import torch

from dcmq.retrieval.auc import auroc, auroc_within_groups


def by_pairs(positive, negative):
    wins = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    return sum(wins) / len(wins) if wins else math.nan


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_counts_pairs_and_ties_half(levels):
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, levels, 30) + levels // 3, rng.integers(0, levels, 50)
    assert auroc(positive, negative) == pytest.approx(by_pairs(positive, negative))
    assert auroc(negative, positive) == pytest.approx(1 - auroc(positive, negative))
    assert math.isnan(auroc(positive, negative[:0])) and math.isnan(auroc(positive[:0], negative))


def test_within_groups_only_items_of_the_querys_own_group_count():
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.integers(0, 9, (20, 40))).float()
    groups, items = rng.integers(0, 5, 20), rng.integers(0, 4, 40)  # group 4 has queries and no item
    labels = torch.from_numpy(rng.integers(0, 2, (60, 2)))
    found = auroc_within_groups(
        lambda rows, places: scores[rows][:, places], groups, items, labels[:20], labels[20:], chunk=3
    )
    for q in range(20):
        own = [i for i in range(40) if items[i] == groups[q]]
        hits = [bool((labels[q] * labels[20 + i]).sum()) for i in own]
        positive = [scores[q, i].item() for i, hit in zip(own, hits, strict=True) if hit]
        negative = [scores[q, i].item() for i, hit in zip(own, hits, strict=True) if not hit]
        assert found[q] == pytest.approx(by_pairs(positive, negative), nan_ok=True)
    assert 0 < np.isnan(found).sum() < 20
    blind = auroc_within_groups(
        lambda rows, places: torch.from_numpy(groups[rows][:, None] == items[places]).float(),
        groups, items, labels[:20], labels[20:],
    )  # fmt: skip
    assert np.nanmax(blind) == np.nanmin(blind) == 0.5

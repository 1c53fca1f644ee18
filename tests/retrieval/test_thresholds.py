"""One threshold for all queries, against loops."""

import math

import numpy as np
import pytest

from dcmq.retrieval.thresholds import at_threshold, auroc_of_no_match, auroc_over_pairs, choose_threshold, over_pairs


def case(queries=12, items=30, seed=0, levels=40):
    """Scores with ties, higher for relevant pairs; one query has no relevant item and one has nothing else."""
    rng = np.random.default_rng(seed)
    relevant = rng.random((queries, items)) < 0.3
    relevant[0], relevant[1] = False, True
    scores = rng.integers(0, levels, relevant.shape) + relevant * levels // 2
    return scores.astype(np.float32), relevant


def wins(positive, negative):
    return np.mean([(p > n) + (p == n) / 2 for p in positive for n in negative])


def test_auroc_over_pairs_pools_the_queries():
    scores, relevant = case()
    assert auroc_over_pairs(scores, relevant) == pytest.approx(wins(scores[relevant], scores[~relevant]))
    shifted = scores + 100 * np.arange(len(scores), dtype=np.float32)[:, None]  # the same rankings
    assert auroc_over_pairs(shifted, relevant) != pytest.approx(auroc_over_pairs(scores, relevant), abs=0.05)


def test_no_match_compares_highest_scores_with_and_without_the_relevant_items():
    scores, relevant = case()
    rows = [q for q in range(len(scores)) if 0 < relevant[q].sum() < relevant.shape[1]]
    assert len(rows) == len(scores) - 2
    have, lack = [max(scores[q]) for q in rows], [max(scores[q][~relevant[q]]) for q in rows]
    assert auroc_of_no_match(scores, relevant) == pytest.approx(wins(have, lack))
    assert math.isnan(auroc_of_no_match(scores[:2], relevant[:2]))


@pytest.mark.parametrize("precision", [0.5, 0.8, 1.1])
def test_the_threshold_recalls_most_among_those_that_are_precise_enough(precision):
    scores, relevant = case()
    tried = {}
    for value in np.unique(scores):
        accepted = scores >= value
        if accepted.sum() >= len(scores):
            tried[value] = relevant[accepted].mean()
    enough = [value for value, reached in tried.items() if reached >= precision]
    expected = min(enough) if enough else max(tried, key=lambda value: (tried[value], value))
    chosen = choose_threshold(scores, relevant, precision)
    assert (chosen.value, chosen.precision) == pytest.approx((expected, tried[expected]))


def test_a_few_lucky_pairs_do_not_choose():
    scores, relevant = np.arange(40, dtype=np.float32).reshape(4, 10), np.zeros((4, 10), bool)
    relevant[3, 9] = True  # precision 1 at the highest score alone
    assert choose_threshold(scores, relevant, 0.8).value == 36


def test_a_threshold_is_measured_over_all_pairs():
    scores, relevant = case(seed=1)
    found = at_threshold(scores, relevant, 45)
    pairs = [(s >= 45, hit) for s, hit in zip(scores.ravel(), relevant.ravel(), strict=True)]
    both = sum(accepted and hit for accepted, hit in pairs)
    assert found["precision"] == pytest.approx(both / sum(accepted for accepted, _ in pairs))
    assert found["recall"] == pytest.approx(both / sum(hit for _, hit in pairs))
    assert found["queries with a match"] == sum(max(row) >= 45 for row in scores) / len(scores)
    assert at_threshold(scores, relevant, 1000) == {"precision": 0, "recall": 0, "queries with a match": 0}


def test_what_cannot_be_measured_is_left_out():
    scores, relevant = case()
    whole = over_pairs(scores, relevant, *case(5, seed=2))
    assert set(whole) == {"AUROC", "no match", "queries", "threshold"} and whole["queries"] == 12
    assert whole["threshold"]["aimed at"] == 0.8
    assert "threshold" not in over_pairs(scores, relevant, scores[:0], relevant[:0])
    alike = over_pairs(scores, np.ones_like(relevant), scores, relevant)
    assert set(alike) == {"queries", "threshold"}

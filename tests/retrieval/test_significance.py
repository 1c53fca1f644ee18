"""Tests over queries, against the enumeration of all signs and a correction worked by hand."""

import itertools

import numpy as np
import pytest

from dcmq.retrieval.significance import holm, paired_permutation_p


def test_the_permutation_test_counts_the_signs_that_move_the_mean_as_far():
    differences = np.random.default_rng(0).normal(0.3, 1, 8)
    signs = np.array(list(itertools.product([-1, 1], repeat=8)))
    means = (signs * differences).mean(1)
    expected = (np.abs(means) >= abs(differences.mean()) - 1e-12).mean()
    assert paired_permutation_p(differences, resamples=1000) == pytest.approx(expected)


def test_random_signs_are_the_same_each_time():
    differences = np.random.default_rng(0).normal(0.05, 1, 40)
    assert paired_permutation_p(differences, 99) == paired_permutation_p(differences, 99)


def test_holms_correction_keeps_the_order_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []

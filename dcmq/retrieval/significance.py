"""Tests of whether one ranking is better than another by more than luck with the queries."""

from collections.abc import Sequence

import numpy as np


def paired_permutation_p(differences: np.ndarray, resamples: int = 9999) -> float:
    """The two-sided p of a paired sign-flip test: how often random signs move the mean as far from 0; the same for the same input.

    Args:
        differences: (q,) one method's measure minus the other's, per query.
        resamples: random draws of the signs; where there are fewer ways to choose them, all are tried.
    """
    from scipy.stats import permutation_test  # takes seconds

    test = permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """``p_values`` corrected for their number (Holm, 1979), in their order."""
    corrected, running = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, p_values[i] * (len(p_values) - place)))
        corrected[i] = running
    return corrected

"""Measures of one query's ranking, from the relevance of its items by rank."""

from functools import lru_cache

import numpy as np

from dcmq.codes.ranking import equal_scores, ranking_keys

RECALL_LEVELS = tuple(tenths / 10 for tenths in range(11))


def ranked_relevance(scores: np.ndarray, positions: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relevance of n items by falling score, equal scores by rising position, and which scores are equal.

    The order itself is not wanted, so relevance is packed into the keys that are sorted: several times faster than a stable
    argsort.

    Args:
        scores: (n,) float32.
        positions: (n,) int64, distinct, 0 to n - 1.
        relevant: (n,) bool.

    Returns:
        (n,) bool by rank; (n - 1,) bool, whether the score at a rank is the next one's.
    """
    packed = positions << 1
    packed |= relevant
    keys = ranking_keys(scores, packed)
    keys.sort()
    return (keys & 1).astype(bool), equal_scores(keys)


def average_precision(precision: np.ndarray) -> float:
    """Mean of the precision at each hit; 0 without a hit. The hits of the first R ranks give AP@R (hits), all give AP@all.

    Args:
        precision: (h,) precision at the ranks of the relevant items.
    """
    return float(precision.mean()) if len(precision) else 0.0


def interpolated_precision(precision: np.ndarray) -> np.ndarray:
    """(11,) best precision at any rank where recall is at least 0, .1, ... 1; zeros without a relevant item.

    Between two relevant items precision only falls, so the best is always at one of them.

    Args:
        precision: (h,) precision at the ranks of the relevant items.
    """
    if not len(precision):
        return np.zeros(len(RECALL_LEVELS))
    hits_needed = np.ceil(len(precision) * np.array(RECALL_LEVELS) - 1e-9).clip(1).astype(int)
    best = np.maximum.reduceat(precision, hits_needed - 1)  # up to the next level
    return np.maximum.accumulate(best[::-1])[::-1]


def tie_averaged_average_precision(hit: np.ndarray, tied: np.ndarray, precision: np.ndarray) -> float:
    """Expected AP over all orders of equal scores (McSherry and Najork, 2008); 0 without a relevant item.

    In a group of n items with r relevant, after s items with f relevant, the j-th is relevant with chance r / n, and
    then ``f + 1 + (j - 1) (r - 1) / (n - 1)`` items up to it are. Summed over j, only harmonic numbers remain.

    Args:
        hit: (n,) bool relevance by rank, in some order of equal scores.
        tied: (n - 1,) bool, whether the score at a rank is the next one's.
        precision: (h,) precision at the ranks of the relevant items.
    """
    if not len(precision):
        return 0.0
    edges = np.flatnonzero(np.diff(tied, prepend=False, append=False))
    start, stop = edges[::2], edges[1::2] + 1  # of the groups of two or more
    hits_before = _cumulative(hit, np.int32)
    before, size = hits_before[start], stop - start
    hits = hits_before[stop] - before
    slope = (hits - 1) / (size - 1)
    harmonic = _harmonic_numbers(len(hit))
    expected = hits / size * (slope * size + (before + 1 - slope * (start + 1)) * (harmonic[stop] - harmonic[start]))
    precision_before = _cumulative(precision, float)
    in_groups = precision_before[before + hits] - precision_before[before]
    return float((precision_before[-1] + (expected - in_groups).sum()) / len(precision))


def _cumulative(values: np.ndarray, dtype: type) -> np.ndarray:
    """(n + 1,) sums of the first 0, 1, ... n values."""
    sums = np.zeros(len(values) + 1, dtype)
    np.cumsum(values, out=sums[1:])
    return sums


@lru_cache(maxsize=2)
def _harmonic_numbers(n: int) -> np.ndarray:
    """(n + 1,) harmonic numbers 1 + 1/2 + ... + 1/i for i = 0 ... n."""
    return _cumulative(1 / np.arange(1, n + 1), float)

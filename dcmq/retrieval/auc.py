"""The area under the ROC curve: how often a relevant score is above an irrelevant one, over all pairs or among items of a kind."""

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a score of ``positive`` is above one of ``negative``, equal scores counted half; nan if either is empty.

    Args:
        positive, negative: (p,) and (n,) scores.
    """
    if not len(positive) or not len(negative):
        return math.nan
    ranked = np.sort(negative)
    positive = np.sort(positive)  # neighbours in the search are then neighbours in memory
    below = np.searchsorted(ranked, positive, "left").sum(dtype=float)
    not_above = np.searchsorted(ranked, positive, "right").sum(dtype=float)
    return float((below + not_above) / 2 / len(positive) / len(negative))


def auroc_within_groups(
    score: Callable[[np.ndarray, np.ndarray], Tensor],
    query_groups: np.ndarray,
    item_groups: np.ndarray,
    query_labels: Tensor,
    item_labels: Tensor,
    chunk: int = 256,
) -> np.ndarray:
    """(q,) each query's :func:`auroc` of relevant against irrelevant items of its own group; nan where either are missing.

    What a ranking knows beyond the group: one that sees nothing else has .5.

    Args:
        score: for numbers of queries and of items, their (b, n) scores, higher is nearer.
        query_groups, item_groups: (q,) and (g,) whole numbers.
        query_labels, item_labels: true labels, (q, C) and (g, C) 0/1.
        chunk: queries that are scored at a time.
    """
    found = np.full(len(query_groups), math.nan)
    for group in np.intersect1d(query_groups, item_groups):
        items, queries = np.flatnonzero(item_groups == group), np.flatnonzero(query_groups == group)
        labels = item_labels[items].float().T
        for start in range(0, len(queries), chunk):
            rows = queries[start : start + chunk]
            scores, relevant = score(rows, items).float().numpy(), (query_labels[rows].float() @ labels > 0).numpy()
            found[rows] = [auroc(s[hit], s[~hit]) for s, hit in zip(scores, relevant, strict=True)]
    return found

"""Retrieval metrics as they are usually written: query by query, sort, then go along the ranks.

Written for clarity, but not so that they are slow: relevance is a float32 matrix product, the sort is numpy's, and the
gallery is put in the order that ties are broken in once, before all queries.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dcmq.retrieval.measures import RECALL_LEVELS
from dcmq.retrieval.metrics import CUTOFFS, tie_permutation

_BLOCK = 32  # queries scored at a time, as in dcmq.retrieval.metrics


def per_query(
    score: Callable[[slice], Tensor],
    query_labels: Tensor,
    gallery_labels: Tensor,
    measures: Callable[[np.ndarray, np.ndarray, int], list[float]],
    r: int,
    kind: str = "stable",
) -> np.ndarray:
    """(q, 3 + 2 cutoffs + 11) ``measures`` of every query. With another ``kind`` of sort, the order of ties is arbitrary.

    Args:
        score: for a slice of queries, their (b, g) scores; the gallery, here and in ``gallery_labels``, in the order of
            :func:`in_tie_order`.
    """
    queries, gallery = query_labels.float().numpy(), gallery_labels.float().numpy()
    rows = []
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(queries)))
        scores = np.ascontiguousarray(score(block).numpy())
        for own, labels in zip(scores, queries[block], strict=True):
            relevant = gallery @ labels > 0
            order = np.argsort(-own, kind=kind)
            rows.append(measures(own[order], relevant[order], r))
    return np.array(rows)


def scores(tables: Tensor, codes: Tensor) -> Tensor:
    """(q, n) scores by numpy: a look-up of all codes for each codebook, summed."""
    entries, total = tables.numpy(), np.zeros((len(tables), len(codes)), np.float32)
    for m, column in enumerate(codes.T.numpy()):
        total += entries[:, m].take(column, axis=1)
    return torch.from_numpy(total)


def in_tie_order(gallery: Tensor) -> Tensor:
    """The gallery's rows in the order in which equal scores are ranked."""
    return gallery[tie_permutation(len(gallery))]


def cutoffs(n: int) -> list[int]:
    """The N of precision@N and recall@N in a gallery of n."""
    return [c for c in CUTOFFS if c <= n]


def with_numpy(score: np.ndarray, hit: np.ndarray, r: int) -> list[float]:
    """All measures of one query by numpy along the ranks: AP@R (hits), AP@all, AP tie-averaged, P@N, R@N, interpolated.

    Args:
        score: (n,) falling.
        hit: (n,) bool relevance in that order.
    """
    n, total = len(hit), int(hit.sum())
    rank = np.arange(1, n + 1)
    hits_so_far = hit.cumsum()
    if not total:
        return [0.0] * (3 + 2 * len(cutoffs(n)) + len(RECALL_LEVELS))
    precision = hits_so_far / rank
    in_r = precision[:r][hit[:r]]
    at = np.array(cutoffs(n)) - 1

    group = np.append(0, (score[1:] != score[:-1]).cumsum())
    size, hits = np.bincount(group), np.bincount(group, hit)
    before, hits_before = size.cumsum() - size, hits.cumsum() - hits
    slope = (hits - 1) / np.maximum(size - 1, 1)
    inside = rank - 1 - np.repeat(before, size)
    expected = (
        np.repeat(hits / size, size) * (np.repeat(hits_before + 1, size) + inside * np.repeat(slope, size)) / rank
    )

    best = np.maximum.accumulate(precision[::-1])[::-1]
    needed = np.ceil(total * np.array(RECALL_LEVELS) - 1e-9).clip(1)
    return [
        in_r.mean() if len(in_r) else 0.0,
        precision[hit].mean(),
        expected.sum() / total,
        *precision[at],
        *(hits_so_far[at] / total),
        *best[np.searchsorted(hits_so_far, needed)],
    ]


def with_a_loop(score: np.ndarray, hit: np.ndarray, r: int) -> list[float]:
    """The same as :func:`with_numpy`, by a Python loop over the ranks."""
    n, total = len(hit), int(hit.sum())
    if not total:
        return [0.0] * (3 + 2 * len(cutoffs(n)) + len(RECALL_LEVELS))
    hits, hits_in_r, summed, summed_in_r, at_hits, at_cutoffs = 0, 0, 0.0, 0.0, [], {c: 0 for c in cutoffs(n)}
    for rank, relevant in enumerate(hit.tolist(), 1):
        if relevant:
            hits += 1
            precision = hits / rank
            summed += precision
            at_hits.append(precision)
            if rank <= r:
                hits_in_r += 1
                summed_in_r += precision
        if rank in at_cutoffs:
            at_cutoffs[rank] = hits
    for i in range(total - 2, -1, -1):  # the best at this recall or a larger one
        at_hits[i] = max(at_hits[i], at_hits[i + 1])
    return [
        summed_in_r / hits_in_r if hits_in_r else 0.0,
        summed / total,
        _tie_averaged(score.tolist(), hit.tolist()) / total,
        *(hits / c for c, hits in at_cutoffs.items()),
        *(hits / total for hits in at_cutoffs.values()),
        *(at_hits[max(1, int(np.ceil(total * level - 1e-9))) - 1] for level in RECALL_LEVELS),
    ]


def _tie_averaged(score: list[float], hit: list[bool]) -> float:
    start, before, expected = 0, 0, 0.0
    while start < len(score):
        stop = start + 1
        while stop < len(score) and score[stop] == score[start]:
            stop += 1
        size, hits = stop - start, sum(hit[start:stop])
        for inside in range(size if hits else 0):
            others = inside * (hits - 1) / (size - 1) if size > 1 else 0.0
            expected += hits / size * (before + 1 + others) / (start + inside + 1)
        start, before = stop, before + hits
    return expected


def in_peers_order(metrics) -> np.ndarray:
    """The means of :class:`dcmq.retrieval.metrics.RankingMetrics` in the order of the peers' numbers."""
    return np.array(
        [
            metrics.map_at_r_hits,
            metrics.map_at_all,
            metrics.map_at_all_tie_averaged,
            *metrics.precision_at.values(),
            *metrics.recall_at.values(),
            *metrics.interpolated_precision.values(),
        ]
    )


def largest_difference(metrics, peer: np.ndarray) -> float:
    """The largest difference between any of our numbers and the peer's: all means, and both APs of every query."""
    aps = torch.stack([metrics.average_precision_hits, metrics.average_precision_all], 1).numpy()
    return float(max(np.abs(in_peers_order(metrics) - peer.mean(0)).max(), np.abs(aps - peer[:, :2]).max()))

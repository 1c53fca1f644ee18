"""Retrieval metrics, each named by its convention. A gallery item is relevant if it shares a label with the query.

Queries come in chunks, so that memory stays bounded; ties are broken by one stored permutation of the gallery, as in a
stable sort after it, and the tie-averaged AP is the value that no tie order can move.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dcmq.core.errors import DcmqError

CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


LEVELS = tuple(tenths / 10 for tenths in range(11))  # of recall


_LARGE = 20_000  # gallery from which threads pay: below, they mostly wait for each other


@dataclass(frozen=True)
class RankingMetrics:
    """Means over all queries; one without a relevant item counts as 0 and is counted.

    ``average_precision_*`` hold one float64 per query, for paired tests.
    """

    r: int
    tie_seed: int
    map_at_r_hits: float
    map_at_all: float
    map_at_all_tie_averaged: float
    precision_at: dict[int, float]
    recall_at: dict[int, float]
    interpolated_precision: dict[float, float]
    queries: int
    queries_without_relevant: int
    queries_without_hit: int
    average_precision_hits: Tensor
    average_precision_all: Tensor

    def to_dict(self) -> dict:
        """Plain numbers under the conventions' names, for records."""
        return {
            f"mAP@{self.r} (hits)": self.map_at_r_hits,
            "mAP@all": self.map_at_all,
            "mAP@all (tie-averaged)": self.map_at_all_tie_averaged,
            "precision@N": {str(n): v for n, v in self.precision_at.items()},
            "recall@N": {str(n): v for n, v in self.recall_at.items()},
            "interpolated precision at recall": {str(level): v for level, v in self.interpolated_precision.items()},
            "queries": self.queries,
            "queries without relevant item": self.queries_without_relevant,
            "queries without hit in R": self.queries_without_hit,
            "tie seed": self.tie_seed,
        }

    def per_query(self) -> dict[str, str]:
        """Each query's AP in thousandths, as a line of numbers, for paired tests on records."""
        each = {f"mAP@{self.r} (hits)": self.average_precision_hits, "mAP@all": self.average_precision_all}
        return {name: " ".join(str(round(1000 * v)) for v in values.tolist()) for name, values in each.items()}


def tie_permutation(n: int, seed: int = 0) -> Tensor:
    """The order of the gallery before the stable sort; the same for the same ``n`` and ``seed``."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def average_precision(precision: np.ndarray) -> float:
    """Mean of the precision at each hit; 0 without a hit. The hits of the first R ranks give AP@R (hits), all give AP@all.

    Args:
        precision: (k,) at the ranks of the relevant items.
    """
    return float(precision.mean()) if len(precision) else 0.0


def interpolated_precision(precision: np.ndarray) -> np.ndarray:
    """(11,) best precision at any rank where recall is at least 0, .1, ... 1; zeros without a relevant item.

    Between two relevant items precision only falls, so the best is always at one of them.

    Args:
        precision: (k,) at the ranks of the relevant items.
    """
    if not len(precision):
        return np.zeros(len(LEVELS))
    wanted = np.ceil(len(precision) * np.array(LEVELS) - 1e-9).clip(1).astype(int)  # relevant items to be found
    best = np.maximum.reduceat(precision, wanted - 1)  # up to the next level
    return np.maximum.accumulate(best[::-1])[::-1]


def average_precision_tie_averaged(hit: np.ndarray, tied: np.ndarray, precision: np.ndarray) -> float:
    """Expected AP over all orders of equal scores (McSherry and Najork, 2008); 0 without a relevant item.

    In a group of n items with r relevant, after s items with f relevant, the j-th is relevant with chance r / n, and
    then ``f + 1 + (j - 1) (r - 1) / (n - 1)`` items up to it are. Summed over j, only harmonic numbers remain.

    Args:
        hit: (n,) relevance by rank, in some order of equal scores. tied: (n - 1,) whether a rank's score is the next's.
        precision: (k,) at the ranks of the relevant items.
    """
    if not len(precision):
        return 0.0
    edges = np.flatnonzero(np.diff(tied, prepend=False, append=False))
    start, stop = edges[::2], edges[1::2] + 1  # of the groups of two or more
    found = _sums(hit, np.int32)
    before, size = found[start], stop - start
    hits = found[stop] - before
    slope = (hits - 1) / (size - 1)
    harmonic = _harmonic_numbers(len(hit))
    expected = hits / size * (slope * size + (before + 1 - slope * (start + 1)) * (harmonic[stop] - harmonic[start]))
    summed = _sums(precision, float)
    in_groups = summed[before + hits] - summed[before]
    return float((summed[-1] + (expected - in_groups).sum()) / len(precision))


def _sums(values: np.ndarray, kind: type) -> np.ndarray:
    """(n + 1,) of the first 0, 1, ... n values."""
    sums = np.zeros(len(values) + 1, kind)
    np.cumsum(values, out=sums[1:])
    return sums


@lru_cache(maxsize=2)
def _harmonic_numbers(n: int) -> np.ndarray:
    """(n + 1,) 1 + 1/2 + ... + 1/i for i = 0 ... n."""
    return _sums(1 / np.arange(1, n + 1), float)


def ranked(score: np.ndarray, place: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relevance of n items by falling score, equal scores by rising place, and which scores are equal.

    The order itself is not wanted: score, place and relevance are packed into one integer each, and plain integers sort
    several times faster than a stable argsort.

    Args:
        score: (n,) float32. place: (n,) int64, distinct, 0 to n - 1. relevant: (n,) bool.

    Returns:
        (n,) bool by rank; (n - 1,) bool, whether the score at a rank is the next's.
    """
    bits = (0.0 - score).view(np.int32)  # a difference: 0.0 and -0.0 both become 0.0
    bits ^= (bits >> 31) & 0x7FFFFFFF  # integers in the order of the floats
    key = bits.astype(np.int64)
    key <<= 32
    key |= place << 1
    key |= relevant
    key.sort()
    return (key & 1).astype(bool), (key[1:] ^ key[:-1]) >> 32 == 0


def evaluate_ranking(
    score: Callable[[slice], Tensor],
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    r: int = 5000,
    chunk: int = 32,
    tie_seed: int = 0,
) -> RankingMetrics:
    """Rank the gallery for every query and measure, on a large gallery with as many threads as torch has.

    Args:
        score: for a slice of queries, their (b, g) scores, higher is nearer. Called from several threads.
        query_labels, gallery_labels: true labels, (q, C) and (g, C) 0/1.
        r: cut of mAP@R (hits); at most the gallery's size is used. chunk: queries that a thread scores at a time.

    Raises:
        DcmqError: no query, an empty gallery, or a score that is not a number.
    """
    queries, n = len(query_labels), len(gallery_labels)
    if not queries or not n:
        raise DcmqError(f"nothing to rank: {queries} queries, {n} gallery items; check the split")
    r = min(r, n)
    cuts = [c for c in CUTS if c <= n]
    place = tie_permutation(n, tie_seed).argsort().numpy()
    with_label = (gallery_labels.T > 0).contiguous().numpy()  # (C, g)
    own_labels = (query_labels > 0).numpy()
    each = np.zeros(
        queries,
        [(name, float) for name in ("hits", "all", "tied")]
        + [("total", int), ("in_r", int), ("found", int, len(cuts)), ("levels", float, len(LEVELS))],
    )

    def measure(rows: slice) -> None:
        values = np.ascontiguousarray(score(rows).detach().float().numpy())  # columns of scores would leave the cache
        if np.isnan(values.min()):
            raise DcmqError(f"scores of queries {rows.start}..{rows.stop - 1} hold NaN: the embeddings are broken")
        for query, own in enumerate(values, rows.start):
            hit, tied = ranked(own, place, with_label[own_labels[query]].any(0))
            ranks = np.flatnonzero(hit) + 1
            precision = np.arange(1, len(ranks) + 1) / ranks
            in_r, *found = np.searchsorted(ranks, [r, *cuts], side="right")
            each[query] = (
                average_precision(precision[:in_r]),
                average_precision(precision),
                average_precision_tie_averaged(hit, tied, precision),
                len(ranks),
                in_r,
                found,
                interpolated_precision(precision),
            )

    parts = [slice(i, min(i + chunk, queries)) for i in range(0, queries, chunk)]
    _in_threads(measure, parts, torch.get_num_threads() if n >= _LARGE else 1)
    found, total = each["found"].astype(float), each["total"]
    recall = found / total.clip(1)[:, None]
    return RankingMetrics(
        r=r,
        tie_seed=tie_seed,
        map_at_r_hits=each["hits"].mean().item(),
        map_at_all=each["all"].mean().item(),
        map_at_all_tie_averaged=each["tied"].mean().item(),
        precision_at={c: (found[:, i] / c).mean().item() for i, c in enumerate(cuts)},
        recall_at={c: recall[:, i].mean().item() for i, c in enumerate(cuts)},
        interpolated_precision=dict(zip(LEVELS, each["levels"].mean(0).tolist(), strict=True)),
        queries=queries,
        queries_without_relevant=int((total == 0).sum()),
        queries_without_hit=int((each["in_r"] == 0).sum()),
        average_precision_hits=torch.from_numpy(each["hits"].copy()),
        average_precision_all=torch.from_numpy(each["all"].copy()),
    )


def _in_threads(work: Callable[[slice], None], parts: list[slice], threads: int) -> None:
    """Call ``work`` on every part; of several threads each leaves torch one, as sorting needs no torch."""
    if threads == 1:
        for part in parts:
            work(part)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, parts))
    finally:
        torch.set_num_threads(before)


def precision_recall_by_radius(
    score: Callable[[slice], Tensor], query_labels: Tensor, gallery_labels: Tensor, largest: int, chunk: int = 128
) -> dict[str, list[float]]:
    """Precision and recall of all pairs within Hamming distance 0, 1, ... ``largest``, each a list of that length + 1.

    Over all pairs at once (micro-average, as DCMH's own evaluation has it): a query whose ball is empty weighs nothing.
    Precision is 0 where no pair is within the radius.

    Args:
        score: for a slice of queries, minus their (b, g) Hamming distances.
    """
    near, hits = torch.zeros(largest + 1, dtype=torch.long), torch.zeros(largest + 1, dtype=torch.long)
    gallery = gallery_labels.float()
    for start in range(0, len(query_labels), chunk):
        rows = slice(start, min(start + chunk, len(query_labels)))
        distance = (-score(rows)).long()
        near += torch.bincount(distance.flatten(), minlength=largest + 1)
        hits += torch.bincount(distance[query_labels[rows].float() @ gallery.T > 0], minlength=largest + 1)
    near, hits = near.cumsum(0), hits.cumsum(0)
    return {
        "precision": (hits / near.clamp_min(1)).tolist(),
        "recall": (hits / hits[-1].clamp_min(1)).tolist(),
    }

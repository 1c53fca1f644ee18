"""Retrieval metrics, each named by its convention. A gallery item is relevant if it shares a label with the query.

Queries come in chunks, so that memory stays bounded; ties are broken by one stored permutation of the gallery, as in a
stable sort after it, and the tie-averaged AP is the value that no tie order can move.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcmq.errors import DcmqError

CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LEVELS = tuple(tenths / 10 for tenths in range(11))  # of recall


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


def average_precision_hits(relevant: Tensor, r: int) -> Tensor:
    """(q,) AP within the first ``r`` of (q, n) relevance in rank order, over the hits found there; 0 without a hit."""
    relevant = relevant[:, :r].double()
    ranks = torch.arange(1, relevant.shape[1] + 1, dtype=torch.float64)
    precision = relevant.cumsum(1) / ranks
    return (precision * relevant).sum(1) / relevant.sum(1).clamp_min(1)


def interpolated_precision(relevant: Tensor) -> Tensor:
    """(q, 11) best precision at any rank where recall is at least 0, .1, ... 1, of (q, n) relevance in rank order."""
    relevant = relevant.double()
    found = relevant.cumsum(1)
    precision = found / torch.arange(1, relevant.shape[1] + 1, dtype=torch.float64)
    best = precision.flip(1).cummax(1).values.flip(1)
    wanted = (found[:, -1:] * torch.tensor(LEVELS, dtype=torch.float64)).sub(1e-9).ceil()  # relevant items to be found
    ranks = torch.searchsorted(found, wanted.clamp_min(1)).clamp_max(relevant.shape[1] - 1)
    return torch.where(found[:, -1:] > 0, best.gather(1, ranks), 0.0)


def average_precision_tie_averaged(score: Tensor, relevant: Tensor) -> Tensor:
    """(q,) expected AP over all orders of equal scores (McSherry and Najork, 2008).

    Args:
        score: (q, n) sorted, equal values side by side. relevant: (q, n) in the same order.
    """
    relevant = relevant.double()
    q, n = relevant.shape
    if n == 0:
        return torch.zeros(q, dtype=torch.float64)
    opens = torch.ones(q, n, dtype=torch.bool)
    opens[:, 1:] = score[:, 1:] != score[:, :-1]
    group = opens.long().cumsum(1) - 1
    size = torch.zeros(q, n, dtype=torch.float64).scatter_add_(1, group, torch.ones_like(relevant))
    hits = torch.zeros(q, n, dtype=torch.float64).scatter_add_(1, group, relevant)
    before, hits_before = size.cumsum(1) - size, hits.cumsum(1) - hits
    n_g, r_g, seen, found = (t.gather(1, group) for t in (size, hits, before, hits_before))
    rank = torch.arange(1, n + 1, dtype=torch.float64).expand(q, n)
    inside = (rank - seen - 1) * (r_g - 1) / (n_g - 1).clamp_min(1)
    expected = r_g / n_g * (found + 1 + inside) / rank
    return expected.sum(1) / relevant.sum(1).clamp_min(1)


def ranked(score: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and relevance, both (q, n), by falling score, equal scores in the order given.

    Only relevance in rank order is wanted, not the order itself: score, place and relevance are packed into one integer
    each, and plain integers sort several times faster than a stable argsort.

    Returns:
        Integers that are equal where scores are, and rise as scores fall; booleans.
    """
    bits = (score.float() + 0.0).numpy().view(np.int32)  # + 0.0 makes -0.0 equal to 0.0
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # integers in the order of the floats
    place = np.arange(score.shape[1], dtype=np.int64)
    key = (~rising).astype(np.int64) << 32 | place << 1 | relevant.numpy()
    key.sort(axis=1)
    return torch.from_numpy(key >> 32), torch.from_numpy((key & 1).astype(bool))


def evaluate_ranking(
    score: Callable[[slice], Tensor],
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    r: int = 5000,
    chunk: int = 128,
    tie_seed: int = 0,
) -> RankingMetrics:
    """Rank the gallery for every query and measure.

    Args:
        score: for a slice of queries, their (b, g) scores, higher is nearer.
        query_labels, gallery_labels: true labels, (q, C) and (g, C) 0/1.
        r: cut of mAP@R (hits); at most the gallery's size is used. chunk: queries at a time.

    Raises:
        DcmqError: no query, an empty gallery, or a score that is not a number.
    """
    queries, n = len(query_labels), len(gallery_labels)
    if not queries or not n:
        raise DcmqError(f"nothing to rank: {queries} queries, {n} gallery items; check the split")
    r = min(r, n)
    order = tie_permutation(n, tie_seed)
    gallery = gallery_labels[order].float()
    cuts = [c for c in CUTS if c <= n]
    parts: dict[str, list[Tensor]] = {k: [] for k in ("hits", "all", "tied", "total", "in_r", "found", "levels")}
    for start in range(0, queries, chunk):
        rows = slice(start, min(start + chunk, queries))
        values = score(rows)[:, order]
        if torch.isnan(values).any():
            raise DcmqError(f"scores of queries {rows.start}..{rows.stop - 1} hold NaN: the embeddings are broken")
        values, relevant = ranked(values, query_labels[rows].float() @ gallery.T > 0)
        counts = relevant.cumsum(1)
        parts["hits"].append(average_precision_hits(relevant, r))
        parts["all"].append(average_precision_hits(relevant, n))
        parts["tied"].append(average_precision_tie_averaged(values, relevant))
        parts["levels"].append(interpolated_precision(relevant))
        parts["total"].append(counts[:, -1])
        parts["in_r"].append(counts[:, r - 1])
        parts["found"].append(counts[:, [c - 1 for c in cuts]])
    whole = {name: torch.cat(tensors) for name, tensors in parts.items()}
    found, total = whole["found"].double(), whole["total"]
    recall = found / total.clamp_min(1)[:, None]
    return RankingMetrics(
        r=r,
        tie_seed=tie_seed,
        map_at_r_hits=whole["hits"].mean().item(),
        map_at_all=whole["all"].mean().item(),
        map_at_all_tie_averaged=whole["tied"].mean().item(),
        precision_at={c: (found[:, i] / c).mean().item() for i, c in enumerate(cuts)},
        recall_at={c: recall[:, i].mean().item() for i, c in enumerate(cuts)},
        interpolated_precision=dict(zip(LEVELS, whole["levels"].mean(0).tolist(), strict=True)),
        queries=queries,
        queries_without_relevant=int((total == 0).sum()),
        queries_without_hit=int((whole["in_r"] == 0).sum()),
        average_precision_hits=whole["hits"],
        average_precision_all=whole["all"],
    )


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

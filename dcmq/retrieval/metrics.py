"""Metrics of retrieval over all queries, each named by its convention. A gallery item is relevant if it shares a label with the
query.

Queries come in chunks, so that memory stays bounded. Ties are broken by one stored permutation of the gallery, as in a stable sort
after it; no order of ties moves the tie-averaged AP.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.core.numbers import whole_number
from dcmq.retrieval.measures import (
    RECALL_LEVELS,
    average_precision,
    interpolated_precision,
    ranked_relevance,
    tie_averaged_average_precision,
)

CUTOFFS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
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

    def mean_average_precisions(self) -> dict[str, float]:
        """The mAPs alone, under the conventions' names."""
        return {
            f"mAP@{self.r} (hits)": self.map_at_r_hits,
            "mAP@all": self.map_at_all,
            "mAP@all (tie-averaged)": self.map_at_all_tie_averaged,
        }

    def to_dict(self) -> dict:
        """Plain numbers under the conventions' names, for records."""
        return self.mean_average_precisions() | {
            "precision@N": {str(n): v for n, v in self.precision_at.items()},
            "recall@N": {str(n): v for n, v in self.recall_at.items()},
            "interpolated precision at recall": {str(level): v for level, v in self.interpolated_precision.items()},
            "queries": self.queries,
            "queries without relevant item": self.queries_without_relevant,
            "queries without hit in R": self.queries_without_hit,
            "tie seed": self.tie_seed,
        }

    def per_query(self) -> dict[str, str]:
        """Each query's AP in thousandths, as a line of numbers under the metric's name, for paired tests on records."""
        values = {f"mAP@{self.r} (hits)": self.average_precision_hits, "mAP@all": self.average_precision_all}
        return {name: " ".join(str(round(1000 * v)) for v in aps.tolist()) for name, aps in values.items()}


def tie_permutation(n: int, seed: int = 0) -> Tensor:
    """(n,) int64: the order of the gallery before the stable sort; the same for the same ``n`` and ``seed``."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


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
        r: R of mAP@R (hits); at most the gallery's size is used.
        chunk: queries that a thread scores at a time.

    Raises:
        DcmqError: no query, an empty gallery, labels that are no two such matrices, scores of another shape, or one that is not a
            number.
    """
    query_labels, gallery_labels = _label_matrices(query_labels, gallery_labels)
    num_queries, n = len(query_labels), len(gallery_labels)
    if not num_queries or not n:
        raise DcmqError(f"nothing to rank: {num_queries} queries, {n} gallery items; check the split")
    r = min(whole_number("r", r, 1, 2**63 - 1), n)
    chunk, tie_seed = whole_number("chunk", chunk, 1, 2**31), whole_number("tie_seed", tie_seed, 0, 2**63 - 1)
    cutoffs = [c for c in CUTOFFS if c <= n]
    positions = tie_permutation(n, tie_seed).argsort().numpy()
    with_label = (gallery_labels.T > 0).contiguous().numpy()  # (C, g)
    labels_of_queries = (query_labels > 0).numpy()
    measures = np.zeros(
        num_queries,
        [(name, float) for name in ("ap_hits", "ap_all", "ap_tie_averaged")]
        + [("relevant", int), ("hits_in_r", int)]
        + [("hits", int, len(cutoffs)), ("precision", float, len(RECALL_LEVELS))],
    )

    def measure(rows: slice) -> None:
        scores = _scores(score(rows), (rows.stop - rows.start, n))
        if np.isnan(scores.min()):
            raise DcmqError(f"scores of queries {rows.start}..{rows.stop - 1} hold NaN: the embeddings are broken")
        for query, query_scores in enumerate(scores, rows.start):
            relevant = with_label[labels_of_queries[query]].any(0)
            hit, tied = ranked_relevance(query_scores, positions, relevant)
            ranks = np.flatnonzero(hit) + 1
            precision = np.arange(1, len(ranks) + 1) / ranks
            hits_in_r, *hits = np.searchsorted(ranks, [r, *cutoffs], side="right")
            measures[query] = (
                average_precision(precision[:hits_in_r]),
                average_precision(precision),
                tie_averaged_average_precision(hit, tied, precision),
                len(ranks),
                hits_in_r,
                hits,
                interpolated_precision(precision),
            )

    chunks = [slice(i, min(i + chunk, num_queries)) for i in range(0, num_queries, chunk)]
    _in_threads(measure, chunks, torch.get_num_threads() if n >= _LARGE else 1)
    hits = measures["hits"].astype(float)
    recall = hits / measures["relevant"].clip(1)[:, None]
    return RankingMetrics(
        r=r,
        tie_seed=tie_seed,
        map_at_r_hits=measures["ap_hits"].mean().item(),
        map_at_all=measures["ap_all"].mean().item(),
        map_at_all_tie_averaged=measures["ap_tie_averaged"].mean().item(),
        precision_at={c: (hits[:, i] / c).mean().item() for i, c in enumerate(cutoffs)},
        recall_at={c: recall[:, i].mean().item() for i, c in enumerate(cutoffs)},
        interpolated_precision=dict(zip(RECALL_LEVELS, measures["precision"].mean(0).tolist(), strict=True)),
        queries=num_queries,
        queries_without_relevant=int((measures["relevant"] == 0).sum()),
        queries_without_hit=int((measures["hits_in_r"] == 0).sum()),
        average_precision_hits=torch.from_numpy(measures["ap_hits"].copy()),
        average_precision_all=torch.from_numpy(measures["ap_all"].copy()),
    )


def _label_matrices(query_labels: Tensor, gallery_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Both as tensors. Raises DcmqError where they are not (q, C) and (g, C)."""
    try:
        both = torch.as_tensor(query_labels), torch.as_tensor(gallery_labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DcmqError(f"labels are no numbers ({' '.join(str(error).split())[:100]}): give 0 and 1") from None
    shapes = [tuple(labels.shape) for labels in both]
    if any(len(shape) != 2 or not shape[1] for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise DcmqError(
            f"labels are {shapes[0]} and {shapes[1]}, not (queries, classes) and (gallery, classes) of 0 and 1: numbers of "
            "classes have to be one-hot first"
        )
    for labels in both:
        if labels.is_complex() or not torch.isin(labels.float(), torch.tensor([-1.0, 0.0, 1.0])).all():
            raise DcmqError("labels are not all 0 and 1 (or -1, as 0): a soft label or NaN is neither relevant nor not")
    return both


def _scores(given: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """(b, g) float32. Raises DcmqError for another shape, and for what float32 cannot hold."""
    scores = torch.as_tensor(given).detach()
    if tuple(scores.shape) != shape or scores.is_complex():
        raise DcmqError(f"scores are {tuple(scores.shape)}, not {shape} real numbers: one for each query and gallery item")
    found = scores.float()
    if scores.dtype == torch.float64 and (found.isinf() & scores.isfinite()).any():
        raise DcmqError("scores are too large for float32, in which they would all be equal: scale them down")
    return np.ascontiguousarray(found.numpy())  # columns of scores would leave the cache


def _in_threads(work: Callable[[slice], None], chunks: list[slice], threads: int) -> None:
    """Call ``work`` on every chunk; of several threads each leaves torch one, as sorting needs no torch."""
    if threads == 1:
        for chunk in chunks:
            work(chunk)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, chunks))
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
        query_labels, gallery_labels: true labels, (q, C) and (g, C), above 0 where an item has the class.

    Raises:
        DcmqError: labels that are no two such matrices.
    """
    queries, gallery = (labels.gt(0).float() for labels in _label_matrices(query_labels, gallery_labels))
    pairs, hits = torch.zeros(largest + 1, dtype=torch.long), torch.zeros(largest + 1, dtype=torch.long)
    for start in range(0, len(queries), chunk):
        rows = slice(start, min(start + chunk, len(queries)))
        distance = (-score(rows)).long()
        pairs += torch.bincount(distance.flatten(), minlength=largest + 1)
        hits += torch.bincount(distance[queries[rows] @ gallery.T > 0], minlength=largest + 1)
    pairs, hits = pairs.cumsum(0), hits.cumsum(0)
    return {
        "precision": (hits / pairs.clamp_min(1)).tolist(),
        "recall": (hits / hits[-1].clamp_min(1)).tolist(),
    }


def own_pair_recall(score: Callable[[slice], Tensor], queries: int, chunk: int = 128) -> dict[str, float]:
    """The share of queries whose own item is among the first 1, 5 and 10 of as many items as queries, query i's being item i.

    Where scores are equal, the expected share over all orders of them.

    Args:
        score: for a slice of queries, their (b, q) scores, higher is nearer.
    """
    first, within = torch.tensor([1, 5, 10]), torch.zeros(3, dtype=torch.float64)
    for start in range(0, queries, chunk):
        rows = slice(start, min(start + chunk, queries))
        scores = score(rows)
        own = scores.gather(1, torch.arange(queries)[rows, None])
        above, tied = (scores > own).sum(1), (scores == own).sum(1)
        within += ((first - above[:, None]) / tied[:, None].double()).clamp(0, 1).sum(0)
    return {str(n): value for n, value in zip(first.tolist(), (within / queries).tolist(), strict=True)}

"""What thresholds on scores can do: tell relevant pairs from irrelevant ones, and say that nothing matches.

A ranking compares items for one query only. A user who wants "no match" as an answer needs scores that mean the same for every
query; these measures show whether they do. They are ours: no paper on cross-modal hashing reports them.
"""

import math
from dataclasses import dataclass

import numpy as np

from dcmq.codes.ranking import ranking_keys, scores_and_positions
from dcmq.retrieval.auc import auroc


def auroc_over_pairs(scores: np.ndarray, relevant: np.ndarray) -> float:
    """:func:`auroc` of relevant against irrelevant pairs, all queries pooled.

    Args:
        scores, relevant: (q, n) numbers and bools.
    """
    return auroc(scores[relevant], scores[~relevant])


def auroc_of_no_match(scores: np.ndarray, relevant: np.ndarray) -> float:
    """The AUROC with which the highest score of a query tells a gallery with relevant items from the same gallery without them.

    In other words, the :func:`auroc` of each query's highest score against each query's highest over its irrelevant items. Queries that have no
    relevant or no irrelevant item are left out; nan if none is left.

    Args:
        scores, relevant: (q, n) numbers and bools.
    """
    both = relevant.any(1) & ~relevant.all(1)
    scores, relevant = scores[both], relevant[both]
    return auroc(scores.max(1), np.where(relevant, -np.inf, scores).max(1)) if both.any() else math.nan


def over_pairs(
    scores: np.ndarray, relevant: np.ndarray, cut_scores: np.ndarray, cut_relevant: np.ndarray, precision: float = 0.8
) -> dict:
    """Plain numbers for records: ``AUROC``, ``no match`` and the number of ``queries`` behind them, and ``threshold``.

    The threshold is chosen on the queries of the cut, for ``precision``, and measured on the real ones. In a usual run the cut is
    part of train: a student knows its queries, its scores are too high, and the precision that is reached lies below the one
    that was aimed at. By how much is a result in itself. What cannot be measured is left out: an AUROC where all pairs are alike,
    the threshold where there is no cut.

    Args:
        scores, relevant: (q, n) numbers and bools.
        cut_scores, cut_relevant: (v, m) of the cut, perhaps with v = 0.
    """
    found = {"AUROC": auroc_over_pairs(scores, relevant), "no match": auroc_of_no_match(scores, relevant)}
    result = {name: value for name, value in found.items() if not math.isnan(value)} | {"queries": len(scores)}
    if cut_scores.size:
        chosen = choose_threshold(cut_scores, cut_relevant, precision)
        about = {"aimed at": precision, "value": chosen.value, "precision on the cut": chosen.precision}
        result["threshold"] = about | at_threshold(scores, relevant, chosen.value)
    return result


@dataclass(frozen=True)
class Threshold:
    """A score from which on pairs are called a match, and the precision that it had where it was chosen."""

    value: float
    precision: float


def choose_threshold(scores: np.ndarray, relevant: np.ndarray, precision: float) -> Threshold:
    """The lowest threshold at which at least ``precision`` of the accepted pairs are relevant; if there is none, that of the
    highest precision.

    Only thresholds that accept as many pairs as there are queries are looked at: a few lucky pairs shall not choose.

    Args:
        scores, relevant: (q, n) float32 and bools, of queries on which nothing else is measured.
    """
    keys = ranking_keys(scores.ravel(), relevant.ravel().astype(np.int64))
    keys.sort()
    ranked, found = scores_and_positions(keys)
    hits = np.cumsum(found)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # equal scores are accepted together
    last = last[last >= len(scores) - 1]
    reached = hits[last] / (last + 1)
    enough = np.flatnonzero(reached >= precision)
    best = enough[-1] if len(enough) else reached.argmax()
    return Threshold(float(ranked[last[best]]), float(reached[best]))


def at_threshold(scores: np.ndarray, relevant: np.ndarray, threshold: float) -> dict[str, float]:
    """The outcome of accepting every pair from ``threshold`` on: plain numbers for records.

    ``precision`` and ``recall`` over all pairs (precision is 0 where none is accepted), and ``queries with a match``: the share
    of queries for which at least one item is accepted.

    Args:
        scores, relevant: (q, n) numbers and bools.
    """
    accepted = scores >= threshold
    hits = int((accepted & relevant).sum())
    return {
        "precision": hits / max(1, int(accepted.sum())),
        "recall": hits / max(1, int(relevant.sum())),
        "queries with a match": float(accepted.any(1).mean()),
    }

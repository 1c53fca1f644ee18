"""How the splits of real data sets are drawn. Train lies within the gallery, which is all but the queries."""

import numpy as np

from dcmq.data.dataset import draw_split, Split
from dcmq.core.errors import DcmqError


def draw(recipe: str, labels: np.ndarray, query: int, train: int, seed: int = 0) -> Split:
    """A split of the rows of ``labels`` (n, C) by ``recipe``: ``random`` or ``per class``.

    Raises:
        DcmqError: sizes that do not fit.
    """
    return (
        per_class_split(labels, query, train, seed)
        if recipe == "per class"
        else draw_split(len(labels), query, train, seed=seed)
    )


def per_class_split(labels: np.ndarray, query: int, train: int, seed: int = 0) -> Split:
    """About as many queries, and training samples, of each class; samples may have several labels.

    Rarest class first, each is drawn from until ``query // C`` samples with it are chosen, those chosen for an earlier class
    counted; then random samples fill up to exactly ``query``. The same from the rest for ``train``. A tenth of train
    validates.

    Raises:
        DcmqError: sizes that do not fit.
    """
    n = len(labels)
    if min(query, train) < 1 or query + train > n:
        raise DcmqError(f"query {query} + train {train} need {query + train} samples of at least 1 each, there are {n}")
    rng = np.random.default_rng(seed)
    free = np.ones(n, bool)
    chosen = []
    for size in (query, train):
        rows = _balanced(labels, free, size, rng)
        free[rows] = False
        chosen.append(rows)
    queries, training = chosen
    gallery = np.setdiff1d(np.arange(n), queries)
    validation = rng.permutation(training)[: train // 10]
    return Split(np.sort(queries), np.sort(training), gallery, np.sort(validation))


def _balanced(labels: np.ndarray, free: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """``size`` rows out of ``free``."""
    taken = np.zeros(len(labels), bool)
    for c in np.argsort(labels.sum(0), kind="stable"):
        missing = size // labels.shape[1] - int(labels[taken, c].sum())
        there = np.flatnonzero(free & ~taken & (labels[:, c] > 0))
        taken[rng.permutation(there)[: max(0, missing)]] = True
    rest = np.flatnonzero(free & ~taken)
    taken[rng.permutation(rest)[: size - int(taken.sum())]] = True
    return np.flatnonzero(taken)

"""Splits: queries, training samples and gallery, how they are drawn, and their hash."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.storage import CorruptFile, read_json, write_json


@dataclass(frozen=True)
class Split:
    """Sorted row numbers of each part. Train lies within the gallery, queries outside it, the validation cut within
    train."""

    query: np.ndarray
    train: np.ndarray
    gallery: np.ndarray
    validation: np.ndarray

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that identify the split."""
        return digest(*(np.asarray(part, np.int64) for part in (self.query, self.train, self.gallery, self.validation)))

    def save(self, path: Path) -> None:
        """Write the index file (JSON) with its hash."""
        parts = {name: getattr(self, name).tolist() for name in ("query", "train", "gallery", "validation")}
        write_json(path, {"hash": self.hash, **parts})

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read an index file. Raises DcmqError if its hash does not match its rows."""
        try:
            stored = read_json(path)
            parts = (stored[k] for k in ("query", "train", "gallery", "validation"))
            split = cls(*(np.asarray(part, np.int64) for part in parts))
            intact = split.hash == stored["hash"]
        except (CorruptFile, ValueError, KeyError, TypeError, OverflowError):
            intact = False
        if not intact:
            raise DcmqError(f"split file {path} is missing, damaged or edited: delete it to draw it again")
        return split


def draw_split(n: int, query: int, train: int, gallery: int | None = None, seed: int = 0) -> Split:
    """A random split of ``n`` rows: ``gallery`` (default: all the rest) holds ``train``; a tenth of train validates.

    Raises:
        DcmqError: sizes that do not fit.
    """
    gallery = n - query if gallery is None else gallery
    if min(query, train, gallery) < 1:
        raise DcmqError(f"query {query}, train {train}, gallery {gallery}: each must be at least 1")
    if train > gallery:
        raise DcmqError(f"train {train} is larger than the gallery {gallery}: train is drawn from the gallery")
    if query + gallery > n:
        raise DcmqError(f"query {query} + gallery {gallery} need {query + gallery} samples, the data set has {n}")
    order = np.random.default_rng(seed).permutation(n)
    rest = order[query : query + gallery]
    parts = order[:query], rest[:train], rest, rest[: train // 10]
    return Split(*(np.sort(part) for part in parts))


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
    """A split with about as many queries, and training samples, of each class; samples may have several labels.

    Rarest class first, each is drawn from until ``query // C`` samples with it are chosen, those chosen for an earlier
    class counted; then random samples fill up to exactly ``query``. The same from the rest for ``train``. A tenth of
    train validates.

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
    """``size`` row numbers out of ``free``, about as many of each class."""
    taken = np.zeros(len(labels), bool)
    for c in np.argsort(labels.sum(0), kind="stable"):
        missing = size // labels.shape[1] - int(labels[taken, c].sum())
        candidates = np.flatnonzero(free & ~taken & (labels[:, c] > 0))
        taken[rng.permutation(candidates)[: max(0, missing)]] = True
    rest = np.flatnonzero(free & ~taken)
    taken[rng.permutation(rest)[: size - int(taken.sum())]] = True
    return np.flatnonzero(taken)

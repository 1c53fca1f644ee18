"""Engines: searches of one gallery behind one interface. However an engine finds its candidates, the scores that rank them are
those of :mod:`dcmq.codes.score`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.pack import unpack
from dcmq.codes.ranking import first_k, ranking_keys
from dcmq.codes.score import scores
from dcmq.core.registry import Registry

_ITEMS, _QUERIES = 1 << 14, 64  # that are scored at once
_SHORTEST = 1e-12  # length that a sub-vector is divided by at least, as in training


@dataclass(frozen=True)
class Queries:
    """Query embeddings in the two forms that engines need.

    Attributes:
        embeddings: (q, D) float32, each sub-vector of length 1.
        tables: (q, M, K) float32 cosines of the sub-vectors with all codewords.
    """

    embeddings: np.ndarray
    tables: np.ndarray

    @classmethod
    def from_embeddings(cls, embeddings: np.ndarray, codewords: np.ndarray) -> "Queries":
        """The queries of (q, D) embeddings for (M, K, D / M) ``codewords`` of length 1, all float32. A zero sub-vector has cosine 0.

        By numpy: for one query, torch would take longer than the search of a million codes by its tables.
        """
        parts = embeddings.reshape(len(embeddings), len(codewords), -1)
        lengths = np.sqrt(np.einsum("qmd,qmd->qm", parts, parts))[:, :, None]
        parts = parts / np.maximum(lengths, _SHORTEST)
        tables = np.matmul(parts[:, :, None], codewords.transpose(0, 2, 1))[:, :, 0]  # one by one: equal in any batch
        return cls(parts.reshape(embeddings.shape), tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __getitem__(self, rows) -> "Queries":
        return Queries(self.embeddings[rows], self.tables[rows])


@dataclass(frozen=True)
class Gallery:
    """All that an engine may be built from.

    Attributes:
        codebooks: (M, K, D / M).
        codes: (n, code size) packed, perhaps memory-mapped.
        centroids: (nlist, D) of the inverted lists; nlist is 0 where the gallery was not clustered.
        lists: (n,) the list of each item; empty where the gallery was not clustered.
        nprobe: how many lists a query looks at.
    """

    codebooks: Tensor
    codes: np.ndarray
    centroids: np.ndarray
    lists: np.ndarray
    nprobe: int


class Engine(ABC):
    """A search over the packed codes of one gallery.

    Attributes:
        needs_lists: whether it searches inverted lists, so that the gallery must have been clustered.
    """

    needs_lists: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, gallery: Gallery):
        """Prepare to search ``gallery``."""

    @abstractmethod
    def search(self, queries: Queries, k: int) -> np.ndarray:
        """(q, k) keys as :func:`dcmq.codes.ranking.ranking_keys` makes them, best first; 1 <= k <= number of items."""

    def grown(self, gallery: Gallery) -> "Engine":
        """An engine of ``gallery``: of this one's items with others behind them. May be this one itself, grown in place."""
        return type(self)(gallery)


ENGINES: Registry[type[Engine]] = Registry("engine")


def register_engine(name: str) -> Callable[[type[Engine]], type[Engine]]:
    """A decorator that makes an :class:`Engine` known as ``name`` to searches and to ``dcmq search``."""
    return ENGINES.decorator(name)


@register_engine("exact")
class ExactEngine(Engine):
    """The reference (§3.5): the look-ups of every item are summed, for every query."""

    def __init__(self, gallery: Gallery):
        self.num_codebooks, self.num_codewords = gallery.codebooks.shape[:2]
        self.codes = gallery.codes

    def grown(self, gallery):
        """This engine, which keeps nothing but the codes."""
        self.codes = gallery.codes
        return self

    def search(self, queries, k):
        """The exact ranking; memory grows with ``k`` and not with the gallery."""
        tables = torch.from_numpy(queries.tables)
        batches = (tables[start : start + _QUERIES] for start in range(0, len(tables), _QUERIES))
        return np.concatenate([self._search(batch, k) for batch in batches])

    def _search(self, tables: Tensor, k: int) -> np.ndarray:
        best = np.empty((len(tables), 0), np.int64)
        for start in range(0, len(self.codes), _ITEMS):
            indices = unpack(self.codes[start : start + _ITEMS], self.num_codebooks, self.num_codewords)
            positions = np.arange(start, start + len(indices))
            keys = ranking_keys(scores(tables, torch.from_numpy(indices)).contiguous().numpy(), positions)
            best = first_k(np.concatenate([best, keys], axis=1), k)
        return best

"""Engines: searches of one gallery behind one interface. However an engine finds its candidates, the scores that rank them are
those of :mod:`dcmq.codes.score`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.assign import lookup_tables, unit_subvectors
from dcmq.codes.pack import unpack
from dcmq.codes.ranking import first_k, ranking_keys
from dcmq.codes.score import scores
from dcmq.core.registry import Registry

_ITEMS, _QUERIES = 1 << 14, 64  # that are scored at once


@dataclass(frozen=True)
class Queries:
    """Query embeddings in the two forms that engines need.

    Attributes:
        embeddings: (q, D), each sub-vector of length 1.
        tables: (q, M, K) cosines of the sub-vectors with all codewords.
    """

    embeddings: Tensor
    tables: Tensor

    @classmethod
    def from_embeddings(cls, embeddings: Tensor, codebooks: Tensor) -> "Queries":
        """The queries of (q, D) embeddings."""
        return cls(unit_subvectors(embeddings, len(codebooks)), lookup_tables(embeddings, codebooks))

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

    def search(self, queries, k):
        """The exact ranking; memory grows with ``k`` and not with the gallery."""
        tables = queries.tables
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

"""Searches behind one interface. Whatever finds candidates, the scores that rank them are those of :mod:`dcmq.codes`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.assign import lookup_tables, unit_subvectors
from dcmq.codes.pack import unpack
from dcmq.codes.ranking import first, keys
from dcmq.codes.score import scores

_ROWS = 1 << 14  # of the gallery scored at once


_QUERIES = 64


@dataclass(frozen=True)
class Queries:
    """What searches a gallery.

    Attributes:
        unit: (q, D) embeddings whose sub-vectors have length 1.
        tables: (q, M, K), their cosines with all codewords.
    """

    unit: Tensor
    tables: Tensor

    @classmethod
    def of(cls, embeddings: Tensor, codebooks: Tensor) -> "Queries":
        """From (q, D) embeddings."""
        return cls(unit_subvectors(embeddings, len(codebooks)), lookup_tables(embeddings, codebooks))

    def __len__(self) -> int:
        return len(self.unit)

    def __getitem__(self, rows) -> "Queries":
        return Queries(self.unit[rows], self.tables[rows])


class Engine(ABC):
    """A search over the packed codes of one gallery."""

    @abstractmethod
    def search(self, queries: Queries, k: int) -> np.ndarray:
        """(q, k) keys of :mod:`dcmq.codes.ranking`, best first; 1 <= k <= number of items."""


class ExactEngine(Engine):
    """The reference (§3.5): every item's look-ups are summed, for every query.

    Args:
        codebooks: (M, K, D / M).
        codes: (n, width) packed, perhaps memory-mapped.
    """

    def __init__(self, codebooks: Tensor, codes: np.ndarray):
        self.num_codebooks, self.words = codebooks.shape[:2]
        self.codes = codes

    def search(self, queries, k):
        """See :class:`Engine`."""
        tables = queries.tables
        return np.concatenate([self._search(tables[i : i + _QUERIES], k) for i in range(0, len(tables), _QUERIES)])

    def _search(self, tables: Tensor, k: int) -> np.ndarray:
        best = np.empty((len(tables), 0), np.int64)
        for start in range(0, len(self.codes), _ROWS):
            indices = torch.from_numpy(unpack(self.codes[start : start + _ROWS], self.num_codebooks, self.words))
            places = np.arange(start, start + len(indices))
            here = keys(scores(tables, indices).contiguous().numpy(), places)
            best = first(np.concatenate([best, here], axis=1), k)
        return best

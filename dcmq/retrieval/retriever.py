"""How a trained method ranks: what it makes of an item, what it stores of it, and how a query scores what is stored."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor


class Retriever(ABC):
    """A trained method on one data set.

    Attributes:
        bytes_per_item: what the gallery stores of an item.
        radius: the largest Hamming distance of two codes, where that is what ranks; else 0.
        codebooks: (M, K, D / M) codewords, where codes are their numbers; else None.
    """

    bytes_per_item: float
    radius: int = 0
    codebooks: Tensor | None = None

    @abstractmethod
    def embed(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Embeddings of the pictures and of the texts of ``rows``, each (len(rows), D) float32, not compressed."""

    @abstractmethod
    def codes(self, embeddings: Tensor) -> Tensor:
        """What a gallery holds of (n, D) embeddings: (n, M)."""

    @abstractmethod
    def queries(self, embeddings: Tensor) -> Tensor:
        """What scores codes, made once of (q, D) embeddings: (q, ...)."""

    @abstractmethod
    def scores(self, queries: Tensor, codes: Tensor) -> Tensor:
        """(q, n): higher is nearer; equal codes have equal scores, to the bit."""

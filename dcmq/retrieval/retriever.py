"""The interface of a trained method to evaluation: embeddings, the codes that a gallery stores, and the scores of queries."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor


class Retriever(ABC):
    """A trained method on one data set.

    Attributes:
        bytes_per_item: size of an item in the gallery.
        radius: the largest Hamming distance of two codes, where that is what ranks; else 0.
        codebooks: (M, K, D / M) codewords, where codes are their numbers; else None.
    """

    bytes_per_item: float
    radius: int = 0
    codebooks: Tensor | None = None

    @abstractmethod
    def embed(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Embeddings of the images and of the texts of ``rows``, each (len(rows), D) float32, not compressed."""

    @abstractmethod
    def codes(self, embeddings: Tensor) -> Tensor:
        """(n, M) codes that a gallery stores of (n, D) embeddings."""

    @abstractmethod
    def queries(self, embeddings: Tensor) -> Tensor:
        """(q, ...): (q, D) query embeddings in the form that :meth:`scores` takes, such as look-up tables."""

    def toward(self, modality: str) -> "Retriever":
        """The retriever whose codes, queries and codebooks are those of a gallery of ``image`` or ``text``: itself, where a
        method codes both modalities alike."""
        return self

    @abstractmethod
    def scores(self, queries: Tensor, codes: Tensor) -> Tensor:
        """(q, n) scores, higher is nearer; equal codes have equal scores, to the bit.

        Args:
            queries: as :meth:`queries` gives them.
            codes: as :meth:`codes` gives them.
        """

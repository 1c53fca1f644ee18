"""Synthetic galleries: embeddings around common centroids, as a student's are, and queries beside them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.index import CodeIndex
from dcmq.codes.quantize import quantize

DIMENSION = 256  # of an embedding, as the student's at 64 bits
NUM_CODEWORDS = 16
_PART = 1 << 16  # items drawn at once
_NUM_CENTROIDS = 2000


@dataclass(frozen=True)
class SyntheticGallery:
    """``n`` items in the forms that are searched.

    Attributes:
        index: their codes.
        signs: (n, bits / 8) uint8, the signs of as many numbers of each embedding, packed.
        floats: (n, 256) float32 embeddings of length 1, or None where not asked for.
        queries: (q, 256) float32 embeddings.
    """

    index: CodeIndex
    signs: np.ndarray
    floats: np.ndarray | None
    queries: Tensor

    @property
    def query_signs(self) -> np.ndarray:
        """(q, bits / 8) uint8: signs of the queries, as of the items."""
        return _signs(self.queries, self.index.bits)


def make_gallery(
    n: int, bits: int, num_queries: int = 1000, floats: bool = False, seed: int = 0, noise: float = 1.0
) -> SyntheticGallery:
    """A gallery of ``n`` items with codes of ``bits`` and M = bits / 4 codebooks; codewords are parts of some items.

    Args:
        noise: deviation of items from their centroids, whose own is 1.
    """
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.randn(_NUM_CENTROIDS, DIMENSION, generator=generator)
    num_codebooks = bits // 4

    def draw(count: int) -> Tensor:
        nearest = centroids[torch.randint(_NUM_CENTROIDS, (count,), generator=generator)]
        return nearest + noise * torch.randn(count, DIMENSION, generator=generator)

    codebooks = draw(NUM_CODEWORDS).unflatten(1, (num_codebooks, -1)).transpose(0, 1).contiguous()
    index, queries = CodeIndex(codebooks), draw(num_queries)
    codes, signs, embeddings = [], [], []
    for start in range(0, n, _PART):
        part = draw(min(_PART, n - start))
        codes.append(quantize(part, codebooks))
        signs.append(_signs(part, bits))
        if floats:
            embeddings.append(F.normalize(part, dim=1).numpy())
    index.add(np.concatenate(codes), np.arange(n))
    return SyntheticGallery(index, np.concatenate(signs), np.concatenate(embeddings) if floats else None, queries)


def _signs(x: Tensor, bits: int) -> np.ndarray:
    return np.packbits(x[:, :bits].numpy() > 0, axis=1)

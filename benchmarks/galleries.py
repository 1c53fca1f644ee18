"""Embeddings as a student gives them, made up: near ones around common centres, and queries that lie a little beside."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.index import CodeIndex
from dcmq.codes.quantize import quantize

DIMENSION = 256  # of an embedding, as the student's at 64 bits
WORDS = 16
_PART = 1 << 16
_CENTRES = 2000


@dataclass(frozen=True)
class Gallery:
    """``n`` items in the forms that are searched.

    Attributes:
        index: their codes. signs: (n, bits / 8) uint8, the signs of as many numbers of each embedding, packed.
        floats: (n, 256) float32 of length 1, or None where not asked for.
        queries: (q, 256) float32.
    """

    index: CodeIndex
    signs: np.ndarray
    floats: np.ndarray | None
    queries: Tensor

    @property
    def query_signs(self) -> np.ndarray:
        """(q, bits / 8) uint8."""
        return _signs(self.queries, self.index.bits)


def made(n: int, bits: int, queries: int = 1000, floats: bool = False, seed: int = 0) -> Gallery:
    """A gallery of ``n`` items with codes of ``bits`` and M = bits / 4 codebooks; codewords are parts of some items."""
    draw = torch.Generator().manual_seed(seed)
    centroids = torch.randn(_CENTRES, DIMENSION, generator=draw)
    num_codebooks = bits // 4

    def points(count: int) -> Tensor:
        near = centroids[torch.randint(_CENTRES, (count,), generator=draw)]
        return near + torch.randn(count, DIMENSION, generator=draw)

    index = CodeIndex(points(WORDS).unflatten(1, (num_codebooks, -1)).transpose(0, 1).contiguous())
    asked, codes, signs, kept = points(queries), [], [], []
    for start in range(0, n, _PART):
        part = points(min(_PART, n - start))
        codes.append(quantize(part, index.codebooks))
        signs.append(_signs(part, bits))
        if floats:
            kept.append(F.normalize(part, dim=1).numpy())
    index.add(np.concatenate(codes), np.arange(n))
    return Gallery(index, np.concatenate(signs), np.concatenate(kept) if floats else None, asked)


def _signs(x: Tensor, bits: int) -> np.ndarray:
    return np.packbits(x[:, :bits].numpy() > 0, axis=1)

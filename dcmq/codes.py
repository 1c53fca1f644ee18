"""Codes and their search (§3.5): which codeword, how it is packed, how a query scores it.

Assignment and scoring live here and nowhere else, and training takes its cosines from here too, so that what is
searched cannot drift from what was trained.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.core.errors import DcmqError


def bits_per_word(words: int) -> int:
    """log2 K. Raises DcmqError unless K is a power of two of at least 2."""
    if words < 2 or words & (words - 1):
        raise DcmqError(f"codewords: K = {words} is not a power of two, so codes cannot be packed; choose 16 or 256")
    return words.bit_length() - 1


def codebooks_for_bits(bits: int, words: int = 16) -> int:
    """M such that M * log2 K = ``bits``. Raises DcmqError where no whole M does."""
    each = bits_per_word(words)
    if bits <= 0 or bits % each:
        raise DcmqError(f"bits: {bits} cannot be reached with K = {words}; choose a positive multiple of {each}")
    return bits // each


def lookup_tables(x: Tensor, codebooks: Tensor) -> Tensor:
    """Cosine of every sub-vector with every codeword of its book: (n, D) and (M, K, D / M) to (n, M, K) in [-1, 1].

    For a query this is its look-up table; for training, the ``s`` of Eq. 4 and 5. A zero sub-vector has cosine 0.
    """
    parts = F.normalize(x.unflatten(1, (len(codebooks), -1)), dim=2)
    return torch.einsum("nmd,mkd->nmk", parts, F.normalize(codebooks, dim=2))


def assign(x: Tensor, codebooks: Tensor) -> Tensor:
    """(n, M) int64: the codeword with the largest cosine for each sub-vector of (n, D) embeddings."""
    return lookup_tables(x, codebooks).argmax(2)


def scores(tables: Tensor, indices: Tensor) -> Tensor:
    """(q, n) float32: for (q, M, K) tables and (n, M) indices, the sum over m of ``table[m, index_m]``.

    Summed in the order of m, so that equal codes have bit-equal scores: their tie is a true tie. Where sub-vectors were
    normalised in training, this is M times the training cosine.
    """
    columns = tables.float().permute(1, 2, 0).contiguous()  # (M, K, q): whole rows are read, not single numbers
    total = torch.zeros(len(indices), len(tables))
    for m, column in enumerate(columns):
        total += column[indices[:, m]]
    return total.T


def candidate_scores(tables: Tensor, indices: Tensor) -> Tensor:
    """(q, c) float32: as :func:`scores`, to the bit, where each query has (q, c, M) candidates of its own."""
    flat = np.ascontiguousarray(tables.float().numpy())
    q, books, words = flat.shape
    starts, flat = words * books * np.arange(q)[:, None], flat.ravel()
    total, numbers = np.zeros(indices.shape[:2], np.float32), indices.numpy()
    for m in range(books):  # numpy: for single numbers its take is many times faster than torch's gather
        total += flat.take(starts + words * m + numbers[:, :, m])
    return torch.from_numpy(total)


def pack(indices: Tensor | np.ndarray, words: int = 16) -> np.ndarray:
    """(n, M) indices below K to (n, ceil(M * log2 K / 8)) uint8, most significant bit first, zero-padded at the end."""
    indices = np.asarray(indices)
    each = bits_per_word(words)
    if indices.size and (indices.min() < 0 or indices.max() >= words):
        raise DcmqError(f"a code holds {indices.max()}, outside 0..{words - 1}: it was made with another K")
    bits = (indices[..., None] >> np.arange(each - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(len(indices), indices.shape[1] * each), axis=1)


def unpack(packed: np.ndarray, books: int, words: int = 16) -> np.ndarray:
    """(n, M) int64: the inverse of :func:`pack`. Raises DcmqError if the width is not that of M codes."""
    each = bits_per_word(words)
    width = math.ceil(books * each / 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
        raise DcmqError(
            f"packed codes are {packed.dtype} {packed.shape}, not uint8 (n, {width}) for M = {books}, K = {words}"
        )
    if words == 256:
        return packed.astype(np.int64)
    if words == 16:  # the usual one, and by halves of a byte several times faster than by bits
        return np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)[:, :books].astype(np.int64)
    bits = np.unpackbits(packed, axis=1, count=books * each).reshape(len(packed), books, each).astype(np.int64)
    return bits @ (1 << np.arange(each - 1, -1, -1))

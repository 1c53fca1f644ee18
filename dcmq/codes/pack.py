"""Codeword numbers to bytes and back."""

import math

import numpy as np
from torch import Tensor

from dcmq.codes.bits import bits_per_codeword
from dcmq.core.errors import DcmqError


def pack(indices: Tensor | np.ndarray, words: int = 16) -> np.ndarray:
    """(n, M) indices below K to (n, ceil(M * log2 K / 8)) uint8, most significant bit first, zero-padded at the end."""
    indices = np.asarray(indices)
    each = bits_per_codeword(words)
    if indices.size and (indices.min() < 0 or indices.max() >= words):
        raise DcmqError(f"a code holds {indices.max()}, outside 0..{words - 1}: it was made with another K")
    bits = (indices[..., None] >> np.arange(each - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(len(indices), indices.shape[1] * each), axis=1)


def unpack(packed: np.ndarray, num_codebooks: int, words: int = 16) -> np.ndarray:
    """(n, M) int64: the inverse of :func:`pack`. Raises DcmqError if the width is not that of M codes."""
    each = bits_per_codeword(words)
    width = math.ceil(num_codebooks * each / 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
        raise DcmqError(
            f"packed codes are {packed.dtype} {packed.shape}, not uint8 (n, {width}) for M = {num_codebooks}, K = {words}"
        )
    if words == 256:
        return packed.astype(np.int64)
    if words == 16:  # the usual one, and by halves of a byte several times faster than by bits
        return np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)[:, :num_codebooks].astype(np.int64)
    bits = (
        np.unpackbits(packed, axis=1, count=num_codebooks * each)
        .reshape(len(packed), num_codebooks, each)
        .astype(np.int64)
    )
    return bits @ (1 << np.arange(each - 1, -1, -1))

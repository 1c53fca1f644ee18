"""Codeword numbers to bytes and back."""

import numpy as np
from torch import Tensor

from dcmq.codes.bits import bits_per_codeword
from dcmq.core.errors import DcmqError


def code_size(num_codebooks: int, num_codewords: int) -> int:
    """Bytes of a packed code."""
    return -(-num_codebooks * bits_per_codeword(num_codewords) // 8)


def pack(indices: Tensor | np.ndarray, num_codewords: int = 16) -> np.ndarray:
    """(n, M) codeword numbers below K to (n, code size) uint8, most significant bit first, zero bits at the end.

    Raises:
        DcmqError: a number outside 0 to K - 1.
    """
    indices = np.asarray(indices)
    bits_each = bits_per_codeword(num_codewords)
    if indices.size and (indices.min() < 0 or indices.max() >= num_codewords):
        raise DcmqError(f"a code holds {indices.max()}, outside 0..{num_codewords - 1}: it was made with another K")
    bits = (indices[..., None] >> np.arange(bits_each - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(len(indices), indices.shape[1] * bits_each), axis=1)


def unpack(codes: np.ndarray, num_codebooks: int, num_codewords: int = 16) -> np.ndarray:
    """(n, code size) uint8 to (n, M) int64, the inverse of :func:`pack`.

    Raises:
        DcmqError: the size is not that of M codewords.
    """
    size = code_size(num_codebooks, num_codewords)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != size:
        raise DcmqError(
            f"packed codes are {codes.dtype} {codes.shape}, not uint8 (n, {size}) for M = {num_codebooks}, "
            f"K = {num_codewords}"
        )
    if num_codewords == 256:
        return codes.astype(np.int64)
    if num_codewords == 16:  # the usual one, and by halves of a byte several times faster than by bits
        return np.stack([codes >> 4, codes & 15], axis=2).reshape(len(codes), -1)[:, :num_codebooks].astype(np.int64)
    bits_each = bits_per_codeword(num_codewords)
    bits = np.unpackbits(codes, axis=1, count=num_codebooks * bits_each)
    bits = bits.reshape(len(codes), num_codebooks, bits_each).astype(np.int64)
    return bits @ (1 << np.arange(bits_each - 1, -1, -1))

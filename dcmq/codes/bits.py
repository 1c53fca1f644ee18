"""Bits of a code: M codebooks of K codewords make M * log2 K of them."""

from dcmq.core.errors import DcmqError


def bits_per_codeword(words: int) -> int:
    """log2 K. Raises DcmqError unless K is a power of two of at least 2."""
    if words < 2 or words & (words - 1):
        raise DcmqError(f"codewords: K = {words} is not a power of two, so codes cannot be packed; choose 16 or 256")
    return words.bit_length() - 1


def codebooks_for_bits(bits: int, words: int = 16) -> int:
    """M such that M * log2 K = ``bits``. Raises DcmqError where no whole M does."""
    each = bits_per_codeword(words)
    if bits <= 0 or bits % each:
        raise DcmqError(f"bits: {bits} cannot be reached with K = {words}; choose a positive multiple of {each}")
    return bits // each

"""Bits of a code: M codebooks of K codewords make M * log2 K of them."""

from dcmq.core.errors import DcmqError


def bits_per_codeword(num_codewords: int) -> int:
    """log2 K. Raises DcmqError unless K is a power of two of at least 2."""
    if num_codewords < 2 or num_codewords & (num_codewords - 1):
        raise DcmqError(
            f"codewords: K = {num_codewords} is not a power of two, so codes cannot be packed; choose 16 or 256"
        )
    return num_codewords.bit_length() - 1


def codebooks_for_bits(bits: int, num_codewords: int = 16) -> int:
    """The M for which M * log2 K = ``bits``. Raises DcmqError where no whole M is."""
    bits_each = bits_per_codeword(num_codewords)
    if bits <= 0 or bits % bits_each:
        raise DcmqError(
            f"bits: {bits} cannot be reached with K = {num_codewords}; choose a positive multiple of {bits_each}"
        )
    return bits // bits_each

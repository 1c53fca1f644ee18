"""How stable codes are: what changes in them when the same items are encoded in another way, and how close each choice was.

Whoever adds items to a gallery on another machine wants the same codes. Ours: no paper on cross-modal hashing reports it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dcmq.codes.assign import lookup_tables
from dcmq.codes.bits import bits_per_codeword


@dataclass(frozen=True)
class Changes:
    """Shares, from 0 to 1, of what differs between two codings of the same items: of items, of codewords, of bits."""

    items: float
    codewords: float
    bits: float


def changes(codes: Tensor, others: Tensor, num_codewords: int) -> Changes:
    """The differences between two (n, M) codings in numbers below K; a codeword's bits are those of its number.

    Raises:
        DcmqError: K is no power of two.
    """
    width = bits_per_codeword(num_codewords)
    differs = codes != others
    flipped = ((codes ^ others)[..., None] >> torch.arange(width)) & 1
    return Changes(
        items=differs.any(1).double().mean().item(),
        codewords=differs.double().mean().item(),
        bits=flipped.double().mean().item(),
    )


def margins(embeddings: Tensor, codebooks: Tensor) -> Tensor:
    """(n, M) cosine of each sub-vector with its codeword, less that with the second-best one: at least 0.

    A codeword can change only where its margin is at most twice the largest change of a cosine: the best falls and the second
    rises by no more than that each.

    Args:
        embeddings: (n, D). codebooks: (M, K, D / M), K at least 2.
    """
    best = lookup_tables(embeddings, codebooks).topk(2, dim=2).values
    return best[..., 0] - best[..., 1]


def largest_change(embeddings: Tensor, others: Tensor, codebooks: Tensor) -> float:
    """The largest change of any cosine of a sub-vector and a codeword between two (n, D) encodings of the same items."""
    return (lookup_tables(embeddings, codebooks) - lookup_tables(others, codebooks)).abs().max().item()

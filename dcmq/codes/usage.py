"""Statistics of codebooks: whether every codeword serves, or a few do all the work."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def usage(indices: Tensor, num_codewords: int) -> Tensor:
    """(M, K) float64: the share of (n, M) codeword numbers that each codeword of each codebook holds; a row sums to 1."""
    counts = torch.stack([torch.bincount(column, minlength=num_codewords) for column in indices.T])
    return counts.double() / len(indices)


def normalized_entropy(shares: Tensor) -> Tensor:
    """(M,) entropy of (M, K) shares over log K: 1 where all codewords serve alike, 0 where one does everything."""
    return torch.special.entr(shares).sum(1) / math.log(shares.shape[1])


def pairwise_cosine(codebooks: Tensor) -> Tensor:
    """(M,) mean cosine between two different codewords of each of (M, K, D / M) codebooks."""
    normalized = F.normalize(codebooks.double(), dim=2)
    num_codewords = codebooks.shape[1]
    totals = (normalized @ normalized.mT).sum((1, 2))
    return (totals - num_codewords) / (num_codewords * (num_codewords - 1))


def codeword_statistics(indices: Tensor, codebooks: Tensor) -> dict:
    """Plain numbers for records, of (n, M) codeword numbers and (M, K, D / M) codebooks.

    ``entropy``: mean over codebooks of the normalized entropy. ``dead``: share of codewords that nothing is assigned to.
    ``usage``: K shares, the most used codeword of each codebook first, averaged over the codebooks. ``cosine``: mean
    pairwise cosine.
    """
    shares = usage(indices, codebooks.shape[1])
    return {
        "entropy": normalized_entropy(shares).mean().item(),
        "dead": (shares == 0).double().mean().item(),
        "usage": shares.sort(1, descending=True).values.mean(0).tolist(),
        "cosine": pairwise_cosine(codebooks.detach()).mean().item(),
    }

"""Which codeword each sub-vector takes (§3.5), and the cosines that decide it.

Training takes its cosines from here too, so that what is searched cannot drift from what was trained.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def lookup_tables(x: Tensor, codebooks: Tensor) -> Tensor:
    """Cosines of every sub-vector with every codeword of its codebook: (n, D) and (M, K, D / M) to (n, M, K) in [-1, 1].

    For a query this is its look-up table; for training, the ``s`` of Eq. 4 and 5. A zero sub-vector has cosine 0.
    """
    subvectors = F.normalize(x.unflatten(1, (len(codebooks), -1)), dim=2)
    return torch.einsum("nmd,mkd->nmk", subvectors, F.normalize(codebooks, dim=2))


def assign(x: Tensor, codebooks: Tensor) -> Tensor:
    """(n, M) int64: the codeword with the largest cosine for each sub-vector of (n, D) embeddings."""
    return lookup_tables(x, codebooks).argmax(2)


def unit_subvectors(x: Tensor, num_codebooks: int) -> Tensor:
    """(n, D): ``x`` with each of its M sub-vectors scaled to length 1."""
    return F.normalize(x.unflatten(1, (num_codebooks, -1)), dim=2).flatten(1)

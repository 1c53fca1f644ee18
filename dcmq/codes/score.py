"""How a query scores codes (§3.5): the sum of what its look-up table holds for each codeword, asymmetric distance computation."""

import numpy as np
import torch
from torch import Tensor


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
    q, num_codebooks, words = flat.shape
    starts, flat = words * num_codebooks * np.arange(q)[:, None], flat.ravel()
    total, numbers = np.zeros(indices.shape[:2], np.float32), indices.numpy()
    for m in range(num_codebooks):  # numpy: for single numbers its take is many times faster than torch's gather
        total += flat.take(starts + words * m + numbers[:, :, m])
    return torch.from_numpy(total)

"""The score of a code for a query (§3.5): its codewords' entries in the query's look-up table, summed. In other words,
asymmetric distance computation: queries are not compressed."""

import numpy as np
import torch
from torch import Tensor


def scores(tables: Tensor, indices: Tensor) -> Tensor:
    """(q, n) float32: for (q, M, K) tables and (n, M) codeword numbers, the sum over m of ``table[m, index_m]``.

    Summed in the order of m, so that equal codes have bit-equal scores: their tie is a true tie. Where sub-vectors were
    normalized in training, this is M times the training cosine.
    """
    columns = tables.float().permute(1, 2, 0).contiguous()  # (M, K, q): whole rows are read, not single numbers
    total = torch.zeros(len(indices), len(tables))
    for m, column in enumerate(columns):
        total += column[indices[:, m]]
    return total.T


def candidate_scores(tables: Tensor, indices: Tensor) -> Tensor:
    """(q, c) float32: as :func:`scores`, to the bit, where each query has candidates of its own, (q, c, M)."""
    entries = np.ascontiguousarray(tables.float().numpy())
    q, num_codebooks, num_codewords = entries.shape
    starts, entries = num_codewords * num_codebooks * np.arange(q)[:, None], entries.ravel()
    total, numbers = np.zeros(indices.shape[:2], np.float32), indices.numpy()
    for m in range(num_codebooks):  # numpy: for single numbers its take is many times faster than torch's gather
        total += entries.take(starts + num_codewords * m + numbers[:, :, m])
    return torch.from_numpy(total)

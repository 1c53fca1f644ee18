"""The score of a code for a query (§3.5): its codewords' entries in the query's look-up table, summed. In other words,
asymmetric distance computation: queries are not compressed."""

import torch
from torch import Tensor
from torch.nn import functional as F


def scores(tables: Tensor, indices: Tensor) -> Tensor:
    """(q, n) float32: for (q, M, K) tables and (n, M) codeword numbers, the sum over m of ``table[m, index_m]``.

    Summed in the order of m, so that equal codes have bit-equal scores: their tie is a true tie. Where sub-vectors were
    normalized in training, this is M times the training cosine.
    """
    num_queries, num_codebooks, num_codewords = tables.shape
    entries = tables.float().permute(1, 2, 0).reshape(-1, num_queries)  # a row for each codeword: whole rows are read
    rows = indices + num_codewords * torch.arange(num_codebooks)
    return F.embedding_bag(rows, entries.contiguous(), mode="sum").T

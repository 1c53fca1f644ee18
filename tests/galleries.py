"""Galleries to be exported, and what a program that searches them must find."""

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.index import CodeIndex
from dcmq.codes.pack import pack

LENGTH = 6  # of a sub-vector


def make_index(num_codebooks: int = 16, num_codewords: int = 16, n: int = 3000) -> tuple[CodeIndex, Tensor]:
    """An index of ``n`` items, of which a tenth are copies of others, so that scores tie; and (9, D) embeddings of queries."""
    draw = torch.Generator().manual_seed(0)
    index = CodeIndex(3 * torch.randn(num_codebooks, num_codewords, LENGTH, generator=draw))
    numbers = torch.randint(0, num_codewords, (n, num_codebooks), generator=draw)
    numbers[n - n // 10 :] = numbers[: n // 10]
    index.add(pack(numbers, num_codewords), [f"item {i}" for i in range(n)])
    return index, torch.randn(9, num_codebooks * LENGTH, generator=draw)


def assert_ranks_as(index: CodeIndex, queries: Tensor, ids: np.ndarray, scores: np.ndarray, atol: float = 1e-5) -> None:
    """Fail unless (q, k) ``ids`` with ``scores`` are a ranking of ``index``: its scores, rank by rank, and each item with its own.

    Args:
        atol: between two scores that may change places, as those of equal codes do in any case.
    """
    every = index.search(queries, len(index), "exact")
    np.testing.assert_allclose(scores, every.scores[:, : scores.shape[1]], atol=atol)
    for found, claimed, all_ids, all_scores in zip(ids, scores, every.ids, every.scores, strict=True):
        assert len(set(found)) == len(found)
        own = dict(zip(all_ids, all_scores, strict=True))
        np.testing.assert_allclose(claimed, [own[name] for name in found], atol=atol)

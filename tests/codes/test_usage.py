"""Statistics of codebooks, on cases worked by hand."""

import math

import pytest
import torch

from dcmq.codes.usage import codeword_statistics, normalized_entropy, pairwise_cosine, usage


def test_usage_is_the_share_of_each_codeword_in_each_codebook():
    indices = torch.tensor([[0, 3], [0, 3], [1, 3], [2, 3]])
    assert usage(indices, 4).tolist() == [[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_entropy_is_one_where_all_serve_alike_and_zero_where_one_does_everything():
    shares = torch.tensor([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]], dtype=torch.float64)
    assert normalized_entropy(shares).tolist() == pytest.approx([1, 0, 0.5])


def test_pairwise_cosine_leaves_each_codeword_itself_out():
    codebooks = torch.tensor([[[1.0, 0], [0, 2.0]], [[1.0, 0], [3.0, 0]], [[1.0, 0], [-1.0, 0]]])
    assert pairwise_cosine(codebooks).tolist() == pytest.approx([0, 1, -1])


def test_statistics_are_means_over_codebooks():
    indices = torch.tensor([[0, 1], [0, 0], [1, 0], [1, 0]])
    statistics = codeword_statistics(indices, torch.eye(2).repeat(2, 1, 1))
    second = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)
    assert statistics["entropy"] == pytest.approx((1 + second) / 2)
    assert statistics["dead"] == 0 and statistics["cosine"] == pytest.approx(0)
    assert statistics["usage"] == pytest.approx([(0.5 + 0.75) / 2, (0.5 + 0.25) / 2])

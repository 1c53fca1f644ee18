"""Codes against explicit loops: assigned, packed, scored; and their round trips."""

import math

import numpy as np
import pytest
import torch

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.bits import codebooks_for_bits
from dcmq.codes.pack import pack, unpack
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError


def cosine(a, b):
    return (a @ b / a.norm() / b.norm()).item()


def test_scores_equal_a_loop_and_ties_are_exact():
    torch.manual_seed(0)
    codebooks, query, items = torch.randn(3, 4, 5), torch.randn(2, 15), torch.randn(20, 15)
    codes = assign(items, codebooks)
    result = scores(lookup_tables(query, codebooks), codes)
    for q in range(2):
        for n in range(20):
            cosines = [[cosine(items[n, 5 * m : 5 * m + 5], codebooks[m, k]) for k in range(4)] for m in range(3)]
            assert codes[n].tolist() == [row.index(max(row)) for row in cosines]
            total = sum(cosine(query[q, 5 * m : 5 * m + 5], codebooks[m, codes[n, m]]) for m in range(3))
            assert result[q, n].item() == pytest.approx(total, abs=1e-5)
    doubled = scores(lookup_tables(query, codebooks), torch.cat([codes, codes]))
    assert torch.equal(doubled[:, :20], doubled[:, 20:])


def test_a_zero_subvector_scores_zero():
    assert torch.equal(lookup_tables(torch.zeros(1, 15), torch.randn(3, 4, 5)), torch.zeros(1, 3, 4))


@pytest.mark.parametrize("num_codewords", [2, 4, 16, 256])
@pytest.mark.parametrize("num_codebooks", [1, 3, 8])
def test_packed_codes_round_trip(num_codewords, num_codebooks):
    codes = np.random.default_rng(0).integers(0, num_codewords, (11, num_codebooks))
    packed = pack(codes, num_codewords)
    assert packed.nbytes == 11 * math.ceil(num_codebooks * math.log2(num_codewords) / 8)
    assert np.array_equal(unpack(packed, num_codebooks, num_codewords), codes)


def test_bits_that_cannot_be_reached_are_refused():
    assert codebooks_for_bits(64) == 16
    with pytest.raises(DcmqError, match="multiple of 4"):
        codebooks_for_bits(30)
    with pytest.raises(DcmqError, match="power of two"):
        codebooks_for_bits(64, 12)
    with pytest.raises(DcmqError, match="another K"):
        pack(np.array([[16]]), 16)
    with pytest.raises(DcmqError, match="uint8"):
        unpack(np.zeros((2, 3), np.uint8), 8, 16)

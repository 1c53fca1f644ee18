"""Quantizer and codes against explicit loops, and their round trips."""

import math

import numpy as np
import pytest
import torch

from dcmq.codes.assign import assign, lookup_tables, unit_subvectors
from dcmq.codes.bits import codebooks_for_bits
from dcmq.codes.pack import pack, unpack
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.quantizer import ProductQuantizer, gumbel_assignment, gumbel_noise, soft_assignment


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return ProductQuantizer(3, 4, 5, tau_q=0.3, tau_g=0.7, gumbel_weight=0.5)


def cosine(a, b):
    return (a @ b / a.norm() / b.norm()).item()


def softmax(values):
    weights = [math.exp(v) for v in values]
    return [w / sum(weights) for w in weights]


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_quantized_embedding_equals_loops(quantizer, form):
    quantizer.gumbel_form = form
    x, noise = torch.randn(2, 15), gumbel_noise((2, 3, 4), torch.Generator().manual_seed(1))
    z = quantizer(x, noise)
    for n in range(2):
        for m in range(3):
            codebook = quantizer.codebooks[m]
            s = [cosine(x[n, 5 * m : 5 * m + 5], codebook[k]) for k in range(4)]
            soft = softmax([v / 0.3 for v in s])
            base = [v / 0.3 for v in s] if form == "scaled" else s
            drawn = softmax([(v + g.item()) / 0.7 for v, g in zip(base, noise[n, m], strict=True)])
            expected = sum((soft[k] + 0.5 * drawn[k]) * codebook[k] for k in range(4))
            torch.testing.assert_close(z[n, 5 * m : 5 * m + 5], expected, atol=1e-5, rtol=1e-5)


def test_without_noise_only_the_soft_term_is_left(quantizer):
    x = torch.randn(2, 15)
    weights = soft_assignment(lookup_tables(x, quantizer.codebooks), 0.3)
    expected = torch.einsum("nmk,mkd->nmd", weights, quantizer.codebooks).flatten(1)
    torch.testing.assert_close(quantizer(x), expected)


def test_gumbel_noise_is_finite_and_has_the_right_moments():
    noise = gumbel_noise((200_000,), torch.Generator().manual_seed(0))
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.std().item() == pytest.approx(math.pi / math.sqrt(6), abs=0.01)


def test_gumbel_max_draws_the_softmax():
    """At a low temperature the noisy choice falls on each codeword as often as its softmax says."""
    s = torch.tensor([1.0, 0.2, -0.5])
    noise = gumbel_noise((50_000, 3), torch.Generator().manual_seed(0))
    share = gumbel_assignment(s.expand(50_000, 3), noise, 1e-3, 1.0).mean(0)
    torch.testing.assert_close(share, torch.softmax(s, 0), atol=0.01, rtol=0)


def test_normalized_subvectors_make_the_search_score_the_training_cosine():
    torch.manual_seed(1)
    quantizer = ProductQuantizer(3, 4, 5, normalize_subvectors=True)
    query, item = quantizer.embedding(torch.randn(2, 15)), torch.randn(6, 15)
    codes = assign(item, quantizer.codebooks.detach())
    codewords = torch.stack([quantizer.codebooks.detach()[m, codes[:, m]] for m in range(3)], 1).flatten(1)
    hard = unit_subvectors(codewords, 3)
    cosines = torch.nn.functional.normalize(query, dim=1) @ torch.nn.functional.normalize(hard, dim=1).T
    torch.testing.assert_close(scores(lookup_tables(query, quantizer.codebooks.detach()), codes) / 3, cosines)


def test_quantizer_keeps_float32_under_autocast(quantizer):
    with torch.autocast("cpu", torch.bfloat16):
        assert quantizer(torch.randn(2, 15).bfloat16()).dtype == torch.float32


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

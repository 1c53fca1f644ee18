"""PQG against explicit loops: Eq. 2 to 5, and that what is searched is what was trained."""

import math

import pytest
import torch

from dcmq.codes.assign import assign, lookup_tables, unit_subvectors
from dcmq.codes.score import scores
from dcmq.methods.dcmq.quantizer import QUANTIZERS, ProductQuantizer, gumbel_assignment, gumbel_noise, soft_assignment


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


def test_an_unknown_reading_of_the_equation_is_refused():
    with pytest.raises(ValueError, match="form 'typo' is not one of raw, scaled"):
        gumbel_assignment(torch.zeros(1, 4), torch.zeros(1, 4), 1.0, 0.2, form="typo")


def test_straight_through_is_the_stored_codeword_with_the_gradient_of_the_soft_one(quantizer):
    hard = QUANTIZERS["straight_through"](3, 4, 5, tau_q=0.3, tau_g=0.7, gumbel_weight=0.5)
    hard.load_state_dict(quantizer.state_dict())
    x, noise = torch.randn(6, 15), gumbel_noise((6, 3, 4), torch.Generator().manual_seed(1))
    z, stored = hard(x), assign(x, quantizer.codebooks)
    for n in range(6):
        for m in range(3):
            codeword = quantizer.codebooks[m, stored[n, m]]
            torch.testing.assert_close(z[n, 5 * m : 5 * m + 5], codeword, atol=1e-6, rtol=0)
    torch.testing.assert_close(hard(x, noise) - z, quantizer(x, noise) - quantizer(x))  # Eq. 5 as it was
    cosines, slope = lookup_tables(x, quantizer.codebooks).detach(), torch.randn(6, 3, 4)
    gradients = []
    for module in (hard, quantizer):
        leaf = cosines.clone().requires_grad_()
        (module.weights(leaf, noise) * slope).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)

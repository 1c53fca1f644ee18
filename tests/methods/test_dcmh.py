"""DCMH's objective against loops over single pairs and its authors' derivatives."""

import math

import pytest
import torch
from tasks import numbers, similarity, task_of

from dcmq.methods import dcmh, hashing
from dcmq.methods.hashing import signs
from dcmq.methods.registry import METHODS


def test_the_pair_likelihood_is_a_sum_over_pairs():
    theta, similar = 3 * numbers(3, 4), similarity(3, 4)
    expected = 0.0
    for i in range(3):
        for j in range(4):
            t = theta[i, j].item()
            expected += math.log(1 + math.exp(t)) - similar[i, j].item() * t
    assert hashing.pair_likelihood_loss(theta, similar).item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(hashing.pair_likelihood_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]])))


def test_dcmh_has_the_derivatives_that_its_authors_state():
    n, bits, gamma, eta = 5, 4, 1.5, 0.7
    own, others, codes = numbers(n, bits), numbers(n, bits, seed=1), signs(numbers(n, bits, seed=2))
    similar = similarity(n, n)
    own.requires_grad_()
    terms = dcmh.batch_terms(own, others, codes, similar, torch.zeros(bits), gamma, eta)
    (sum(terms.values()) * n * n).backward()
    for i in range(n):
        expected = 2 * gamma * (own[i] - codes[i]) + 2 * eta * own.sum(0)
        for j in range(n):
            theta = own[i] @ others[j] / 2
            expected = expected + (torch.sigmoid(theta) - similar[i, j]) * others[j] / 2
        assert torch.allclose(own.grad[i], expected.detach(), atol=1e-4)


def test_dcmh_counts_the_rest_of_the_buffer_in_the_balance():
    own, rest = numbers(2, 4), numbers(4, seed=1)
    terms = dcmh.batch_terms(own, numbers(6, 4), signs(own), similarity(2, 6), rest, 1.0, 1.0)
    expected = sum((rest[c] + own[0, c] + own[1, c]) ** 2 for c in range(4)) / 12
    assert terms["balance"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_dcmhs_buffers_hold_what_the_networks_said(tmp_path):
    """A buffer whose rows are not the data set's freezes the method at chance."""
    given = task_of("DCMH", tmp_path, learning_rate=1e-12, epochs=1)
    trainer = dcmh.Trainer(given, METHODS["DCMH"].chosen_options(given.config))
    trainer.run()
    train = given.dataset.split.train
    with torch.no_grad():
        texts = trainer.network.encode_texts(trainer.text_batch(torch.from_numpy(train)))
    assert torch.allclose(trainer.buffers.text, texts, atol=1e-6)
    assert torch.equal(trainer.buffers.codes, signs(trainer.buffers.image + trainer.buffers.text))

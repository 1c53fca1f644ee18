"""SSAH's losses against loops over single pairs."""

import math

import pytest
import torch
from tasks import numbers, similarity, task_of

from dcmq.methods import ssah
from dcmq.methods.hashing import signs
from dcmq.methods.registry import METHODS


def test_ssahs_terms_are_sums_over_pairs_and_samples():
    b, bits, classes = 3, 4, 2
    outputs = numbers(b, 5), torch.tanh(numbers(b, bits, seed=1)), numbers(b, classes, seed=2)
    label_outputs = numbers(b, 5, seed=3), torch.tanh(numbers(b, bits, seed=4))
    codes, labels = signs(numbers(b, bits, seed=5)), torch.tensor([[1.0, 0], [1, 1], [0, 1]])
    weights = dict(alpha=1.0, gamma=2.0, beta=3.0, eta=4.0, released=0)
    found = ssah.supervised_terms(outputs, label_outputs, codes, labels, weights)
    expected = dict(feature=0.0, hash=0.0, quantization=0.0, label=0.0)
    for i in range(b):
        for j in range(b):
            similar = float((labels[i] * labels[j]).sum() > 0)
            for name, place, weight in (("feature", 0, 1.0), ("hash", 1, 2.0)):
                theta = (label_outputs[place][i] @ outputs[place][j]).item() / 2
                expected[name] += weight * (math.log(1 + math.exp(theta)) - similar * theta) / b**2
        expected["quantization"] += 3 * ((outputs[1][i] - codes[i]) ** 2).sum().item() / b**2
        guess = 1 / (1 + (-outputs[2][i]).exp())
        expected["label"] += 4 * ((guess - labels[i]) ** 2).sum().item() / b**2
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-4)


def test_ssahs_released_pair_loss_is_squared():
    theta, similar = numbers(2, 2), similarity(2, 2)
    expected = sum(
        (similar[i, j] * theta[i, j] - math.log(1 + math.exp(theta[i, j]))) ** 2 / 2 for i in range(2) for j in range(2)
    )
    assert ssah.squared_pair_loss(theta, similar).item() == pytest.approx(expected.item(), rel=1e-5)


def test_ssahs_adversary_reaches_the_encoders_and_the_released_code_has_none(tmp_path):
    for released in (0, 1):
        given = task_of("SSAH", tmp_path / str(released), options={"released": released, "adversary": 1.0})
        trainer = ssah.Trainer(given, METHODS["SSAH"].chosen_options(given.config))
        rows = torch.from_numpy(given.dataset.split.train[:8])
        terms = trainer._text_terms(rows, None)
        assert ("adversary" in terms) == (not released)
        if not released:
            terms["adversary"].backward()
            assert trainer.network.text_encoder[0].weight.grad.abs().sum() > 0
        names = set(trainer.epoch(0))
        assert any(name.startswith("discriminators") for name in names) == (not released)

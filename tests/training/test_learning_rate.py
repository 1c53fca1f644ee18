"""The learning rate over the epochs, and weight decay."""

import math
from itertools import pairwise

import pytest
import torch
from tiny import STUDENT, config

from dcmq.methods.dcmq.student import make_student
from dcmq.training.optimizer import adam, lr_factor


def factors(epochs, *schedule):
    return [lr_factor(epoch, epochs, *schedule) for epoch in range(epochs)]


def test_steps_fall_to_a_tenth_at_half_time():
    assert factors(4) == [1, 1, 0.1, 0.1]
    assert factors(5) == [1, 1, 1, 0.1, 0.1]
    assert factors(1) == [1]


def test_a_cosine_is_half_a_wave_that_the_epoch_after_the_last_would_end():
    expected = [(1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(6)]
    assert factors(5, "cosine") == pytest.approx(expected[:5])
    assert expected[5] == pytest.approx(0)


def test_a_flat_cosine_falls_from_half_time_on():
    assert factors(4, "flat_cosine") == pytest.approx([1, 1, 1, 0.5])
    assert factors(20, "flat_cosine")[:11] == [1] * 11
    assert factors(20, "flat_cosine")[10:] == pytest.approx(factors(10, "cosine"))


def test_warm_up_rises_in_equal_steps_to_the_schedule():
    assert factors(8, "step", 3) == pytest.approx([0.25, 0.5, 0.75, 1, 0.1, 0.1, 0.1, 0.1])
    assert factors(8, "cosine", 3)[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert factors(8, "cosine", 3)[3:] == pytest.approx(factors(5, "cosine"))


@pytest.mark.parametrize("schedule", ["step", "cosine", "flat_cosine"])
@pytest.mark.parametrize("epochs", [1, 2, 7, 20])
def test_factors_are_positive_at_most_one_and_rise_only_in_warm_up(schedule, epochs):
    for warmup in range(epochs):
        values = factors(epochs, schedule, warmup)
        assert all(0 < value <= 1 for value in values)
        assert all(later <= former for former, later in pairwise(values[warmup:]))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="is not one of"):
        lr_factor(0, 2, "line")


def test_weight_decay_pulls_every_parameter_to_zero():
    settings = config(student=STUDENT, weight_decay=0.1)
    network = make_student(settings, 3)
    optimizer = adam(network, settings)
    before = network.quantizer.codebooks.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == 0.1
    optimizer.step()  # Adam's first step: the learning rate against the sign of the gradient, here that of the weight
    expected = before - settings.learning_rate * before.sign()
    torch.testing.assert_close(network.quantizer.codebooks.detach(), expected, atol=1e-4, rtol=0)

"""The targets: histograms, effective numbers and codeword weights, against loops on hand-made cases."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benches import random_bench

from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.requests import answer
from dcmq.explore.targets import Batch, batch_of, bounds_of, draw_rows, histograms, target_of
from dcmq.explore.weights import codeword_weights, effective_number, fixed_noise
from dcmq.methods.dcmq.quantizer import ProductQuantizer
from dcmq.methods.dcmq.targets import TARGETS, npc


def batch(b=6):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(b, 3, generator=generator) < 0.5).to(torch.uint8)
    labels[:, 0] |= labels.sum(1) == 0
    similarity = 0.2 + 0.1 * torch.rand(b, b, generator=generator)
    return Batch(np.arange(b), similarity, labels, (labels.float() @ labels.float().T) > 0)


def test_the_effective_number_of_a_uniform_row_is_its_length_and_of_a_single_share_one():
    assert effective_number(torch.full((7, 40), 1 / 40)).tolist() == pytest.approx([40] * 7, rel=1e-5)
    assert effective_number(torch.eye(3)).tolist() == [1, 1, 1]
    assert effective_number(torch.tensor([0.5, 0.25, 0.25])).item() == pytest.approx(
        math.exp(0.5 * math.log(2) + 2 * 0.25 * math.log(4))
    )


def test_histograms_against_a_loop_without_own_pairs():
    given = batch(8)
    counts = [[0] * 5, [0] * 5]
    for i in range(8):
        for j in range(8):
            place = int((given.similarity[i, j].item() - 0.2) / (0.1 / 5))
            counts[0 if given.relevant[i, j] else 1][min(place, 4)] += i != j
    shares = histograms(given.similarity, given.relevant, 0.2, 0.3, bins=5)
    for found, expected in zip(shares, counts, strict=True):
        assert found.tolist() == pytest.approx([count / sum(expected) for count in expected])


def test_values_outside_the_bins_fall_into_the_last_ones_and_no_pairs_are_no_share():
    matrix = torch.tensor([[0.0, -9.0], [9.0, 0.0]])
    shares = histograms(matrix, torch.ones(2, 2, dtype=torch.bool), -1, 1, bins=4)
    assert shares.tolist() == [[0.5, 0, 0, 0.5], [0, 0, 0, 0]]


@pytest.mark.parametrize("scope", ["batch", "row", "dataset"])
def test_targets_are_the_registered_functions(scope):
    given = batch()
    torch.testing.assert_close(target_of(given, "npc", scope, (0.1, 0.4)), npc(given.similarity, scope, (0.1, 0.4)))
    for name in ("raw", "multihot", "identity"):
        expected = TARGETS[name](given.similarity, given.labels)
        torch.testing.assert_close(target_of(given, name, scope, (0.1, 0.4)), expected)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda similarity, labels: similarity[0], r"gives a tensor \(6,\), not a tensor \(6, 6\)"),
        (lambda similarity, labels: None, "gives a NoneType"),
        (lambda similarity, labels: similarity / 0, "NaN or infinity"),
        (lambda similarity, labels: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_target_of_ones_own_that_fails_says_so_in_one_line(function, message, monkeypatch):
    monkeypatch.setitem(TARGETS._entries, "half-written", function)
    with pytest.raises(DcmqError, match=f"target: 'half-written' .*{message}"):
        target_of(batch(), "half-written", "batch", (0.0, 1.0))


def test_an_unknown_target_is_named_with_the_known_ones():
    with pytest.raises(DcmqError, match="did you mean npc"):
        target_of(batch(), "ncp", "batch", (0.0, 1.0))


def test_rows_of_a_batch_are_distinct_and_the_seeds():
    train = np.arange(100, 150)
    rows = draw_rows(train, 20, 3)
    assert len(set(rows)) == 20 and set(rows) <= set(train)
    assert (rows == draw_rows(train, 20, 3)).all() and (rows != draw_rows(train, 20, 4)).any()
    assert sorted(draw_rows(train, 1000, 0)) == sorted(train)


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_weights_are_those_that_the_quantizer_mixes_codewords_with(form):
    quantizer = ProductQuantizer(3, 8, 4, tau_q=0.3, tau_g=0.7, gumbel_weight=0.5, gumbel_form=form)
    x, noise = torch.randn(12, generator=torch.Generator().manual_seed(0)), fixed_noise(3, 8, 0)
    codebooks = quantizer.codebooks.detach()
    soft, drawn, both = codeword_weights(x, codebooks, noise, tau_q=0.3, tau_g=0.7, gumbel_weight=0.5, form=form)
    for weights, total in ((soft, 1), (drawn, 1), (both, 1.5)):
        assert weights.sum(1).tolist() == pytest.approx([total] * 3, abs=1e-5)
    for weights, given in ((soft, None), (both, noise[None])):
        expected = quantizer(x[None], given)[0].detach()
        mixed = [sum(weights[m, k] * codebooks[m, k] for k in range(8)) for m in range(3)]
        torch.testing.assert_close(torch.cat(mixed), expected, atol=1e-5, rtol=1e-5)


def test_noise_is_the_seeds():
    assert (fixed_noise(2, 4, 1) == fixed_noise(2, 4, 1)).all()
    assert (fixed_noise(2, 4, 1) != fixed_noise(2, 4, 2)).all()


def test_numbers_of_a_batch_are_those_of_its_rows():
    bench = random_bench()
    result, (buffer,) = answer(bench, "targets", dict(size=20, seed=1, place=4, tau=0.3))
    rows = draw_rows(np.flatnonzero(bench.items.splits == "train"), 20, 1)
    teacher = bench.rankers["teacher tiny"].embeddings
    similarity = teacher["images"][rows] @ teacher["texts"][rows].T
    shares = [torch.softmax(matrix / 0.3, 1) for matrix in (similarity, npc(similarity))]
    assert result["row"] == rows[4] and result["size"] == 20
    for i, share in enumerate(shares):
        numbers = [math.exp(-sum(p * math.log(p) for p in row if p > 0)) for row in share.tolist()]
        assert result["effective"]["row"][i] == pytest.approx(numbers[4], rel=1e-4)
        assert result["effective"]["mean"][i] == pytest.approx(sum(numbers) / 20, rel=1e-4)
    labels, after = bench.items.labels, dict(zip(rows.tolist(), shares[1][4].tolist(), strict=True))
    bars = result["bars"]
    assert [bar["row"] for bar in bars] == sorted(after, key=lambda row: -after[row])
    assert [bar["relevant"] for bar in bars] == [bool((labels[bar["row"]] & labels[rows[4]]).any()) for bar in bars]
    assert [bar["row"] for bar in bars if bar["own"]] == [rows[4]]
    histogram = np.frombuffer(buffer, np.float32).reshape(2, 2, result["bins"])
    assert histogram.sum(2) == pytest.approx(np.ones((2, 2)), abs=1e-5)
    json.dumps(result)


def test_targets_see_training_labels_and_relevance_is_of_true_labels():
    bench = random_bench()
    given = batch_of(bench, bench.rankers["teacher tiny"], 20, 0)
    data = bench.items
    assert (data.labels != data.train_labels).any()
    assert (given.labels.numpy() == data.train_labels[given.rows]).all() and given.labels.dtype == torch.uint8
    labels = data.labels[given.rows].astype(int)
    assert (given.relevant.numpy() == (labels @ labels.T > 0)).all()


def test_own_targets_are_offered_and_work(monkeypatch):
    monkeypatch.setitem(TARGETS._entries, "wide", lambda similarity, labels: 3 * similarity - 2)
    bench = random_bench()
    assert "wide" in answer(bench, "target_options", {})[0]["targets"]
    result, _ = answer(bench, "targets", dict(target="wide", size=20))
    assert result["low"] < -1  # the bins widen with it


def test_the_dataset_scope_takes_its_bounds_from_all_training_items():
    bench = random_bench()
    teacher = bench.rankers["teacher tiny"]
    rows = np.flatnonzero(bench.items.splits == "train")
    similarity = teacher.embeddings["images"][rows] @ teacher.embeddings["texts"][rows].T
    assert bounds_of(bench, teacher) == pytest.approx((similarity.min().item(), similarity.max().item()))
    assert answer(bench, "targets", dict(scope="dataset", size=10))[0]["size"] == 10


def test_weights_of_an_item_by_request():
    bench = random_bench()
    ranker = bench.rankers["one"]
    arguments = dict(row=7, kind="texts", tau_q=0.3, tau_g=0.5, gumbel_weight=0.5, form="scaled", noise_seed=2)
    result, (buffer,) = answer(bench, "quantizer_weights", arguments)
    expected = codeword_weights(
        ranker.embeddings["texts"][7], ranker.codebooks, fixed_noise(4, 16, 2), tau_q=0.3, tau_g=0.5, gumbel_weight=0.5,
        form="scaled",
    )  # fmt: skip
    weights = np.frombuffer(buffer, np.float32).reshape(3, 4, 16)
    assert weights == pytest.approx(expected.numpy())
    taken = [[max(range(16), key=lambda k: part[m][k]) for m in range(4)] for part in weights[[0, 2]]]
    assert result["taken"] == taken and result["moved"] == sum(a != b for a, b in zip(*taken, strict=True))
    assert taken[0] == ranker.codes["texts"][7].tolist()  # without noise the heaviest is the codeword of the code
    assert all(1 <= number <= 16 for number in result["effective"])


@pytest.mark.parametrize(
    "kind, arguments, message",
    [
        ("targets", dict(tau=0), "targets: tau: input should be greater than 0"),
        ("targets", dict(tau=math.inf), "targets: tau"),
        ("targets", dict(tau=math.nan), "targets: tau"),
        ("targets", dict(size=1), "targets: size"),
        ("targets", dict(scope="galaxy"), "targets: scope"),
        ("targets", dict(target="npcc"), "did you mean npc"),
        ("quantizer_weights", dict(row=0, tau_q=-1), "quantizer_weights: tau_q"),
        ("quantizer_weights", dict(row=0, gumbel_weight=math.nan), "quantizer_weights: gumbel_weight"),
        ("quantizer_weights", dict(row=0, form="soft"), "quantizer_weights: form"),
        ("quantizer_weights", dict(row=900), "no id and no row"),
    ],
)
def test_bad_arguments_get_one_line(kind, arguments, message):
    with pytest.raises(DcmqError, match=message) as error:
        answer(random_bench(), kind, arguments)
    assert "\n" not in str(error.value)


def test_what_is_missing_is_said():
    bench = random_bench()
    bench.set("left", "teacher tiny")
    bench.set("right", "")
    with pytest.raises(DcmqError, match="none of the rankers shown has codebooks"):
        answer(bench, "quantizer_weights", dict(row=0))
    students = Bench(bench.items, [bench.rankers["one"]])
    for kind in ("targets", "target_options"):
        with pytest.raises(DcmqError, match="no teacher is explored"):
            answer(students, kind, {})
    bench.items = replace(bench.items, labels=None)
    with pytest.raises(DcmqError, match="no labelled training items"):
        answer(bench, "targets", {})

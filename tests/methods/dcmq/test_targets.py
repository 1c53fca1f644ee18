"""Targets against explicit loops on small cases."""

import math

import pytest
import torch

from dcmq.methods.dcmq.targets import TARGETS, dataset_bounds, multihot, npc, target_matrix

S = torch.tensor([[0.30, 0.28, 0.25], [0.31, 0.29, 0.22], [0.27, 0.33, 0.26]])


def test_npc_is_one_line_through_the_extremes_then_a_lifted_diagonal():
    low, high = 0.22, 0.33
    result = npc(S)
    for i in range(3):
        for j in range(3):
            expected = 1.0 if i == j else 2 * (S[i, j].item() - low) / (high - low) - 1
            assert result[i, j].item() == pytest.approx(expected, abs=1e-5)


def test_npc_ignores_scale_and_shift_and_keeps_the_order():
    torch.testing.assert_close(npc(3 * S + 0.7), npc(S), atol=1e-5, rtol=0)
    off = ~torch.eye(3, dtype=torch.bool)
    assert torch.equal(npc(S)[off].argsort(), S[off].argsort())
    assert npc(S).min() >= -1 and npc(S).max() <= 1


def test_npc_keeps_its_digits_where_similarities_hardly_differ():
    """In float32 a line of slope and intercept is wrong by .03 at this spread."""
    close = 0.3 + 3e-6 * torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    assert 2e-6 < (close.max() - close.min()).item() < 3e-6
    torch.testing.assert_close(npc(close).double(), npc(close.double()), atol=1e-6, rtol=0)


def test_npc_of_the_transpose_is_the_transpose():
    torch.testing.assert_close(npc(S.T), npc(S).T)


def test_row_scope_stretches_each_row():
    result = npc(S, "row")
    assert result[0, 2] == -1 and result[1, 0] == 1 and result[2, 1] == pytest.approx(1)


def test_dataset_scope_uses_given_bounds_and_clips():
    result = npc(S, "dataset", (0.25, 0.31))
    assert result[1, 2] == -1 and result[2, 1] == 1
    with pytest.raises(ValueError, match="bounds"):
        npc(S, "dataset")


def test_equal_similarities_do_not_divide_by_zero():
    torch.testing.assert_close(npc(torch.full((3, 3), 0.3)), torch.eye(3))


def test_dataset_bounds_is_the_extreme_over_all_pairs():
    image, text = (torch.nn.functional.normalize(torch.randn(n, 5), dim=1) for n in (40, 30))
    low, high = dataset_bounds(image, text, chunk=7)
    everything = [(a @ b).item() for a in image for b in text]
    assert (low, high) == pytest.approx((min(everything), max(everything)), abs=1e-6)


def test_multihot_is_the_cosine_of_label_vectors():
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    result = multihot(labels)
    assert result[0, 1].item() == pytest.approx(1 / math.sqrt(2))
    assert result[0, 2] == 0 and result[1, 1] == 1


def test_affine_is_npc_but_for_the_diagonal_and_lifted_the_teacher_but_for_it():
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    affine, lifted = (target_matrix(name, S, labels) for name in ("affine", "lifted"))
    for i in range(3):
        for j in range(3):
            assert affine[i, j].item() == pytest.approx(2 * (S[i, j].item() - 0.22) / 0.11 - 1, abs=1e-5)
            assert lifted[i, j].item() == pytest.approx(1.0 if i == j else S[i, j].item())
    assert target_matrix("affine", S, labels, "row")[0, 0] == 1


def test_npc_multihot_is_the_mean_of_both_at_the_same_range():
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    result = target_matrix("npc_multihot", S, labels)
    for i in range(3):
        for j in range(3):
            stretched = 1.0 if i == j else 2 * (S[i, j].item() - 0.22) / 0.11 - 1
            shared = sum(labels[i, c].item() * labels[j, c].item() for c in range(3))
            cosine = shared / math.sqrt(labels[i].sum().item() * labels[j].sum().item())
            assert result[i, j].item() == pytest.approx((stretched + 2 * cosine - 1) / 2, abs=1e-5)


def test_every_registered_target_gives_a_square_matrix():
    labels = torch.eye(3, dtype=torch.uint8)
    for name, target in TARGETS.items():
        assert target(S, labels).shape == (3, 3), name

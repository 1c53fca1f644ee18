"""The objectives of Eq. 6 and 7, and our terms within a modality, against explicit loops."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from dcmq.methods.dcmq.losses import LossInputs, distillation_losses, loss_terms

TAU = 0.3


def cosine(a, b):
    return (a @ b / a.norm() / b.norm()).item()


def loop(query, quantized, wanted, tau_target):
    total = 0.0
    for i in range(4):
        weights = [math.exp(wanted[i, j].item() / tau_target) for j in range(4)]
        logits = [cosine(query[i], quantized[j]) / TAU for j in range(4)]
        log_sum = math.log(sum(math.exp(value) for value in logits))
        total -= sum(w / sum(weights) * (value - log_sum) for w, value in zip(weights, logits, strict=True))
    return total / 4


@pytest.mark.parametrize("tau_target", [None, 0.05, 0.7])
def test_losses_equal_explicit_loops(tau_target):
    torch.manual_seed(0)
    x, zx, y, zy = (torch.randn(4, 6) for _ in range(4))
    target = torch.rand(4, 4)
    losses = distillation_losses(x, zx, y, zy, target, TAU, tau_target)
    assert losses["i2t"].item() == pytest.approx(loop(x, zy, target, tau_target or TAU), rel=1e-5)
    assert losses["t2i"].item() == pytest.approx(loop(y, zx, target.T, tau_target or TAU), rel=1e-5)


def stretched(vectors):
    """NPC of the cosines of unit vectors with each other, in a loop."""
    cosines = [[(a @ b).item() for b in vectors] for a in vectors]
    low, high = min(map(min, cosines)), max(map(max, cosines))
    lines = [[2 * (s - low) / (high - low) - 1 for s in row] for row in cosines]
    return torch.tensor([[1.0 if i == j else lines[i][j] for j in range(4)] for i in range(4)])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("distillation", set()),
        ("distillation_text", {"t2t"}),
        ("distillation_image", {"i2i"}),
        ("distillation_intra", {"t2t", "i2i"}),
    ],
)
def test_terms_within_a_modality_are_taught_by_the_teachers_similarities_there(name, more):
    torch.manual_seed(1)
    x, zx, y, zy = (torch.randn(4, 6) for _ in range(4))
    image, text = (normalize(torch.randn(4, 5), dim=1) for _ in range(2))
    batch = LossInputs(
        image=x,
        image_quantized=zx,
        text=y,
        text_quantized=zy,
        target=torch.rand(4, 4),
        tau=TAU,
        tau_target=0.1,
        teacher_image=image,
        teacher_text=text,
        labels=torch.eye(4),
        codebooks=torch.randn(2, 4, 3),
    )
    terms = loss_terms(name, batch)
    expected = distillation_losses(x, zx, y, zy, batch.target, TAU, 0.1)
    within = {"t2t": loop(y, zy, stretched(text), 0.1), "i2i": loop(x, zx, stretched(image), 0.1)}
    assert terms.keys() == {"i2t", "t2i"} | more
    for term, value in terms.items():
        wanted = within[term] if term in within else expected[term].item()
        assert value.item() == pytest.approx(wanted, rel=1e-5)

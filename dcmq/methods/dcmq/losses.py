"""The two objectives of Eq. 6 and 7: one modality's continuous embedding against the other's quantized one.

A loss is a function of a :class:`LossInputs` to named terms whose sum is minimized, registered under the name by which the
setting ``loss`` chooses it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry
from dcmq.methods.dcmq.targets import npc

LOSSES: Registry[Callable[["LossInputs"], dict[str, Tensor]]] = Registry("loss")


@dataclass(frozen=True)
class LossInputs:
    """A batch as a loss sees it.

    Attributes:
        image, text: the student's continuous embeddings, (b, D) float32.
        image_quantized, text_quantized: its soft-quantized embeddings, (b, D) float32.
        target: ``S_hat`` (b, b), rows images, columns texts, see :mod:`dcmq.methods.dcmq.targets`.
        tau: temperature of the logits, > 0. tau_target: of the target, > 0.
        teacher_image, teacher_text: the teacher's unit vectors, (b, d) float32.
        labels: training labels, (b, C) 0/1.
        codebooks: the student's codewords, (M, K, D / M) float32.
    """

    image: Tensor
    image_quantized: Tensor
    text: Tensor
    text_quantized: Tensor
    target: Tensor
    tau: float
    tau_target: float
    teacher_image: Tensor
    teacher_text: Tensor
    labels: Tensor
    codebooks: Tensor


def register_loss(given: Callable | str | None = None) -> Callable:
    """Registers a loss: ``@register_loss`` under the function's name, ``@register_loss("name")`` under another."""
    return LOSSES.decorator(given)


def loss_terms(name: str, batch: LossInputs) -> dict[str, Tensor]:
    """The terms of the loss registered as ``name``, scalar tensors by name.

    Raises:
        DcmqError: no such loss, or what it gives is no dictionary of names and scalar tensors.
    """
    terms = LOSSES[name](batch)
    if not isinstance(terms, dict) or not terms:
        raise DcmqError(f"loss: {name!r} gives a {type(terms).__name__}, not named terms: return {{'name': tensor}}")
    for term, value in terms.items():
        if not isinstance(term, str) or not isinstance(value, Tensor) or value.numel() != 1:
            found = f"of {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise DcmqError(f"loss: {name!r} gives {term!r} {found}, not a scalar tensor: take its mean() or sum()")
    return terms


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of -sum_j target[i, j] * log softmax(logits)[i, j]; both (b, b), target rows sum to 1."""
    return -(target * F.log_softmax(logits, dim=1)).sum(1).mean()


def distillation_losses(
    image: Tensor,
    image_quantized: Tensor,
    text: Tensor,
    text_quantized: Tensor,
    target: Tensor,
    tau: float,
    tau_target: float | None = None,
) -> dict[str, Tensor]:
    """The terms ``i2t`` (Eq. 6) and ``t2i`` (Eq. 7); the objective is their sum.

    Args:
        image, text: continuous embeddings, (b, D).
        image_quantized, text_quantized: soft-quantized embeddings, (b, D).
        target: ``S_hat`` (b, b), rows images, columns texts.
        tau: temperature of the logits, > 0 (value inferred), and of the target where ``tau_target`` is None.
        tau_target: temperature of the target, > 0 (ours).
    """
    target, tau_target = target.float(), tau_target or tau
    return {
        "i2t": distillation_term(image, text_quantized, target, tau, tau_target),
        "t2i": distillation_term(text, image_quantized, target.T, tau, tau_target),
    }


def distillation_term(query: Tensor, item: Tensor, target: Tensor, tau: float, tau_target: float) -> Tensor:
    """Cross entropy of the cosines of (b, D) continuous ``query`` and quantized ``item`` with ``target`` (b, b), a scalar."""
    cosines = F.normalize(query.float(), dim=1) @ F.normalize(item.float(), dim=1).T
    return soft_cross_entropy(cosines / tau, torch.softmax(target / tau_target, dim=1))


@register_loss("distillation")
def distillation_loss(batch: LossInputs) -> dict[str, Tensor]:
    """:func:`distillation_losses` of a batch: the paper's objective (stated)."""
    return distillation_losses(
        batch.image,
        batch.image_quantized,
        batch.text,
        batch.text_quantized,
        batch.target,
        batch.tau,
        batch.tau_target,
    )


@register_loss("distillation_text")
def distillation_text_loss(batch: LossInputs) -> dict[str, Tensor]:
    """The paper's two terms and :func:`text_term`, each of weight 1 (ours)."""
    return distillation_loss(batch) | text_term(batch)


@register_loss("distillation_image")
def distillation_image_loss(batch: LossInputs) -> dict[str, Tensor]:
    """The paper's two terms and :func:`image_term`, each of weight 1 (ours)."""
    return distillation_loss(batch) | image_term(batch)


@register_loss("distillation_intra")
def distillation_intra_loss(batch: LossInputs) -> dict[str, Tensor]:
    """The paper's two terms, :func:`text_term` and :func:`image_term`, each of weight 1 (ours)."""
    return distillation_loss(batch) | text_term(batch) | image_term(batch)


def text_term(batch: LossInputs) -> dict[str, Tensor]:
    """``t2t``: a text's embedding against the quantized ones of texts (ours). Its target is NPC, over the batch, of the teacher's
    similarities of texts, whichever target the paper's two terms have."""
    target = npc(batch.teacher_text @ batch.teacher_text.T)
    return {"t2t": distillation_term(batch.text, batch.text_quantized, target, batch.tau, batch.tau_target)}


def image_term(batch: LossInputs) -> dict[str, Tensor]:
    """``i2i``: as :func:`text_term`, of images (ours)."""
    target = npc(batch.teacher_image @ batch.teacher_image.T)
    return {"i2i": distillation_term(batch.image, batch.image_quantized, target, batch.tau, batch.tau_target)}

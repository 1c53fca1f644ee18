"""The two objectives of Eq. 6 and 7: one modality's continuous embedding against the other's quantised one."""

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of -sum_j target[i, j] * log softmax(logits)[i, j]; both (b, b), target rows sum to 1."""
    return -(target * F.log_softmax(logits, dim=1)).sum(1).mean()


def distillation_losses(
    image: Tensor, image_quantised: Tensor, text: Tensor, text_quantised: Tensor, target: Tensor, tau: float
) -> dict[str, Tensor]:
    """The terms ``i2t`` (Eq. 6) and ``t2i`` (Eq. 7); the objective is their sum.

    Args:
        image, text: continuous embeddings, (b, D).
        image_quantised, text_quantised: soft-quantised embeddings, (b, D).
        target: ``S_hat`` (b, b), rows images, columns texts, see :mod:`dcmq.targets`.
        tau: temperature of both the target and the logits, > 0 (value inferred).
    """
    image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
    image_quantised, text_quantised = (
        F.normalize(image_quantised.float(), dim=1),
        F.normalize(text_quantised.float(), dim=1),
    )
    target = target.float()
    return {
        "i2t": soft_cross_entropy(image @ text_quantised.T / tau, torch.softmax(target / tau, dim=1)),
        "t2i": soft_cross_entropy(text @ image_quantised.T / tau, torch.softmax(target.T / tau, dim=1)),
    }

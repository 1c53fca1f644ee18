"""The optimizer that all trained methods share, and its learning rate over the epochs."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from dcmq.config import RunConfig
from dcmq.networks.dual_encoder import DualEncoder


def lr_factor(epoch: int, epochs: int, schedule: str = "step", warmup: int = 0) -> float:
    """The factor on the learning rate in ``epoch``, counted from 0, of ``epochs``: in (0, 1].

    In the first ``warmup`` epochs, fewer than ``epochs``, it rises in equal steps, and is 1 in the next one (ours).

    Args:
        schedule: ``step``: 1 in the first half of the epochs and .1 in the second (stated). ``cosine``: from 1 towards 0 along
            half a cosine. ``flat_cosine``: 1 in the first half, half a cosine in the second.

    Raises:
        ValueError: another schedule.
    """
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    if schedule == "step":
        return 1.0 if epoch < epochs / 2 else 0.1
    if schedule not in ("cosine", "flat_cosine"):
        raise ValueError(f"schedule {schedule!r} is not one of step, cosine, flat_cosine")
    start = max(warmup, epochs / 2) if schedule == "flat_cosine" else warmup
    return 0.5 * (1 + math.cos(math.pi * max(0.0, epoch - start) / (epochs - start)))


def adam(
    network: DualEncoder, config: RunConfig, more: Iterable[nn.Parameter] = (), part: str = ""
) -> torch.optim.Adam:
    """Adam (stated) over the trainable parameters of ``network`` and ``more``.

    Pretrained layers learn at ``config.backbone_lr_factor`` times the learning rate (ours).

    Args:
        part: only parameters whose names begin so.
    """
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad and name.startswith(part)}
    new = [p for name, p in trainable.items() if not network.is_pretrained(name)] + list(more)
    pretrained = [p for name, p in trainable.items() if network.is_pretrained(name)]
    groups = [{"params": new, "lr_factor": 1.0}, {"params": pretrained, "lr_factor": config.backbone_lr_factor}]
    return adam_of([group for group in groups if group["params"]], config)


def adam_of(groups: Sequence[dict], config: RunConfig) -> torch.optim.Adam:
    """Adam over ``groups``, each of ``params`` with their ``lr_factor``; the weight decay of ``config`` holds for all."""
    return torch.optim.Adam(groups, lr=config.learning_rate, weight_decay=config.weight_decay)

"""The optimizer that all trained methods share."""

from collections.abc import Iterable

import torch
from torch import nn

from dcmq.config import RunConfig
from dcmq.networks.dual_encoder import DualEncoder


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
    return torch.optim.Adam([group for group in groups if group["params"]], lr=config.learning_rate)

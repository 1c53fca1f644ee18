"""Where a run starts: weights from its seed, and the optimizer."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from dcmq.config import RunConfig
from dcmq.networks.dual_encoder import DualEncoder


def make_encoders(config: RunConfig, vocab_size: int, dimension: int) -> DualEncoder:
    """The encoders of any other method before training; their weights depend on ``config.seed`` only."""
    return seeded(config.seed, lambda: DualEncoder(config.student, vocab_size, dimension))


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What ``make`` makes, its random weights drawn from ``seed``; other streams of random numbers stay where they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def adam(
    network: DualEncoder, config: RunConfig, more: Iterable[nn.Parameter] = (), part: str = ""
) -> torch.optim.Adam:
    """Adam over what ``network`` learns and ``more``; pretrained layers at ``config.backbone_rate`` of the rate.

    Args:
        part: only parameters whose names begin so.
    """
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad and name.startswith(part)}
    new = [p for name, p in learnt.items() if not network.is_pretrained(name)] + list(more)
    old = [p for name, p in learnt.items() if network.is_pretrained(name)]
    groups = [{"params": new, "lr_factor": 1.0}, {"params": old, "lr_factor": config.backbone_lr_factor}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=config.learning_rate)

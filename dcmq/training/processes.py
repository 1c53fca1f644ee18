"""The processes that train a run together, as ``torchrun`` starts them, one for each GPU; without it, this one alone."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch.distributed import is_torchelastic_launched

T = TypeVar("T")


def world_size() -> int:
    """The number of processes that train together, over all machines; 1 where ``torchrun`` did not start this one."""
    return int(os.environ["WORLD_SIZE"]) if is_torchelastic_launched() else 1


def is_first() -> bool:
    """True in the first of the processes that train together, which speaks and writes for all."""
    return world_size() == 1 or int(os.environ["RANK"]) == 0


def open_fabric(precision: str = "32-true"):
    """The lightning_fabric.Fabric of these processes, launched: all have met when it returns.

    Args:
        precision: of the encoders, as the setting of that name.
    """
    # They take seconds, which those whose runs are finished need not wait.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

    processes = world_size()
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if processes > 1 else 1
    fabric = Fabric(
        devices=here,
        num_nodes=processes // here,
        plugins=TorchElasticEnvironment() if processes > 1 else LightningEnvironment(),  # not what a Slurm job looks like
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        strategy="ddp" if processes > 1 else "auto",
        precision=precision,
    )
    fabric.launch()
    return fabric


def by_first(make: Callable[[], T]) -> T:
    """The result of ``make``, which the first process calls for all of them. Raises in all what it raises there."""
    if world_size() == 1:
        return make()
    fabric, outcome = open_fabric(), None
    if is_first():
        try:
            outcome = make(), None
        except Exception as error:  # the others would wait for ever
            outcome = None, error
    value, error = fabric.broadcast(outcome)
    if error is not None:
        raise error
    return value

"""The processes that train a run together, as ``torchrun`` starts them, one for each GPU; without it, this one alone."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def world_size() -> int:
    """The number of processes that train together, over all machines."""
    return int(os.environ.get("WORLD_SIZE", 1))


def open_fabric(precision: str = "32-true"):
    """The lightning_fabric.Fabric of these processes, launched: all have met when it returns.

    Args:
        precision: of the encoders, as the setting of that name.
    """
    from lightning_fabric import Fabric  # takes seconds, which those whose runs are finished need not wait

    processes = world_size()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        devices=here,
        num_nodes=processes // here,
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
    if fabric.is_global_zero:
        try:
            outcome = make(), None
        except Exception as error:  # the others would wait for ever
            outcome = None, error
    value, error = fabric.broadcast(outcome)
    if error is not None:
        raise error
    return value

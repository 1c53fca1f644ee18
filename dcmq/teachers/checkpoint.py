"""Checkpoint files of others: read without pickle, and loaded whole or not at all."""

import os
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dcmq.core.errors import DcmqError

_COUNTER = "num_batches_tracked"  # of batch normalization: some libraries do not write it, and nothing reads it here


def named_file(specification: str) -> tuple[str, Path]:
    """The teacher's short name and the file of ``NAME:FILE``."""
    short, _, file = specification.partition(":")
    return short, Path(os.path.expanduser(file))


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors in ``path`` by name, without ``module.``: those of its part ``model`` or ``state_dict`` where it has
    one.

    Raises:
        DcmqError: no such file; cut short; something that only unpickling could read; no tensors in it.
    """
    if not os.path.isfile(path):  # Path.is_file raises of names that no disk can hold
        raise DcmqError(f"teacher {name}: no checkpoint file {path}")
    try:
        content = (
            load_file(path)
            if path.suffix.lower() == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except UnpicklingError:
        raise DcmqError(
            f"teacher {name}: {path} holds more than tensors, or is no checkpoint: nothing is unpickled here; where you "
            "trust it, keep its 'model' part alone with torch.save, or fetch it again"
        ) from None
    except Exception:  # zip, torch and safetensors raise of many kinds where bytes are damaged
        raise DcmqError(f"teacher {name}: {path} cannot be read, perhaps half downloaded: fetch it again") from None
    for part in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(part), dict):
            content = content[part]
    weights = content if isinstance(content, dict) else {}
    weights = {str(k).removeprefix("module."): v for k, v in weights.items() if isinstance(v, Tensor)}
    if not weights:
        raise DcmqError(f"teacher {name}: {path} has no weights in it")
    return weights


def renamed(weights: dict[str, Tensor], prefixes: dict[str, str]) -> dict[str, Tensor]:
    """The weights whose names begin with a key of ``prefixes``, under names that begin with its value instead."""
    chosen = {}
    for name, value in weights.items():
        for old, new in prefixes.items():
            if name.startswith(old):
                chosen[new + name.removeprefix(old)] = value
    return chosen


def load_whole(model: nn.Module, weights: dict[str, Tensor], name: str, path: Path) -> nn.Module:
    """``model`` with every weight replaced by that of ``weights``, in float32.

    Raises:
        DcmqError: a weight is missing, has another shape, or is not known to the model.
    """
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith(_COUNTER)}
    stored = {k: v.float() if v.is_floating_point() else v for k, v in weights.items() if not k.endswith(_COUNTER)}
    missing = [k for k in expected if k not in stored]
    unknown = [k for k in stored if k not in expected]
    misshapen = [k for k in expected if k in stored and expected[k].shape != stored[k].shape]
    if missing:
        raise _misfit(name, path, f"it lacks {len(missing)} of {len(expected)} weights, {missing[0]} for one")
    if misshapen:
        theirs, ours = tuple(stored[misshapen[0]].shape), tuple(expected[misshapen[0]].shape)
        raise _misfit(name, path, f"{misshapen[0]} is {theirs} there and {ours} in the model")
    if unknown:
        raise _misfit(name, path, f"it has {len(unknown)} weights the model does not know, {unknown[0]} for one")
    model.load_state_dict(stored, strict=False)
    return model


def _misfit(name: str, path: Path, reason: str) -> DcmqError:
    return DcmqError(
        f"teacher {name}: {path} is no whole {name} checkpoint: {reason}; `dcmq teachers list` says where that is"
    )

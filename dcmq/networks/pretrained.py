"""Weights of encoders: how a file of them is read, and what identifies them."""

from pathlib import Path

import torch
from torch import nn

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.networks.bundled import FILES, bundled_file


def load_state(model: nn.Module, file: str, model_name: str, optional: str = "") -> None:
    """Read a state_dict file into ``model``; entries of the layer ``optional`` may be absent, as in backbones alone.

    Raises:
        DcmqError: no such file, or one that does not fit.
    """
    try:
        state = torch.load(Path(file).expanduser(), map_location="cpu", weights_only=True)
        missing, unexpected = model.load_state_dict(state, strict=False)
        wrong = [k for k in missing if not (optional and k.startswith(optional + "."))] + list(unexpected)
        if wrong:
            raise ValueError(f"{len(wrong)} entries do not fit, {wrong[0]} first")
    except FileNotFoundError:
        raise DcmqError(f"backbone_weights: no file {file}") from None
    except Exception as error:  # torch raises many kinds
        reason = str(error).splitlines()[0]
        raise DcmqError(f"backbone_weights: {file} is no {model_name} state_dict ({reason})") from None


def is_published(weights: str) -> bool:
    """True where ``weights`` is a name (``imagenet``, ``clip``, ``openai``) rather than a file."""
    return "/" not in weights and "." not in weights


def weights_fingerprint(weights: str) -> str:
    """The identity of weights: a hash of a file's content, wherever it lies, of bundled weights too; else the name
    itself.

    Raises:
        DcmqError: the file is not there.
    """
    if weights in FILES:
        return digest(bundled_file(weights).read_bytes())
    if is_published(weights):
        return weights
    try:
        return digest(Path(weights).expanduser().read_bytes())
    except OSError:
        raise DcmqError(f"backbone_weights: no file {weights}; give a state_dict file, or imagenet") from None

"""Hashes of values: arrays, tensors, bytes and whatever JSON can hold."""

import hashlib
import json

import numpy as np
import torch


def digest(*parts) -> str:
    """16 hexadecimal digits that identify ``parts``: arrays, tensors, bytes or anything JSON can hold."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray) and part.dtype.kind not in "OU":
            state.update(f"{part.dtype.str} {part.shape}".encode())
            state.update(np.ascontiguousarray(part))
        elif isinstance(part, bytes):
            state.update(part)
        else:
            part = part.tolist() if isinstance(part, np.ndarray) else part
            state.update(json.dumps(part, sort_keys=True, allow_nan=False).encode())
        state.update(b"\0")
    return state.hexdigest()[:16]

"""Pictures at the size a student sees: resized once, not in every epoch."""

from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from dcmq.core.storage import new_array

_CHUNK = 256


def resized(images: Tensor, size: int) -> Tensor:
    """(b, H, W, 3) uint8 pictures to (b, size, size, 3) uint8, bilinear with antialiasing; aspect is not kept."""
    if images.shape[1:3] == (size, size):
        return images
    x = images.permute(0, 3, 1, 2)
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)


def at_size(images: np.ndarray, size: int) -> np.ndarray:
    """All pictures of a data set, (n, H, W, 3) uint8, at ``size``.

    Memory-mapped pictures are written once, to a file beside theirs; others are resized in memory.

    Raises:
        DcmqError: the file cannot be written.
    """
    shape = (len(images), size, size, 3)
    if images.shape == shape:
        return images
    if not isinstance(images, np.memmap):
        return _fill(np.empty(shape, np.uint8), images, size)
    source = Path(images.filename)
    path = source.with_name(f"{source.stem}-{size}.npy")
    with FileLock(source.with_name(".lock")):
        try:
            if np.load(path, mmap_mode="r").shape == shape:
                return np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            pass  # absent, cut short, or no array: made again
        with new_array(path, shape) as store:
            _fill(store, images, size)
    return np.load(path, mmap_mode="r")


def _fill(store: np.ndarray, images: np.ndarray, size: int) -> np.ndarray:
    for start in range(0, len(images), _CHUNK):
        part = torch.from_numpy(np.array(images[start : start + _CHUNK]))
        store[start : start + _CHUNK] = resized(part, size).numpy()
    return store

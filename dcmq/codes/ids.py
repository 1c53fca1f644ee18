"""Ids of items as an index keeps them: int64, or UTF-8 bytes of one length, which can be mapped into memory."""

import numpy as np

from dcmq.core.errors import DcmqError


def stored(ids) -> np.ndarray:
    """(n,) as an index keeps them. Raises DcmqError for anything but whole numbers or texts."""
    array = np.asarray(ids)
    if array.ndim == 1 and array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.ndim == 1 and array.dtype.kind == "U" and len(array) and (array != "").all():
        return np.char.encode(array, "utf-8")
    if array.size == 0:
        return np.empty(0, np.int64)
    raise DcmqError(
        f"ids are {array.dtype} {array.shape}, not whole numbers or texts of at least one letter, one for each item"
    )


def members(ids: np.ndarray, some: np.ndarray) -> np.ndarray:
    """(n,) which of ``ids`` are among ``some``; the few are sorted, and the many only looked through."""
    if not len(some) or not len(ids):
        return np.zeros(len(ids), bool)
    ordered = np.sort(some)
    return ordered[np.searchsorted(ordered, ids).clip(max=len(ordered) - 1)] == ids


def readable(kept: np.ndarray) -> np.ndarray:
    """The ids that :func:`stored` was given."""
    return kept if kept.dtype.kind == "i" else np.char.decode(kept, "utf-8")


def shown(kept) -> str:
    """One kept id, for messages."""
    return repr(kept.decode()) if isinstance(kept, bytes) else str(kept)

"""Ids of items as an index stores them: int64, or UTF-8 bytes of one length, which can be mapped into memory."""

import numpy as np

from dcmq.core.errors import DcmqError


def id_array(ids) -> np.ndarray:
    """(n,) ``ids`` as an index stores them. Raises DcmqError for anything but whole numbers or texts."""
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


def id_values(array: np.ndarray) -> np.ndarray:
    """Whole numbers or texts: the inverse of :func:`id_array`."""
    return array if array.dtype.kind == "i" else np.char.decode(array, "utf-8")


def id_label(stored_id) -> str:
    """One stored id, for messages."""
    return repr(stored_id.decode()) if isinstance(stored_id, bytes) else str(stored_id)


def membership(array: np.ndarray, few: np.ndarray) -> np.ndarray:
    """(n,) bool: which of the stored ids ``array`` are among ``few``; the few are sorted, the many only looked through."""
    if not len(few) or not len(array):
        return np.zeros(len(array), bool)
    ordered = np.sort(few)
    return ordered[np.searchsorted(ordered, array).clip(max=len(ordered) - 1)] == array


def positions(array: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(m,) rows of the distinct stored ids ``array`` that hold the (m,) stored ids ``wanted``; -1 where none does."""
    if not len(array) or not len(wanted) or array.dtype.kind != wanted.dtype.kind:
        return np.full(len(wanted), -1)
    order = np.argsort(array, kind="stable")
    rows = order[np.searchsorted(array, wanted, sorter=order).clip(max=len(array) - 1)]
    return np.where(array[rows] == wanted, rows, -1)

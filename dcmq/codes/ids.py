"""Ids of items: as the files of a listing have them, and as an index stores them, which knows each id but once."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from dcmq.codes.rows import Rows
from dcmq.core.errors import DcmqError
from dcmq.core.proof import ProvenArray

_LARGEST = np.iinfo(np.int64).max


def id_array(ids) -> np.ndarray:
    """(n,) ``ids`` as a listing stores them: int64, or UTF-8 bytes of one length, which can be mapped into memory.

    Raises:
        DcmqError: as :func:`given_ids`.
    """
    given = given_ids(ids)
    return given if isinstance(given, np.ndarray) else np.array([text.encode() for text in given])


def id_values(array: np.ndarray) -> np.ndarray:
    """Whole numbers or texts: the inverse of :func:`id_array`."""
    return array if array.dtype.kind == "i" else np.char.decode(array, "utf-8")


def id_label(stored_id) -> str:
    """One stored id, for messages."""
    return repr(stored_id.decode()) if isinstance(stored_id, bytes) else str(stored_id)


def positions(array: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(m,) rows of the distinct stored ids ``array`` that hold the (m,) stored ids ``wanted``; -1 where none does."""
    if not len(array) or not len(wanted) or array.dtype.kind != wanted.dtype.kind:
        return np.full(len(wanted), -1)
    order = np.argsort(array, kind="stable")
    rows = order[np.searchsorted(array, wanted, sorter=order).clip(max=len(array) - 1)]
    return np.where(array[rows] == wanted, rows, -1)


def given_ids(ids) -> np.ndarray | list[str]:
    """(n,) int64, or n texts: the ids that somebody gave as a list, an array, a column of a table, texts also as paths.

    Raises:
        DcmqError: anything but whole numbers that int64 holds, or texts of at least one letter; or some of both.
    """
    if isinstance(ids, np.ma.MaskedArray):
        raise DcmqError("ids are masked: every item needs one")
    array = ids if isinstance(ids, np.ndarray) else None
    if array is None or array.dtype.kind not in "iu":
        array = np.empty(len(listed := _listed(ids)), object)
        array[:] = listed
    if array.ndim != 1:
        raise DcmqError(f"ids are {array.dtype} {array.shape}, not (n,): one whole number or text for each item")
    if array.dtype.kind == "O":
        kinds = {_kind(one) for one in array} if {*map(type, array)} != {str} or not all(array) else {str}
        if len(kinds) > 1 or None in kinds:
            odd = next((one for one in array if _kind(one) is None), None)
            what = f"{odd!r} is none of both" if None in kinds else "they are some of both"
            raise DcmqError(f"ids are all whole numbers or all texts of at least one letter, and {what}"[:300])
        if kinds == {str}:
            return _checked([str(one) for one in array])
    if len(array) and (array.max() > _LARGEST or array.min() < -_LARGEST - 1):
        raise DcmqError(f"ids hold {array.max()}, and whole numbers may be at most {_LARGEST}: give them as texts")
    return array.astype(np.int64)


def _listed(ids) -> list:
    if isinstance(ids, str | bytes | Mapping | Set) or not isinstance(ids, Iterable) or not hasattr(ids, "__len__"):
        raise DcmqError(f"ids are a {type(ids).__name__}, not whole numbers or texts, one for each item")
    if isinstance(ids, np.ndarray) and ids.ndim != 1:
        raise DcmqError(f"ids are {ids.dtype} {ids.shape}, not (n,): one whole number or text for each item")
    return np.asarray(ids, object).tolist() if hasattr(ids, "__array__") else list(ids)


def _kind(one) -> type | None:
    if isinstance(one, bool | np.bool_):
        return None
    if isinstance(one, int | np.integer):
        return int
    return str if isinstance(one, str | os.PathLike) and str(one) else None


def _checked(texts: list[str]) -> list[str]:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        odd = next(text for text in texts if any("\ud800" <= letter <= "\udfff" for letter in text))
        raise DcmqError(f"the id {odd!a} is no text that can be written as UTF-8: rename it") from None
    return texts


class Ids(ABC):
    """The distinct ids of the items of an index, in the order in which they were added."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of items."""

    @abstractmethod
    def take(self, rows: slice | np.ndarray) -> np.ndarray:
        """(m,) ids at ``rows``: int64, or texts as an array of Python's. Raises DcmqError where they are damaged on disk."""

    @abstractmethod
    def rows_of(self, ids: Sequence) -> np.ndarray:
        """(m,) rows of what :func:`given_ids` returned; -1 where there is no such item, as where ids are of the other kind."""

    @abstractmethod
    def append(self, ids: Sequence) -> None:
        """Add ids, of which none is there."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All of them as named arrays for a file."""


class NumberIds(Ids):
    """Whole numbers, and where each is: sorted in pieces of which each is more than half as long as the one before, so that
    ids that come one by one are merged a few times each."""

    def __init__(self, numbers: np.ndarray | ProvenArray):
        self._numbers = Rows(numbers)
        self._sorted: list[tuple[np.ndarray, np.ndarray]] = []  # of each piece the numbers, and their rows
        self._pieces_hold = 0  # of the first rows

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, rows):
        return self._numbers.take(rows)

    def rows_of(self, ids):
        found = np.full(len(ids), -1)
        if not isinstance(ids, np.ndarray):
            return found
        if not self._pieces_hold:
            self._note(self._numbers.all(), 0)
        for numbers, rows in self._sorted:
            places = np.searchsorted(numbers, ids).clip(max=len(numbers) - 1)
            found = np.where(numbers[places] == ids, rows[places], found)
        return found

    def append(self, ids):
        if self._pieces_hold:
            self._note(ids, len(self))
        self._numbers.append(ids)

    def arrays(self):
        return {"ids": self._numbers.all()}

    def _note(self, numbers: np.ndarray, start: int) -> None:
        if not len(numbers):
            return
        piece, rows = numbers, np.arange(start, start + len(numbers))
        while self._sorted and len(self._sorted[-1][0]) <= 2 * len(piece):
            former = self._sorted.pop()
            piece, rows = np.concatenate([former[0], piece]), np.concatenate([former[1], rows])
        order = np.argsort(piece, kind="stable")
        self._sorted.append((piece[order], rows[order]))
        self._pieces_hold = start + len(numbers)


class TextIds(Ids):
    """Texts, as one row of UTF-8 and where each ends: they take the space of the text that is there."""

    def __init__(self, data: np.ndarray | ProvenArray, ends: np.ndarray | ProvenArray):
        self._data, self._ends = Rows(data), Rows(ends)
        self._bytes = int(ends[len(ends) - 1 :].sum())
        self._row_of: dict[str, int] | None = None  # made when it is needed first

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextIds":
        """The ids of a new index."""
        ids = cls(np.empty(0, np.uint8), np.empty(0, np.int64))
        ids.append(texts)
        return ids

    def __len__(self) -> int:
        return len(self._ends)

    def take(self, rows):
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        texts = np.empty(len(rows), object)
        if len(rows):
            distinct, places = np.unique(rows, return_inverse=True)
            ends = self._ends.take(distinct)
            starts = np.where(distinct > 0, self._ends.take(np.maximum(distinct - 1, 0)), 0)
            first = int(starts[0])
            if ends[-1] - first <= 2 * (ends - starts).sum():  # they lie together
                data = self._data.take(slice(first, int(ends[-1]))).tobytes()
                spans = zip((starts - first).tolist(), (ends - first).tolist(), strict=True)
                found = [data[start:end].decode() for start, end in spans]
            else:
                spans = zip(starts.tolist(), ends.tolist(), strict=True)
                found = [self._data.take(slice(start, end)).tobytes().decode() for start, end in spans]
            texts[:] = [found[place] for place in places.tolist()]
        return texts

    def rows_of(self, ids):
        if isinstance(ids, np.ndarray):
            return np.full(len(ids), -1)
        row_of = self._rows()
        return np.array([row_of.get(text, -1) for text in ids], np.int64)

    def append(self, ids):
        encoded = [text.encode() for text in ids]
        if self._row_of is not None:
            self._row_of.update(zip(ids, range(len(self), len(self) + len(ids)), strict=True))
        self._data.append(np.frombuffer(bytearray().join(encoded), np.uint8))
        ends = self._bytes + np.cumsum([len(one) for one in encoded], dtype=np.int64)
        self._ends.append(ends)
        self._bytes = int(ends[-1]) if len(ends) else self._bytes

    def arrays(self):
        return {"texts": self._data.all(), "ends": self._ends.all()}

    def _rows(self) -> dict[str, int]:
        if self._row_of is None:
            self._row_of = {text: row for row, text in enumerate(self.take(slice(None)).tolist())}
        return self._row_of


def new_ids(ids: np.ndarray | Sequence[str]) -> Ids:
    """The ids of a new index, of what :func:`given_ids` returned."""
    return NumberIds(ids) if isinstance(ids, np.ndarray) else TextIds.of(ids)


def stored_ids(arrays: Mapping[str, np.ndarray | ProvenArray]) -> Ids:
    """The ids of an index whose file holds ``arrays``: the inverse of :meth:`Ids.arrays`."""
    return TextIds(arrays["texts"], arrays["ends"]) if "texts" in arrays else NumberIds(arrays["ids"])

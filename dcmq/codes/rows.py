"""Rows of an array that grow by portions, each in the time of the portion."""

import numpy as np

from dcmq.core.proof import ProvenArray


class Rows:
    """(n, ...) rows of one type.

    Args:
        first: the rows so far, perhaps on disk: they are read and proven when they are needed.
    """

    def __init__(self, first: np.ndarray | ProvenArray):
        self._first = first
        self._space: np.ndarray | None = None  # all rows, and room for more, once something was added
        self._length = len(first)

    def __len__(self) -> int:
        return self._length

    def append(self, rows: np.ndarray) -> None:
        """Add rows behind the others. Raises DcmqError where those on disk are damaged."""
        start, self._length = self._length, self._length + len(rows)
        if self._space is None or len(self._space) < self._length:
            former = self._first[:] if self._space is None else self._space[:start]
            self._space = np.empty((max(self._length, 2 * start), *rows.shape[1:]), rows.dtype)
            self._space[:start] = former
            self._first = self._space[:0]
        self._space[start : self._length] = rows

    def all(self) -> np.ndarray:
        """All rows. Raises DcmqError where those on disk are damaged."""
        return self._first[:] if self._space is None else self._space[: self._length]

    def take(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some of the rows; of those on disk only these are read. Raises DcmqError where they are damaged."""
        return self._first[rows] if self._space is None else self.all()[rows]

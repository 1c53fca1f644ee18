"""Rows of an array that grow by portions, each in the time of the portion: they are joined when they are read."""

import numpy as np

from dcmq.core.proof import ProvenArray


class Rows:
    """(n, ...) rows of one type.

    Args:
        first: the rows so far, perhaps on disk: they are read and proven when they are needed.
    """

    def __init__(self, first: np.ndarray | ProvenArray):
        self._parts = [first]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def append(self, rows: np.ndarray) -> None:
        """Add rows behind the others."""
        self._parts.append(rows)

    def all(self) -> np.ndarray:
        """All rows. Raises DcmqError where those on disk are damaged."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate([part[:] for part in self._parts])]
        return self._parts[0][:]

    def take(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some of the rows; of those on disk only these are read. Raises DcmqError where they are damaged."""
        return self._parts[0][rows] if len(self._parts) == 1 else self.all()[rows]

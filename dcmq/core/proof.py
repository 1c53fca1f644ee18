"""Arrays on disk that are proven block by block, each when it is read first: that costs what is read, however large the file."""

import zlib

import numpy as np

from dcmq.core.storage import CorruptFile

_BYTES = 1 << 16  # of a block, about: 60 microseconds of a core


def block_checksums(array: np.ndarray) -> np.ndarray:
    """(blocks,) int64: the CRC-32 of each block of rows of ``array``; a damaged byte, or several in a row, change it."""
    rows = _rows_of_block(array)
    return np.array([_crc(array[start : start + rows]) for start in range(0, len(array), rows)], np.int64)


class ProvenArray:
    """An array, mapped into memory, whose rows are compared with checksums before they are given out.

    Args:
        array: (n, ...).
        checksums: as :func:`block_checksums` made them of what was written.
        place: what errors call it.
        remedy: what they say to do.
    """

    def __init__(self, array: np.ndarray, checksums: np.ndarray, place: str, remedy: str):
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._checksums, self._place, self._remedy = array, checksums, place, remedy
        self._rows = _rows_of_block(array)
        self._proven = np.zeros(-(-len(array) // self._rows), bool)
        if len(checksums) != len(self._proven):
            raise CorruptFile(f"{place} is damaged: {remedy}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The rows of a slice, or of (m,) numbers from 0 to n - 1. Raises CorruptFile where they are not what was written."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            self._prove(np.arange(start // self._rows, -(-stop // self._rows)))
        else:
            self._prove(np.unique(np.asarray(rows) // self._rows))
        return self._array[rows]

    def _prove(self, blocks: np.ndarray) -> None:
        for block in blocks[~self._proven[blocks]].tolist():
            start = block * self._rows
            if _crc(self._array[start : start + self._rows]) != self._checksums[block]:
                raise CorruptFile(f"{self._place} is damaged from row {start} on: {self._remedy}")
            self._proven[block] = True


def _rows_of_block(array: np.ndarray) -> int:
    return max(1, _BYTES // max(1, array[:1].nbytes))


def _crc(block: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(block).reshape(-1).view(np.uint8))

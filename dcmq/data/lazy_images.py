"""Images that are made when one of them is first looked at: who only reads finished results need not wait for them."""

from collections.abc import Callable
from functools import cached_property

import numpy as np


class LazyImages:
    """An array of ``shape`` (n, H, W, 3), uint8, which ``make`` makes when it is first looked at.

    ``numpy.asanyarray`` gives the array itself, ``numpy.array`` a copy.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, int, int, int], make: Callable[[], np.ndarray]):
        self.shape, self._make = shape, make

    @cached_property
    def _array(self) -> np.ndarray:
        return self._make()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows) -> np.ndarray:
        return self._array[rows]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is None and dtype in (None, self.dtype):
            return self._array
        return np.array(self._array, dtype=dtype, copy=copy)

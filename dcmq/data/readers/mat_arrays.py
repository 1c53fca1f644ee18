"""Arrays of MATLAB files, of either container. Nothing in another file is read."""

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat

from dcmq.core.errors import DcmqError

KEYS = {
    "images": ("images", "IAll"),
    "files": ("index", "FAll", "imgs"),
    "tags": ("YAll", "tags"),
    "captions": ("caption", "captions"),
    "labels": ("LAll", "labels", "category", "label"),
}


@dataclass(frozen=True)
class MatImages:
    """The images ``rows`` of an HDF5 file, whose axes MATLAB reversed: each is (3, W, H) there and (H, W, 3) here."""

    path: Path
    key: str
    rows: np.ndarray

    def read(self, row: int) -> np.ndarray:
        """The image of ``row``, one of 0 to n - 1, as (H, W, 3) uint8."""
        try:
            with h5py.File(self.path) as file:
                image = file[self.key][int(self.rows[row])]
        except (OSError, RuntimeError, ValueError) as error:
            raise _broken(self.path, error) from None
        return np.ascontiguousarray(image.transpose(2, 1, 0) if image.shape[0] == 3 else image).astype(np.uint8)

    def only(self, kept: np.ndarray) -> "MatImages":
        """The same images, of which only those of the rows ``kept`` are meant."""
        return replace(self, rows=self.rows[kept])


@dataclass(frozen=True)
class MatArray:
    """An array of a file; of images only the shape."""

    path: Path
    key: str
    value: np.ndarray | tuple[int, ...]


def arrays_in(path: Path) -> list[tuple[str, MatArray]]:
    """The kinds, keys of :data:`KEYS`, and arrays of one file, of either container.

    Raises:
        DcmqError: a damaged file, or something else in the place of an array.
    """
    kinds = {key: kind for kind, keys in KEYS.items() for key in keys}
    try:
        with path.open("rb") as file:
            is_hdf5 = file.read(4) == b"\x89HDF" or h5py.is_hdf5(path)
        if not is_hdf5:
            content = {key: value for key, value in loadmat(path).items() if kinds.get(key) not in (None, "images")}
        else:
            with h5py.File(path) as file:
                content = {key: _hdf5_array(file, key, kinds[key]) for key in file if key in kinds}
    except DcmqError:
        raise
    except Exception as error:  # scipy and h5py raise of every kind where bytes are damaged
        raise _broken(path, error) from None
    return [(kinds[key], MatArray(path, key, value)) for key, value in content.items()]


def _broken(path: Path, error: Exception) -> DcmqError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DcmqError(f"{path} is no whole MATLAB file ({reason}): fetch it again")


def _hdf5_array(file: h5py.File, key: str, kind: str) -> np.ndarray | tuple[int, ...]:
    """The array ``key``, of ``images`` only the shape."""
    if isinstance(file.get(key, getlink=True), h5py.ExternalLink):
        raise DcmqError(
            f"{file.filename}: {key} is a link to another file, which is not read: put the array into this one"
        )
    array = file[key]
    if not isinstance(array, h5py.Dataset):
        raise DcmqError(f"{file.filename}: {key} is no array, but a group of them")
    _require_within(file, key, array)
    if kind != "images":
        return _dereferenced(file, key, array)
    if array.dtype != np.uint8 or array.ndim != 4 or 3 not in (array.shape[1], array.shape[3]):
        raise DcmqError(f"{file.filename}: {key} is {array.dtype} {array.shape}, not images: uint8 (n, 3, W, H)")
    if 0 in array.shape:
        raise DcmqError(f"{file.filename}: {key} is {array.shape}: it holds no pixels; write the file again, or fetch it again")
    return array.shape


def _require_within(file: h5py.File, key: str, array: h5py.Dataset) -> None:
    """Raise DcmqError where the values of ``array``, which ``key`` leads to by links and references, are not in ``file``."""
    if array.file.filename != file.filename or array.external or array.is_virtual:
        raise DcmqError(f"{file.filename}: {key} lies in another file, which is not read: put the array into this one")


def _dereferenced(file: h5py.File, key: str, array: h5py.Dataset, depth: int = 0) -> np.ndarray:
    """The values of ``array`` with what a cell array's references lead to in their places; text, which MATLAB has as numbers, as
    text."""
    values = np.asarray(array[()])
    if h5py.check_ref_dtype(array.dtype) is None or depth > 2:  # a cell in a cell: references may run in a circle
        return values
    cells = np.empty(values.size, object)
    for i, reference in enumerate(values.reshape(-1)):
        cell = file[reference]
        if not isinstance(cell, h5py.Dataset):
            raise DcmqError(f"{file.filename}: a cell of {key} is no array, but a group of them")
        _require_within(file, f"a cell of {key}", cell)
        content = _dereferenced(file, key, cell, depth + 1)
        is_text = content.dtype == np.uint16
        cells[i] = content.T.astype("<u2").tobytes().decode("utf-16-le", "replace") if is_text else content
    return cells.reshape(values.shape)

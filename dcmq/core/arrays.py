"""Arrays in files of their own: filled in place, memory-mapped, and proven when they are opened."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dcmq.core.storage import CorruptFile, locked, read_json, unwritable, write_json

_SMALL = 1 << 28  # bytes of a file that is read through whenever it is opened: a tenth of a second or two


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype=np.uint8) -> Iterator[np.memmap]:
    """A memory-mapped array to fill, which becomes the ``.npy`` file ``path`` when the block ends without error, and nothing
    otherwise.

    Raises:
        DcmqError: as :func:`allocate`.
    """
    part = path.with_suffix(".part")
    array = allocate(part, shape, dtype)
    try:
        yield array
        array.flush()
        finish(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def allocate(path: Path, shape: tuple[int, ...], dtype=np.uint8) -> np.memmap:
    """A memory-mapped array to fill, whose space on the disk is taken.

    Raises:
        DcmqError: the disk is full or the folder cannot be written; said now, because a write to a memory map on a full disk
            kills the process.
    """
    try:
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise unwritable(path, error) from None
    return array


def finish(part: Path, path: Path) -> None:
    """Let the filled and flushed ``part`` be the file ``path``, with a proof of its content beside it."""
    proof = {"name": path.name, "sha256": _checksum(part), "file": _facts(part)}
    _proof(path).unlink(missing_ok=True)  # first, so that it never vouches for another file
    os.replace(part, path)
    write_json(_proof(path), proof)


def open_array(path: Path) -> np.memmap:
    """The array in the ``.npy`` file ``path``, to be read, compared with the proof beside it.

    A file of more than 256 MB is only read through where its size or its time is not what it was when it was proven last.

    Raises:
        CorruptFile: the file or its proof is damaged or absent.
    """
    try:
        proof, facts = read_json(_proof(path)), _facts(path)
        if proof["name"] != path.name:
            raise CorruptFile(f"{path} is {proof['name']}, moved here with its proof: delete it and run again")
        if facts[0] <= _SMALL or facts != proof["file"]:
            if _checksum(path) != proof["sha256"]:
                raise CorruptFile(f"{path} is damaged: delete it and run again")
            if facts != proof["file"] and os.access(path.parent, os.W_OK):
                write_json(_proof(path), proof | {"file": facts})
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise CorruptFile(f"{path} or its proof cannot be read ({error}): delete it and run again") from None


def cached_array(
    path: Path, shape: tuple[int, ...], fill: Callable[[np.memmap], object], dtype=np.uint8
) -> np.memmap:
    """The array of ``shape`` in the ``.npy`` file ``path``, to be read: made by ``fill`` where it is not there yet, or where the
    file turns out to be damaged, which is said.

    Raises:
        DcmqError: it has to be made, and cannot be written.
    """
    array = _found(path, shape, dtype)
    if array is None:
        with locked(path.with_suffix(".lock")):
            array = _found(path, shape, dtype)  # by the process that had the lock
            if array is None:
                with new_array(path, shape, dtype) as store:
                    fill(store)
                array = open_array(path)
    return array


def _found(path: Path, shape: tuple[int, ...], dtype) -> np.memmap | None:
    if not path.is_file():
        return None
    try:
        array = open_array(path)
    except CorruptFile:
        print(f"{path} is damaged: it is made again", file=sys.stderr)
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def _proof(path: Path) -> Path:
    return path.with_suffix(".proof.json")


def _facts(path: Path) -> list[int]:
    """Size and time of the file's last change, in bytes and nanoseconds."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

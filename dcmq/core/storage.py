"""Files that are either whole or absent, and checked when read. Nothing is pickled."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dcmq.core.errors import DcmqError


class CorruptFile(DcmqError):
    """A file whose content does not match its checksum, or that is cut short."""


def atomic_write(path: Path | str, content: bytes) -> None:
    """Write ``content`` beside ``path`` and move it there, so that no reader ever sees half a file.

    Raises:
        DcmqError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a crash may leave the new name on an empty file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if handle is not None:
            Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from None


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype=np.uint8) -> Iterator[np.memmap]:
    """A memory-mapped array to fill, which becomes the ``.npy`` file ``path`` when the block ends without error.

    Raises:
        DcmqError: the disk is full or the folder cannot be written; said before the block runs, because a write to a
            memory map on a full disk kills the process.
    """
    temporary = path.with_suffix(".part")
    try:
        array = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from None
    yield array
    array.flush()
    os.replace(temporary, path)


def _unwritable(path: Path, error: OSError) -> DcmqError:
    if error.errno == errno.ENOSPC:
        return DcmqError(f"no space left to write {path}: free some, or set DCMQ_HOME to another disk")
    return DcmqError(f"cannot write {path}: {error.strerror}; set DCMQ_HOME to a folder you can write")


def write_json(path: Path | str, content) -> None:
    """Write ``content`` as indented JSON, atomically. NaN is refused."""
    atomic_write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def save_tensors(path: Path | str, tensors: dict, meta: dict[str, str] | None = None) -> None:
    """Write arrays or tensors with ``meta`` (text to text) and a checksum of both, as safetensors."""
    tensors = {k: torch.as_tensor(v).detach().cpu().contiguous() for k, v in tensors.items()}
    meta = dict(meta or {})
    meta["checksum"] = _checksum(tensors, meta)
    atomic_write(path, save(tensors, metadata=meta))


def open_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Map into memory what :func:`save_tensors` wrote; ``checksum`` is in the text beside it and is not compared.

    Raises:
        CorruptFile: the file is cut, or no safetensors.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): delete it and run again") from None


def load_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        CorruptFile: the file is cut, altered, or not written by :func:`save_tensors`.
    """
    tensors, meta = open_tensors(path)
    if meta.pop("checksum", None) != _checksum(tensors, meta):
        raise CorruptFile(f"{path} does not match its checksum: delete it and run again")
    return tensors, meta


def _checksum(tensors: dict[str, torch.Tensor], meta: dict[str, str]) -> str:
    state = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for key in sorted(tensors):
        value = tensors[key]
        state.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        if value.numel():  # torch views no empty tensor as bytes
            state.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return state.hexdigest()


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise DcmqError if the disk of ``folder``, which may not exist yet, has less than ``needed`` bytes free."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DcmqError(
            f"{what} needs {needed / 1e9:.1f} GB at {folder} and {free / 1e9:.1f} GB are free there: free some, or "
            "choose a folder on another disk"
        )


def under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

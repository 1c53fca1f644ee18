"""Files that are either whole or absent, and checked when read. Nothing is pickled."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dcmq.core.errors import DcmqError
from dcmq.core.paths import home

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")  # as tempfile.mkstemp names what atomic_write writes
_LONGEST = 200  # letters of a name that its temporary file repeats: with what is added, no file system takes many more


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
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_LONGEST]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a crash may leave the new name on an empty file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if handle is not None:
            Path(temporary).unlink(missing_ok=True)
        raise unwritable(path, error) from None


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file ``path`` in the block: nobody else, in any process, holds it then. What is only read needs no lock: look
    before you ask for one.

    Args:
        timeout: seconds to wait for somebody who holds it; below 0 as long as it takes.

    Raises:
        filelock.Timeout: somebody still holds it.
        DcmqError: the folder cannot be written.
    """
    lock = FileLock(path, timeout=timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()  # first: filelock would wait for ever where no file can be made
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path, name: str = "") -> None:
    """Delete what killed processes left in ``folder`` of files that :func:`atomic_write` had not moved to their places: of the file
    ``name``, or of all. The caller sees that nobody writes them."""
    for file in folder.glob(".*.*"):
        found = _TEMPORARY.fullmatch(file.name)
        if found and found["name"] == (name[:_LONGEST] or found["name"]) and file.is_file():
            file.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> DcmqError:
    """The error, in a line, of a file or folder that cannot be written."""
    if error.errno == errno.ENOSPC:
        return DcmqError(f"no space left to write {path}: free some, or {_elsewhere(path, 'another disk')}")
    return DcmqError(f"cannot write {path}: {error.strerror}; {_elsewhere(path, 'a folder you can write')}")


def _elsewhere(path: Path, place: str) -> str:
    governed = Path(path).absolute().is_relative_to(home())
    return f"set DCMQ_HOME to {place}" if governed else f"choose {place}"


def write_json(path: Path | str, content) -> None:
    """Write ``content`` as indented JSON, atomically. NaN is refused."""
    atomic_write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path | str):
    """The content of a JSON file. Raises CorruptFile where it is none."""
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptFile(f"{path} cannot be read ({str(error)[:100]}): delete it and run again") from None


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
            f"{what} needs {_size(needed)} at {folder} and {_size(free)} are free there: free some, or choose a folder on another "
            "disk"
        )


def _size(number: int) -> str:
    unit, size = next(((name, size) for name, size in (("GB", 1e9), ("MB", 1e6)) if number >= size), ("kB", 1e3))
    return f"{number / size:.1f} {unit}"


def under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

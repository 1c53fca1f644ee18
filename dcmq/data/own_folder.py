"""Which files of a prepared folder are ours: no other is deleted, and no folder of other files is written to."""

import json
import re
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.storage import sweep

_COPY = re.compile(r"images-\d+-[0-9a-f]+(\.npy|\.proof\.json|\.part|\.lock)")  # smaller copies of the images
_SPLIT = re.compile(r"\d+-\d+-\d+\.json")
_SLABS = re.compile(r"slabs-[0-9a-f]+")
_SLAB = re.compile(r"\.?\d+-\d+\.(json|safetensors)(\.\w+)?")  # a file there, or what a killed writer left of it
_BEGUN = {".lock", "images.part", "images.proof.json"}  # all there may be before any file tells whose it is
_WRITTEN = ("manifest.parquet", "bow.npz", "classes.txt", "vocabulary.txt", "dataset.json", "complete.json", "images.proof.json")
# By file, the keys that it has where it is ours. Whenever preparing is interrupted, one of these files or of the slabs is there.
_TELLING = {
    "dataset.json": {"format", "files"},
    "complete.json": {"key", "broken"},
    "images.proof.json": {"sha256", "file"},
}


def require_own(folder: Path) -> None:
    """Raise DcmqError where ``folder`` is no folder, or holds files and was not prepared by dcmq, nor begun to be."""
    place = next(p for p in (folder, *folder.parents) if p.exists())
    if not place.is_dir():
        raise DcmqError(f"{place} is a file: name another folder with --out")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if set(there) <= _BEGUN or any(_tells(folder / name) for name in there):
        return
    some = ", ".join(there[:3]) + (", …" if len(there) > 3 else "")
    raise DcmqError(
        f"{folder} holds files that dcmq did not write ({some}): name a new or empty folder with --out, as files would be "
        "overwritten"
    )


def forget_copies(folder: Path) -> None:
    """Delete the smaller copies of the images in ``folder``."""
    for path in folder.glob("images-*"):
        if _COPY.fullmatch(path.name) and path.is_file():
            path.unlink()


def forget_splits(folder: Path) -> None:
    """Delete the index files in ``folder``."""
    for path in (folder / "splits").glob("*.json"):
        if _SPLIT.fullmatch(path.name) and path.is_file():
            path.unlink()


def sweep_own(folder: Path) -> None:
    """Delete what killed processes left of files of a prepared ``folder`` that they had not finished; the caller holds its lock."""
    for name in _WRITTEN:
        sweep(folder, name)
    sweep(folder / "splits")


def _tells(path: Path) -> bool:
    """True of a file, or a folder of slabs, that is in prepared folders alone."""
    if _SLABS.fullmatch(path.name) and path.is_dir():
        return all(_SLAB.fullmatch(file.name) for file in path.iterdir())
    if path.name not in _TELLING or not path.is_file():
        return False
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and _TELLING[path.name] <= content.keys()

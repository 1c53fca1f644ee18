"""A large array on disk that is filled in slabs of rows: filling goes on where it was ended.

Each slab that is done has a small file with a checksum of its bytes, which is compared before the slab is believed.
"""

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dcmq.core.arrays import allocate, finish
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors, write_json

_FOLDER = "slabs-"  # with a key behind it, the folder of the small files
_OURS = re.compile(r"\.?\d+-\d+\.(json|safetensors)(\.\w+)?")  # files there, and what a killed writer left of them
_ROWS, _BYTES = 4096, 1 << 26  # the most of a slab: what an end in the middle costs, and the memory of who makes one


class Slabs:
    """The slabs, ranges of rows, of an array that is being filled.

    Args:
        store: memory-mapped, of at least one row.
        folder: holds the files that prove which slabs are done. A damaged slab is named, and counts as not done.

    Attributes:
        all: every slab, in order.
        missing: by slab that is done, the rows that could not be filled.
    """

    def __init__(self, store: np.memmap, folder: Path):
        self.store, self._folder, self.missing = store, folder, {}
        rows = max(1, min(_ROWS, _BYTES // store[:1].nbytes))
        self.all = [range(start, min(start + rows, len(store))) for start in range(0, len(store), rows)]
        found = [slab for slab in self.all if self._proof(slab).is_file()]
        for slab in tqdm(found, desc="checking what is done", unit="slab", disable=len(found) < 20):
            self._check(slab)

    def todo(self) -> dict[range, Sequence[int]]:
        """The rows to fill of each slab: all, or those that could not be filled before, as a disk may be back."""
        rows = {slab: self.missing.get(slab, slab) for slab in self.all}
        return {slab: left for slab, left in rows.items() if left}

    def prove(self, slab: range, missing: list[int]) -> None:
        """Note that a slab is done, but for the rows ``missing``."""
        write_json(self._proof(slab), {"sha256": self._checksum(slab), "missing": missing})
        self.missing[slab] = missing

    def file(self, slab: range) -> Path:
        """The file in which another process hands a slab over, see :func:`hand_over`."""
        return self._proof(slab).with_suffix(".safetensors")

    def take(self, slab: range) -> None:
        """Fill in what was handed over of a slab, if anything was. A damaged file is named and deleted."""
        file = self.file(slab)
        if not file.is_file():
            return
        try:
            made = load_tensors(file)[0]
        except CorruptFile:
            print(f"{file} is damaged: its rows are made again", file=sys.stderr)
        else:
            self.store[slab.start : slab.stop] = made["rows"].numpy()
            self.prove(slab, (slab.start + np.flatnonzero(~made["filled"].numpy())).tolist())
        file.unlink()

    def _check(self, slab: range) -> None:
        try:
            proof = json.loads(self._proof(slab).read_text())
            if proof["sha256"] == self._checksum(slab):
                self.missing[slab] = proof["missing"]
                return
        except (ValueError, KeyError, TypeError):  # the proof itself is damaged
            pass
        where = f"rows {slab.start} to {slab.stop - 1} of {self.store.filename}"
        print(f"{where} are damaged: they are made again", file=sys.stderr)
        self._proof(slab).unlink()

    def _checksum(self, slab: range) -> str:
        return hashlib.sha256(self.store[slab.start : slab.stop]).hexdigest()

    def _proof(self, slab: range) -> Path:
        return self._folder / f"{slab.start}-{slab.stop}.json"


@contextmanager
def open_slabs(path: Path, shape: tuple[int, ...], key: str) -> Iterator[Slabs]:
    """The slabs of a uint8 array to fill, which becomes the ``.npy`` file ``path`` when the block ends without error.
    Otherwise the next call with the same shape and key goes on; one with others begins anew.

    What proves that slabs are done stays beside ``path`` until :func:`forget_slabs`.

    Raises:
        DcmqError: as :func:`dcmq.core.arrays.allocate`.
    """
    part, folder = path.with_suffix(".part"), path.parent / f"{_FOLDER}{key}"
    begun = next((file for file in (part, path) if folder.is_dir() and _has_shape(file, shape)), None)
    if begun is None:
        forget_slabs(path.parent)
        store = allocate(part, shape)
        folder.mkdir()  # after its space is taken, so that what is here was begun
    else:
        os.replace(begun, part)
        store = np.lib.format.open_memmap(part, "r+")
    yield Slabs(store, folder)
    store.flush()
    finish(part, path)


def forget_slabs(folder: Path) -> None:
    """Delete what proves that slabs of an array in ``folder`` are done: the array is, or shall be another. A folder that holds
    anything else is somebody's own, and stays."""
    for slabs in folder.glob(f"{_FOLDER}*"):
        if slabs.is_dir() and all(_OURS.fullmatch(file.name) for file in slabs.iterdir()):
            shutil.rmtree(slabs)


def hand_over(file: Path, rows: np.ndarray, filled: np.ndarray) -> None:
    """Write the rows of a slab, and (n,) bool which could be filled, for :meth:`Slabs.take` in another process."""
    save_tensors(file, {"rows": torch.from_numpy(rows), "filled": torch.from_numpy(filled)})


def _has_shape(file: Path, shape: tuple[int, ...]) -> bool:
    try:
        array = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # absent, cut short or no array
        return False
    return array.shape == shape and array.dtype == np.uint8

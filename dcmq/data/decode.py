"""Image files decoded and resized once, into one memory-mapped array that every later run reads.

Decoding goes on where it was ended: see :mod:`dcmq.core.slabs`.
"""

import hashlib
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm

from dcmq.core.code import fingerprint
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.shards import cluster_address, make_on_cluster
from dcmq.core.slabs import Slabs, forget_slabs, hand_over, open_slabs
from dcmq.core.storage import new_array, write_json
from dcmq.data.resize import image_array

DECODER = fingerprint("dcmq.data.resize")  # identifies the code that decides the pixels
BROKEN_LIMIT = 0.01  # share of images that may fail to decode before the data set is refused
UNREADABLE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)  # from Pillow
REPEATS = 10  # of one file under different names make it a placeholder


def image_key(root: Path, paths: Sequence[Path], size: int) -> str:
    """The identity of the images ``paths`` under ``root`` at ``size``: a hash of names and file sizes (-1 where there
    is no file), and of the code that turns them into arrays."""
    return digest(
        DECODER,
        size,
        [os.path.relpath(p, root).replace(os.sep, "/") for p in paths],
        [p.stat().st_size if p.is_file() else -1 for p in paths],
    )


def decoded(
    folder: Path, key: str, paths: Sequence[Path], size: int, name: str, read: Callable[[int], np.ndarray] | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """The images that can be decoded, (n, size, size, 3) uint8, memory-mapped; and the rows that cannot, with their
    files.

    Threads of this process decode, or the workers of the cluster that ``$DCMQ_SCHEDULER`` names.

    Args:
        folder: where they are kept as ``images.npy``, and decoded again only if ``key`` is another than that they have
            there. A cluster's workers must see it, and the images.
        name: the data set's, for messages.
        read: a function of a row to its image, (H, W, 3) uint8, where images are not a file each.

    Raises:
        DcmqError: more than ``BROKEN_LIMIT`` of the images cannot be decoded, there is no space for them, or what
            :func:`dcmq.core.shards.make_on_cluster` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, proof = folder / "images.npy", folder / "complete.json"
    with FileLock(folder / ".lock"):
        stored = json.loads(proof.read_text()) if proof.is_file() and path.is_file() else {}
        if stored.get("key") != key:
            proof.unlink(missing_ok=True)  # first, so that it never vouches for other images
            for old in folder.glob("images-*.npy"):  # smaller copies of the former images
                old.unlink()
            stored = {"key": key, "broken": _decode(paths, path, key, size, name, read)}
            write_json(proof, stored)
        forget_slabs(folder)
    return np.load(path, mmap_mode="r"), {int(row): str(file) for row, file in stored["broken"].items()}


def repeated(paths: Sequence[Path]) -> list[int]:
    """The rows whose file is, byte for byte, one of ``REPEATS`` or more: such as "this photo is no longer
    available"."""
    sizes = [path.stat().st_size for path in paths]
    often = {size for size, times in Counter(sizes).items() if times >= REPEATS}
    suspects = [row for row, size in enumerate(sizes) if size in often]
    hashes = {
        row: hashlib.sha256(paths[row].read_bytes()).digest()
        for row in tqdm(suspects, desc="looking for placeholders", unit="image", disable=len(suspects) < 1000)
    }
    times = Counter(hashes.values())
    return [row for row in suspects if times[hashes[row]] >= REPEATS]


def _decode(paths: Sequence[Path], path: Path, key: str, size: int, name: str, read) -> dict[int, str]:
    """Write the file ``path`` of all images that can be decoded; returns the rows that cannot, with their files."""
    with open_slabs(path, (len(paths), size, size, 3), key) as slabs:
        for slab in slabs.todo():
            slabs.take(slab)  # a worker made it before the process ended that wanted it
        left, scheduler = slabs.todo(), "" if read else cluster_address()
        done = len(paths) - sum(map(len, left.values()))
        with tqdm(total=len(paths), initial=done, desc="decoding images", unit="image") as bar:
            if scheduler and len(left) > 1:
                _decode_elsewhere(slabs, paths, size, scheduler, bar)
            _decode_here(slabs, paths, size, read, bar)
        broken = {row: str(paths[row]) for slab in slabs.all for row in slabs.missing[slab]}
        if len(broken) > max(1, BROKEN_LIMIT * len(paths)):
            first = next(iter(broken.values()))
            raise DcmqError(f"{name}: {len(broken)} of {len(paths)} images cannot be decoded (first: {first})")
    if broken:  # written again without their rows: a copy in memory would not do for 100,000 images
        warnings.warn(f"{name}: left out, because they cannot be decoded: {', '.join(broken.values())}", stacklevel=2)
        whole = np.load(path, mmap_mode="r")
        kept = np.setdiff1d(np.arange(len(paths)), list(broken))
        with new_array(path, (len(kept), size, size, 3)) as store:
            for start in range(0, len(kept), 256):
                store[start : start + 256] = whole[kept[start : start + 256]]
    return broken


def _decode_here(slabs: Slabs, paths: Sequence[Path], size: int, read, bar: tqdm) -> None:
    """Decode what is left by threads, which run at once because Pillow holds no lock of the interpreter's."""

    def decode(row: int) -> bool:
        pixels = _pixels(lambda: Image.fromarray(read(row)) if read else Image.open(paths[row]), size)
        if pixels is not None:
            slabs.store[row] = pixels
        return pixels is not None

    todo, pool = slabs.todo(), ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        results = pool.map(decode, [row for rows in todo.values() for row in rows])
        for slab, rows in todo.items():
            broken = []
            for row, readable in zip(rows, results, strict=False):
                bar.update()
                if not readable:
                    broken.append(row)
            slabs.prove(slab, broken)  # meanwhile the threads go on
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_elsewhere(slabs: Slabs, paths: Sequence[Path], size: int, scheduler: str, bar: tqdm) -> None:
    """Decode by a cluster the slabs that are not done. An image that a worker cannot read is left to this process."""
    files = {slabs.file(slab): slab for slab in slabs.todo() if slab not in slabs.missing}

    def done(file: Path) -> None:
        slab = files[file]
        slabs.take(slab)
        bar.update(len(slab) - len(slabs.missing.get(slab, slab)))

    make_on_cluster(
        _decode_slab,
        {file: ([paths[row] for row in slab], size) for file, slab in files.items()},
        {file: f"images from {paths[slab.start]}" for file, slab in files.items()},
        scheduler,
        done,
        lambda line: bar.write(line, file=sys.stderr),
    )


def _decode_slab(file: Path, paths: Sequence[Path], size: int) -> None:
    """Decode ``paths`` into ``file``, as a worker of a cluster does."""
    images, readable = np.zeros((len(paths), size, size, 3), np.uint8), np.zeros(len(paths), bool)
    for row, path in enumerate(paths):
        pixels = _pixels(lambda path=path: Image.open(path), size)
        if pixels is not None:
            images[row], readable[row] = pixels, True
    if not any(path.is_file() for path in paths):
        raise DcmqError(f"a worker of the cluster sees no file {paths[0]}: it must see the folder of images")
    hand_over(file, images, readable)


def _pixels(opened: Callable[[], Image.Image], size: int) -> np.ndarray | None:
    """(size, size, 3) uint8; None of an image that cannot be decoded."""
    try:
        with opened() as image:
            return image_array(image, size)
    except UNREADABLE:
        return None

"""Image files decoded and resized once, into one memory-mapped array that every later run reads.

Decoding goes on where it was ended: see :mod:`dcmq.core.slabs`.
"""

import hashlib
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from dcmq.core.arrays import new_array, open_array
from dcmq.core.code import fingerprint
from dcmq.core.errors import DcmqError
from dcmq.core.executors import scheduler_address
from dcmq.core.hashing import digest
from dcmq.core.sealed import BrokenSeal, read_sealed, sealed
from dcmq.core.shards import make_on_cluster
from dcmq.core.slabs import Slabs, forget_slabs, hand_over, open_slabs
from dcmq.core.storage import CorruptFile, locked, write_json
from dcmq.data.open_images import UNREADABLE, open_image, too_large
from dcmq.data.own_folder import forget_copies, sweep_own
from dcmq.data.resize import image_array

DECODER = fingerprint("dcmq.data.resize")  # identifies the code that decides the pixels
BROKEN_LIMIT = 0.01  # share of images that may fail to decode before the data set is refused
_AT_ONCE = 128  # images that a thread decodes before another has to wake up for the next ones
REPEATS = 10  # of one file under different names make it a placeholder


def image_key(root: Path, paths: Sequence[Path], size: int) -> str:
    """The identity of the images ``paths`` under ``root`` at ``size``: a hash of names, file sizes and times of change (-1 where
    there is no file), and of the code that turns them into arrays."""
    return digest(DECODER, size, _names(root, paths), [_state(path) for path in paths])


def names_key(root: Path, paths: Sequence[Path], size: int) -> str:
    """As :func:`image_key`, whatever lies under the names."""
    return digest(DECODER, size, _names(root, paths))


def _names(root: Path, paths: Sequence[Path]) -> list[str]:
    """The paths relative to ``root``, with ``/``."""
    start = os.path.join(os.path.abspath(root), "")
    plain = (str(path).removeprefix(start) for path in paths)  # as relpath has it of most, in a tenth of the time
    names = (
        os.path.relpath(path, root) if os.path.isabs(name) or os.pardir in name or name == str(path) else name
        for name, path in zip(plain, paths, strict=True)
    )
    return [name.replace(os.sep, "/") for name in names]


def _state(path: Path) -> tuple[int, int]:
    """Bytes and time of change of a file: an image may be replaced by one of as many bytes, as all bitmaps of a shape have."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return state.st_size, state.st_mtime_ns


def decoded(
    folder: Path, key: str, paths: Sequence[Path], size: int, name: str, read: Callable[[int], np.ndarray] | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """The images that can be decoded, (n, size, size, 3) uint8, memory-mapped; and the rows that cannot, with their
    files.

    Threads of this process decode, or the workers of the cluster that ``$DCMQ_SCHEDULER`` names.

    Args:
        folder: where they are kept as ``images.npy``, and decoded again only if ``key`` is another than that they have
            there, or if they are damaged. A cluster's workers must see it, and the images.
        name: the data set's, for messages.
        read: a function of a row to its image, (H, W, 3) uint8, where images are not a file each.

    Raises:
        DcmqError: more than ``BROKEN_LIMIT`` of the images cannot be decoded, there is no space for them, or what
            :func:`dcmq.core.shards.make_on_cluster` raises.
    """
    path, proof = folder / "images.npy", folder / "complete.json"
    found = _found(path, proof, key)
    if found is None or _was_left(folder):
        with locked(folder / ".lock"):
            found = _found(path, proof, key)  # by the process that had the lock
            if found is None:
                proof.unlink(missing_ok=True)  # first, so that it never vouches for other images
                forget_copies(folder)  # of the former images
                write_json(proof, sealed({"key": key, "broken": _decode(paths, path, key, size, name, read)}))
                found = _found(path, proof, key)
            sweep_own(folder)
            forget_slabs(folder)
    return found


def _was_left(folder: Path) -> bool:
    """True where a process was killed after it had decoded all, and what it would have deleted can be deleted."""
    return os.access(folder, os.W_OK) and any(folder.glob("slabs-*"))


def _found(path: Path, proof: Path, key: str) -> tuple[np.ndarray, dict[int, str]] | None:
    """The images and the rows that :func:`decoded` returns, if they were decoded before; what is damaged is named."""
    if not (proof.is_file() and path.is_file()):
        return None
    try:
        stored = read_sealed(proof, "the images are decoded again")
        if stored.get("key") != key:
            return None
        return open_array(path), {int(row): str(file) for row, file in stored["broken"].items()}
    except (BrokenSeal, CorruptFile) as error:
        print(str(error).replace("delete it and run again", "the images are decoded again"), file=sys.stderr)
        return None


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
        left, scheduler = slabs.todo(), "" if read else scheduler_address()
        done = len(paths) - sum(map(len, left.values()))
        with tqdm(total=len(paths), initial=done, desc="decoding images", unit="image") as bar:
            if scheduler and len(left) > 1:
                _decode_elsewhere(slabs, paths, size, scheduler, bar)
            _decode_here(slabs, paths, size, read, bar)
        broken = {row: str(paths[row]) for slab in slabs.all for row in slabs.missing[slab]}
        if len(broken) > max(1, BROKEN_LIMIT * len(paths)):
            absent = 0 if read else sum(not os.path.isfile(file) for file in broken.values())
            what = "are not on disk" if absent == len(broken) else "cannot be decoded"
            some = f"; {absent} of them are not on disk" if 0 < absent < len(broken) else ""
            first = _named(next(iter(broken.values())), read)
            raise DcmqError(f"{name}: {len(broken)} of {len(paths)} images {what} (first: {first}){some}")
    if broken:  # written again without their rows: a copy in memory would not do for 100,000 images
        named = ", ".join(_named(file, read) for file in broken.values())
        warnings.warn(f"{name}: left out, because they cannot be decoded: {named}", stacklevel=2)
        whole = np.load(path, mmap_mode="r")
        kept = np.setdiff1d(np.arange(len(paths)), list(broken))
        with new_array(path, (len(kept), size, size, 3)) as store:
            for start in range(0, len(kept), 256):
                store[start : start + 256] = whole[kept[start : start + 256]]
    return broken


def _decode_here(slabs: Slabs, paths: Sequence[Path], size: int, read, bar: tqdm) -> None:
    """Decode what is left by threads, which run at once because Pillow holds no lock of the interpreter's."""

    def decode(rows: Sequence[int]) -> list[int]:
        """Fill in some rows; returns those that cannot be read."""
        broken = []
        for row in rows:
            pixels = _pixels(lambda row=row: Image.fromarray(read(row)) if read else open_image(paths[row]), size)
            if pixels is None:
                broken.append(row)
            else:
                slabs.store[row] = pixels
        return broken

    def in_parts(rows: Sequence[int]) -> list[Sequence[int]]:
        return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]

    parts = {slab: in_parts(rows) for slab, rows in slabs.todo().items()}
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        results = pool.map(decode, [part for some in parts.values() for part in some])
        for slab, some in parts.items():
            broken = []
            for part in some:
                broken += next(results)
                bar.update(len(part))
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
        pixels = _pixels(lambda path=path: open_image(path), size)
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
    except DcmqError:  # of what reads the images that are not a file each
        raise
    except UNREADABLE:
        return None


def _named(file: str, read) -> str:
    """The name of a file that cannot be decoded, and why where the file tells it without being decoded."""
    reason = "" if read else too_large(Path(file))
    return f"{file}: {reason}" if reason else file

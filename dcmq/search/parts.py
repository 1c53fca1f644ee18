"""Many images encoded in parts: each part is a file with a checksum, which proves that it is done, whoever did it."""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
from tqdm.auto import tqdm

from dcmq.codes.ids import positions
from dcmq.codes.pack import code_size
from dcmq.core.errors import DcmqError
from dcmq.core.executors import do_all, torch_threads
from dcmq.core.hashing import digest
from dcmq.core.storage import CorruptFile, load_tensors, open_tensors, save_tensors
from dcmq.search.duplicates import looks_of
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.sources import Listing, content_hash, read_images

ENCODED, SAME, UNREADABLE = 0, 1, 2
_SMALLEST, _LARGEST, _PARTS = 1_000, 100_000, 64  # images of a part, and how many parts there are between these bounds
_BATCH = 64
_alone = Lock()  # a worker of a cluster may have threads, and torch's number of threads is of the process


@dataclass(frozen=True)
class Encoded:
    """The outcome of encoding n images.

    Attributes:
        state: (n,) uint8: ``ENCODED``; ``SAME``, its content is that of before, and it has no code here; ``UNREADABLE``.
        content: (n,) uint64, hash of the bytes; 0 where there were none.
        look: (n,) uint64, see :func:`dcmq.search.duplicates.look`.
        codes: (n, code size) uint8.
    """

    state: np.ndarray
    content: np.ndarray
    look: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class _Part:
    """A piece of work: images to encode, and the file that shall hold what comes out."""

    model: Path
    student: str  # checksum of that file
    listing: Listing
    former: np.ndarray  # (n,) uint64 hash of the content that has a code already, 0 where none has
    file: Path


def encode_in_parts(
    model: Path,
    bytes_per_code: int,
    listing: Listing,
    former: np.ndarray,
    folder: Path,
    workers: int = 1,
    scheduler: str = "",
) -> Encoded:
    """The codes of all images of ``listing``. Parts that are in ``folder`` already, of a build that was ended, are not made again.

    Each image is encoded by one CPU thread, in the same batch whoever does it: the number of workers changes the time and no code.

    Args:
        model: file of the student, as :meth:`PretrainedStudent.save` writes it, whose codes have ``bytes_per_code``.
        former: (n,) uint64 content hashes of images that need no code where their content is still that; 0: there is none.
        folder: for the parts; of this build alone.
        workers: processes of this machine; few images are encoded by this one.
        scheduler: address of a Dask cluster that encodes instead; its workers must see the same files.

    Raises:
        DcmqError: a part whose process was killed each time, a volume that was changed meanwhile, or parts that are missing.
    """
    student = open_tensors(model)[1]["checksum"]
    done, _ = _from_parts(folder, student, listing, bytes_per_code)
    size = min(_LARGEST, max(_SMALLEST, -(-len(listing) // _PARTS)))
    parts = {}
    for start in range(0, len(listing), size):
        rows = np.arange(start, min(start + size, len(listing)))
        rows = rows[~done[rows]]
        if len(rows):
            part = listing.rows(rows)
            file = folder / f"{digest(part.ids, part.size, part.time, part.place)}.safetensors"
            parts[file] = _Part(model, student, part, former[rows], file)
    waiting = sum(len(part.listing) for part in parts.values())
    with tqdm(total=waiting, desc="images", unit="image", disable=waiting < 100) as bar:
        if len(parts) > 1 and (workers > 1 or scheduler):
            do_all(
                _encode,
                {file: (part,) for file, part in parts.items()},
                {file: f"images from {part.listing.ids[0].decode()}" for file, part in parts.items()},
                lambda file, _: bar.update(len(parts[file].listing)),
                lambda line: bar.write(line, file=sys.stderr),
                workers=workers,
                scheduler=scheduler,
                advice="lower --workers; what is encoded is kept",
            )
        else:
            for part in parts.values():
                _encode(part, bar.update)
    done, encoded = _from_parts(folder, student, listing, bytes_per_code)
    if not done.all():
        names = listing.ids[~done]
        raise DcmqError(
            f"{len(names)} images have no code, from {names[0].decode()} on: their parts are missing or damaged in {folder}; "
            "build again (workers of a cluster must share that folder)"
        )
    return encoded


def _encode(part: _Part, on_images: Callable[[int], object] | None = None) -> None:
    """Encode a part and write its file."""
    student, n = _student(part.model, part.student), len(part.listing)
    state, content, look = np.full(n, UNREADABLE, np.uint8), np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    codes = np.zeros((n, code_size(*student.codebooks.shape[:2])), np.uint8)
    with _alone, torch_threads(1):  # how sums are split among threads may change their last bit
        for rows, images in _batches(read_images(part.listing)):
            hashes = np.array([0 if image is None else content_hash(image) for image in images], np.uint64)
            content[rows], look[rows] = hashes, looks_of(images)
            same = (hashes != 0) & (hashes == part.former[rows])
            state[rows][same] = SAME
            new = np.flatnonzero((hashes != 0) & ~same)
            made, unreadable = student.quantize_images([io.BytesIO(images[i]) for i in new])
            readable = rows.start + np.delete(new, unreadable)
            codes[readable], state[readable] = made, ENCODED
            if on_images:
                on_images(len(images))
    listing = part.listing
    arrays = {"ids": _as_bytes(listing.ids), "size": listing.size, "time": listing.time, "place": listing.place}
    arrays |= {"state": state, "content": content.view(np.int64), "look": look.view(np.int64), "codes": codes}
    save_tensors(part.file, arrays, {"student": part.student})


def _batches(images: Iterator[bytes | None]) -> Iterator[tuple[slice, list[bytes | None]]]:
    start = 0
    while batch := list(islice(images, _BATCH)):
        yield slice(start, start + len(batch)), batch
        start += len(batch)


def _from_parts(folder: Path, student: str, listing: Listing, bytes_per_code: int) -> tuple[np.ndarray, Encoded]:
    """(n,) bool, the images of ``listing`` that whole parts of ``student`` hold as they are now; and what became of those.
    Damaged parts are named and deleted."""
    n = len(listing)
    done, state, hashes = np.zeros(n, bool), np.zeros(n, np.uint8), np.zeros((2, n), np.int64)
    codes = np.zeros((n, bytes_per_code), np.uint8)
    for file in sorted(folder.glob("*.safetensors")):
        try:
            tensors, meta = load_tensors(file)
        except CorruptFile:
            print(f"{file} is damaged: its images are encoded again", file=sys.stderr)
            file.unlink()
            continue
        if meta.get("student") != student:
            continue
        part = {name: tensor.numpy() for name, tensor in tensors.items()}
        rows = positions(listing.ids, _from_bytes(part["ids"]))
        same = [getattr(listing, name)[rows] == part[name] for name in ("size", "time", "place")]
        now = np.logical_and.reduce([rows >= 0, *same])
        rows = rows[now]
        done[rows], state[rows], codes[rows] = True, part["state"][now], part["codes"][now]
        hashes[:, rows] = part["content"][now], part["look"][now]
    return done, Encoded(state, *hashes.view(np.uint64), codes)


def _as_bytes(ids: np.ndarray) -> np.ndarray:
    """(n, width) uint8 of (n,) bytes, as safetensors can hold them."""
    return ids[:, None].view(np.uint8)


def _from_bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(f"S{array.shape[1]}")[:, 0]


@cache
def _student(model: Path, checksum: str) -> PretrainedStudent:
    """The student in a file, read once by a process as long as the file has that checksum."""
    return PretrainedStudent.load(model)

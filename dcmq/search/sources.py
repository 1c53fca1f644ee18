"""Where images come from: a folder, a list of files, tar files as of webdataset, parquet files. Listed first, read in order."""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from dcmq.codes.ids import id_label
from dcmq.core.errors import DcmqError
from dcmq.search.folders import (
    NO_FILE,
    NOT_UTF8,
    PARQUET,
    SUFFIXES,
    TAR,
    is_image_name,
    is_utf8,
    reason_to_pass_over,
    search_folder,
    shown,
    stamp,
)
from dcmq.search.parquet_images import list_rows, read_rows

LIST = ".txt"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "zstd"}
LINK_IN_TAR = "links in tar files, which are not followed"
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Listing:
    """n images: what each is called, where its bytes lie, and what tells cheaply whether they were replaced.

    Attributes:
        base: the folder that ``ids`` and ``volumes`` are relative to.
        ids: (n,) UTF-8 bytes.
        volume: (n,) int32, the file in ``volumes`` that holds the image; -1 where the image is a file of its own.
        place: (n,) int64, the first byte in a tar file, or the row in a parquet file.
        size, time: (n,) int64, bytes and :func:`dcmq.search.folders.stamp`; of a parquet file's image, those of the file.
        volumes: names of tar and parquet files.
        damaged: by the name of a volume or a folder that cannot be read, the reason.
        passed_over: by the reason, names of images that are left out.
    """

    base: Path
    ids: np.ndarray
    volume: np.ndarray
    place: np.ndarray
    size: np.ndarray
    time: np.ndarray
    volumes: tuple[str, ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def unchanged(self, other: "Listing", rows: np.ndarray) -> np.ndarray:
        """(n,) bool: the images that have the size and the time that ``other`` has at (n,) ``rows``, and lie where they lay."""
        if not len(other):
            return np.zeros(len(self), bool)
        pairs = ((getattr(self, name), getattr(other, name)[rows]) for name in ("size", "time", "place"))
        return np.logical_and.reduce([mine == others for mine, others in pairs])

    def rows(self, chosen: np.ndarray) -> "Listing":
        """The listing of some rows: positions, or a mask."""
        arrays = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.type is np.ndarray}
        return Listing(self.base, **arrays, volumes=self.volumes)


def content_hash(content: bytes) -> int:
    """64 bits of SHA-256, never 0, which stands for "not known"."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little") or 1


def absolute_source(source: Path | str) -> Path:
    """The absolute path of a source; a pattern with wildcards stays one."""
    return Path(os.path.abspath(Path(source).expanduser()))


def source_exists(source: Path) -> bool:
    """True where there is a file or folder of that name, or something that fits the pattern."""
    return source.exists() or bool(_is_pattern(source) and _matches(source))


def require_source(source: Path) -> None:
    """Raise DcmqError where there is no such file or folder, or nothing fits a pattern."""
    if not source_exists(source):
        raise DcmqError(f"no file fits {source}" if _is_pattern(source) else f"there is no folder or file {source}")


def base_of(source: Path) -> Path:
    """The folder that the names of a source's images are relative to."""
    if _is_pattern(source) and not source.exists():
        return _fixed_part(source)
    return source.parent if source.suffix.lower() in (LIST, TAR, PARQUET) and not source.is_dir() else source


def list_images(source: Path) -> Listing:
    """The images of ``source``, in the order of their names; those of a list in the list's order.

    Args:
        source: a folder, searched through with all its folders but hidden ones, or else one that holds tar or parquet files and
            no image; a ``.txt`` file with a path in each line, relative to the list; a ``.tar`` or ``.parquet`` file; or a pattern with
            ``*``, ``?`` or ``[]`` for several of these two.

    Raises:
        DcmqError: there is no such source, it holds no image, or two images have one name. Volumes that cannot be read are
            noted in the listing, and raise where no other is left.
    """
    require_source(source)
    if _is_pattern(source) and not source.exists():
        return _checked(_list_volumes(base_of(source), _matches(source)), source)
    if source.is_dir():
        return _checked(_list_folder(source), source)
    if source.suffix.lower() == LIST:
        return _checked(_list_lines(source), source)
    return _checked(_list_volumes(source.parent, [source]), source)


def read_images(listing: Listing) -> Iterator[bytes | None]:
    """The bytes of each image of ``listing``, in order; None where they cannot be read. One volume is open at a time.

    Raises:
        DcmqError: a volume was changed or removed after it was listed.
    """
    for volume, rows in _runs(listing.volume):
        if volume < 0:
            for name in listing.ids[rows]:
                yield _read(listing.base / os.fsdecode(name))
            continue
        file = listing.base / listing.volumes[volume]
        try:
            if file.suffix.lower() == PARQUET:
                yield from read_rows(file, listing.place[rows])
            else:
                with file.open("rb") as opened:
                    for place, size in zip(listing.place[rows].tolist(), listing.size[rows].tolist(), strict=True):
                        opened.seek(place)
                        yield opened.read(size)
            unchanged = stamp(file.stat()) == listing.time[rows.start]
        except (OSError, pa.ArrowException) as error:
            raise DcmqError(f"{file}: {_reason(error)}") from None
        if not unchanged:
            raise DcmqError(f"{file} was changed while it was read: build again")


def _list_folder(root: Path) -> Listing:
    found = search_folder(root)
    if not found.images and found.volumes:
        listing = _list_volumes(root, found.volumes)
        passed_over = {**found.passed_over, **listing.passed_over}
        return replace(listing, damaged=listing.damaged | found.closed, passed_over=passed_over)
    listing = _of_files(root, *zip(*found.images, strict=True)) if found.images else _of_files(root, (), (), ())
    return replace(listing, damaged=found.closed, passed_over=found.passed_over)


def _list_lines(source: Path) -> Listing:
    try:
        # Only what ends a line in files: names may hold the others that splitlines and strip go by, such as U+2028.
        lines = [line.strip(" \t") for line in source.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise DcmqError(f"{source}: {_reason(error) if isinstance(error, OSError) else 'is not UTF-8 text'}") from None
    names, missing = [line.encode() for line in lines if line], []
    sizes, times = [], []
    for name in names:
        file = source.parent / os.fsdecode(name)
        if os.path.isfile(file):
            status = file.stat()
            sizes.append(status.st_size)
            times.append(stamp(status))
        else:
            missing.append(name)
    if missing:
        raise DcmqError(
            f"{source}: {len(missing)} of {len(names)} lines name no file (first: {shown(missing[0][:200])})"
        )
    return _of_files(source.parent, names, sizes, times)


def _of_files(base: Path, names: Sequence[bytes], sizes: Sequence[int], times: Sequence[int]) -> Listing:
    n = len(names)
    none, zero = np.full(n, -1, np.int32), np.zeros(n, np.int64)
    return Listing(base, _ids(names), none, zero, np.array(sizes, np.int64), np.array(times, np.int64))


def _ids(names: Sequence[bytes]) -> np.ndarray:
    return np.array(names) if len(names) else np.empty(0, "S1")


def _list_volumes(base: Path, files: Sequence[Path]) -> Listing:
    ids, columns, damaged, passed_over = [], [np.empty((4, 0), np.int64)], {}, {}
    names = [os.path.relpath(file, base).replace(os.sep, "/") for file in files]
    for volume, (name, file) in enumerate(zip(names, files, strict=True)):
        try:
            inner, places, sizes = _list_volume(file, passed_over)
            time = stamp(file.stat())
        except (tarfile.TarError, pa.ArrowException, OSError, EOFError, DcmqError) as error:
            damaged[shown(os.fsencode(name))] = _reason(error)
            continue
        whole = [os.fsencode(name) + b"/" + one for one in inner]
        kept = [row for row, one in enumerate(whole) if is_utf8(one)]
        if len(kept) < len(whole):
            rest = set(range(len(whole))).difference(kept)
            passed_over.setdefault(NOT_UTF8, []).extend(shown(whole[row]) for row in sorted(rest))
        ids += [whole[row] for row in kept]
        n = len(kept)
        columns.append(
            np.array([[volume] * n, [places[i] for i in kept], [sizes[i] for i in kept], [time] * n], np.int64)
        )
    if damaged and not ids:
        name, reason = next(iter(damaged.items()))
        raise DcmqError(f"{base / name}: {reason}")
    volumes, places, sizes, times = np.concatenate(columns, axis=1)
    return Listing(base, _ids(ids), volumes.astype(np.int32), places, sizes, times, tuple(names), damaged, passed_over)


def _list_volume(file: Path, passed_over: dict[str, list[str]]) -> tuple[list[bytes], list[int], list[int]]:
    """Names, places and sizes of the images in a file. Raises DcmqError where it is of another kind."""
    if file.suffix.lower() == TAR:
        return _list_tar(file, passed_over)
    if file.suffix.lower() == PARQUET:
        return list_rows(file, passed_over)
    raise DcmqError(f"is no image source: {LIST}, {TAR} (not compressed) and {PARQUET} files are, and folders")


def _list_tar(file: Path, passed_over: dict[str, list[str]]) -> tuple[list[bytes], list[int], list[int]]:
    """Names, first bytes and sizes of the images in a tar file."""
    names, places, sizes = [], [], []
    if packed := _compression(file):  # in which no image can be read where it lies
        raise DcmqError(f"is compressed: unpack it with {packed} -d < IT > NEW{TAR}, and name that")
    with tarfile.open(file, "r:", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            tar.members.clear()  # which it keeps for later, all of them
            name = member.name.encode(errors="surrogateescape")
            if member.isdir() or not is_image_name(name):
                continue
            if reason := reason_to_pass_over(name) or _no_bytes(member):
                passed_over.setdefault(reason, []).append(f"{file.name}/{shown(name)}")
                continue
            names.append(name)
            places.append(member.offset_data)
            sizes.append(member.size)
        if file.stat().st_size <= tar.offset:  # the end of an archive is marked by blocks of zeros
            raise DcmqError("is cut short")
    return names, places, sizes


def _compression(file: Path) -> str:
    """The program that compressed a file, by its first bytes; empty of one that is not compressed."""
    with file.open("rb") as opened:
        start = opened.read(6)
    return next((program for magic, program in _COMPRESSED.items() if start.startswith(magic)), "")


def _no_bytes(member: tarfile.TarInfo) -> str:
    """The reason for which a tar file has no bytes of a member in one piece; empty where it has."""
    if member.issym() or member.islnk():
        return LINK_IN_TAR
    return "" if member.isfile() and not member.issparse() else NO_FILE


def _runs(values: np.ndarray) -> Iterator[tuple[int, slice]]:
    """Each value with the slice over which it stays the same."""
    ends = np.flatnonzero(np.diff(values)) + 1
    for start, end in zip([0, *ends], [*ends, len(values)], strict=True):
        if end > start:
            yield int(values[start]), slice(int(start), int(end))


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _checked(listing: Listing, source: Path) -> Listing:
    if not len(listing):
        rest = {**listing.damaged, **{reason: f"{len(names)}" for reason, names in listing.passed_over.items()}}
        told = "".join(f"; {name}: {what}" for name, what in rest.items())
        raise DcmqError(f"{source} holds no image ({', '.join(sorted(SUFFIXES))}){told}")
    names, counts = np.unique(listing.ids, return_counts=True)
    if (counts > 1).any():
        raise DcmqError(
            f"{source}: {int((counts > 1).sum())} names are there more than once (first: {id_label(names[counts > 1][0])})"
        )
    return listing


def _is_pattern(source: Path) -> bool:
    return bool(_WILD & set(str(source)))


def _fixed_part(pattern: Path) -> Path:
    """The folder of a pattern up to the first wildcard."""
    return next(p for p in pattern.parents if not _is_pattern(p))


def _matches(pattern: Path) -> list[Path]:
    base = _fixed_part(pattern)
    return sorted(path for path in base.glob(str(pattern.relative_to(base))) if path.is_file())


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:150] or type(error).__name__

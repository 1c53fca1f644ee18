"""Downloads of archives: they go on where they broke off, are checked, and are unpacked nowhere but into their
folder."""

import hashlib
import os
import ssl
import time
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.core.storage import require_space

ATTEMPTS = 5
PAUSE = 1.0  # seconds before the second attempt, doubled before each further one
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A ZIP file at its official address; size in bytes and MD5 where they are known; the folder it is unpacked
    into."""

    url: str
    size: int | None = None
    md5: str | None = None
    into: str = ""

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


def download_all(archives: tuple[Archive, ...], root: Path) -> None:
    """Fetch and unpack each of ``archives`` into ``root``, as far as that is still to do.

    Archives stay in ``root/downloads``; one that a user put there, or into ``root``, is not fetched. Those that were
    unpacked may be deleted.

    Raises:
        DcmqError: no space, no connection, a file that is not what was published, an archive that cannot be unpacked.
    """
    todo = [a for a in archives if _local(a, root).is_file() or not _mark(a, root).is_file()]
    needed = sum(a.size or 0 for a in todo if not _local(a, root).is_file())
    require_space(root, needed, f"downloading {len(todo)} archives")
    (root / "downloads").mkdir(parents=True, exist_ok=True)
    for archive in todo:
        unpack(fetch(archive, root), root / archive.into)
        _mark(archive, root).touch()


def fetch(archive: Archive, root: Path) -> Path:
    """The archive as a file under ``root``, downloaded if it is not there; a part of it is completed.

    Raises:
        DcmqError: see :func:`download_all`.
    """
    path = _local(archive, root)
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DcmqError(
            f"cannot make {path.parent} ({error.strerror}): choose a --root that you may write to"
        ) from None
    part = path.with_name(f"{path.name}.part")
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.is_file():
            _fetch_part(archive, part)
            _check(archive, part)
            os.replace(part, path)
    return path


def unpack(path: Path, folder: Path) -> None:
    """Unpack a ZIP into ``folder``; members that are there in full are not written again.

    Raises:
        DcmqError: not a whole ZIP file, a member that would land outside ``folder``, no space.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            for member in members:
                if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                    raise DcmqError(
                        f"{path} holds {member.filename!r}, which points outside its folder: it is not unpacked"
                    )
            todo = [m for m in members if not _unpacked(folder / m.filename, m.file_size)]
            require_space(folder, sum(m.file_size for m in todo), f"unpacking {path.name}")
            for member in tqdm(todo, desc=f"unpacking {path.name}", unit="file", disable=not todo):
                _extract(archive, member, folder / member.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DcmqError(f"{path} is no whole ZIP file ({error}): delete it and download it again") from None
    except OSError as error:
        raise DcmqError(f"cannot unpack {path} into {folder}: {error.strerror}") from None


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with archive.open(member) as source, part.open("wb") as file:
        while block := source.read(_BLOCK):
            file.write(block)
    os.replace(part, target)


def _unpacked(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _local(archive: Archive, root: Path) -> Path:
    beside = root / archive.name
    return beside if beside.is_file() else root / "downloads" / archive.name


def _mark(archive: Archive, root: Path) -> Path:
    """The empty file whose presence says that the archive was unpacked."""
    return root / "downloads" / f"{archive.name}.unpacked"


def _fetch_part(archive: Archive, part: Path) -> None:
    """Fill ``part`` to its end, in several attempts if connections break."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            if _append(archive, part):
                return
            reason = "the connection was closed early"
        except HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise DcmqError(
                    f"{archive.url} answers {error.code} {error.reason}: fetch {archive.name} elsewhere and put it into {part.parent}"
                ) from None
            reason = f"{error.code} {error.reason}"
        except (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        except OSError as error:
            raise DcmqError(f"cannot write {part} ({error.strerror}): free some space and run again to go on") from None
    raise DcmqError(
        f"{archive.url} cannot be fetched ({reason}, {ATTEMPTS} attempts): run again to go on where it stopped, or put "
        f"{archive.name} into {part.parent}"
    )


def _append(archive: Archive, part: Path) -> bool:
    """Fetch from where ``part`` ends, in one attempt. Returns True where it is complete now."""
    start = part.stat().st_size if part.is_file() else 0
    if archive.size and start == archive.size:
        return True
    request = Request(archive.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(request, timeout=60)
    except HTTPError as error:
        if error.code != 416:
            raise
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total == str(start):  # nothing beyond: it was complete
            return True
        part.unlink()
        return False
    with response:
        if start and response.status != 206:  # a server that knows no ranges sends all of it again
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        require_space(part.parent, (total or 0) - start, f"downloading {archive.name}")
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=archive.name)
        with part.open("r+b" if start else "wb") as file, bar:
            file.seek(start)
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    return total is None or part.stat().st_size >= total


def _check(archive: Archive, part: Path) -> None:
    """Compare size and MD5 with the published ones; a file that differs is deleted, as resuming would never mend it."""
    size = part.stat().st_size
    wrong = f"is {size:,} bytes long, not {archive.size:,}" if archive.size and size != archive.size else ""
    if not wrong and archive.md5:
        state = hashlib.md5(usedforsecurity=False)
        with (
            part.open("rb") as file,
            tqdm(total=size, unit="B", unit_scale=True, desc=f"checking {archive.name}") as bar,
        ):
            while block := file.read(_BLOCK):
                state.update(block)
                bar.update(len(block))
        if state.hexdigest() != archive.md5:
            wrong = f"has MD5 {state.hexdigest()}, not {archive.md5}"
    if wrong:
        part.unlink()
        raise DcmqError(
            f"{archive.url} {wrong}: it was deleted; run again, or put the right {archive.name} into {part.parent}"
        )

"""The image files under a folder, and what tells whether the content of one is still that of before."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from dcmq.core.errors import DcmqError

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm".split())


class Signature(NamedTuple):
    """A file's size in bytes, its time of change in nanoseconds, and a hash of its content."""

    size: int
    time: int
    content: str

    @classmethod
    def of(cls, file: Path, before: "Signature | None" = None) -> "Signature":
        """The signature of ``file``. The content is read only where size or time are not those of ``before``; of a file that
        cannot be read it has none."""
        status = file.stat()
        if before is not None and (status.st_size, status.st_mtime_ns) == before[:2]:
            return before
        try:
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
        except OSError:
            content = ""
        return cls(status.st_size, status.st_mtime_ns, content)


def image_files(root: Path) -> dict[str, Path]:
    """All image files under ``root``, sorted, by their paths relative to it. Raises DcmqError where there is none."""
    if not root.is_dir():
        raise DcmqError(f"there is no folder {root}")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise DcmqError(f"{root} holds no image ({', '.join(sorted(SUFFIXES))})")
    return {file.relative_to(root).as_posix(): file for file in files}

"""A folder searched through for image files: what is found, and what is passed over and why."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from PIL import features

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm".split()) | (
    {".avif"} if features.check("avif") else frozenset()
)
TAR, PARQUET = ".tar", ".parquet"
HIDDEN = "hidden, or in hidden folders or those of a system"
NOT_UTF8 = "whose names are not UTF-8"
OTHER_FORMAT = "of a format that cannot be read here"
NO_FILE = "that are no files, such as links that lead nowhere"
LINKED_FOLDER = "links to folders, which are not followed"
BESIDE_IMAGES = "tar or parquet files beside images"
_OF_SYSTEMS = frozenset((b"@eaDir", b"#recycle", b"$RECYCLE.BIN", b"__MACOSX"))  # thumbnails and waste
_OTHER_FORMATS = frozenset(".avif .heic .heif .jxl .jp2 .psd .svg .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf".split())


@dataclass
class Found:
    """The image files under a folder, in the order of their names, and the rest.

    Attributes:
        images: name, size in bytes and :func:`stamp` of each; a name is the bytes of its path in the folder, with ``/``.
        volumes: tar and parquet files.
        closed: by the name of a folder that cannot be read, the reason.
        passed_over: by the reason, names of what is left out.
    """

    images: list[tuple[bytes, int, int]] = field(default_factory=list)
    volumes: list[Path] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, list[str]] = field(default_factory=dict)


def search_folder(root: Path) -> Found:
    """All that is in ``root`` and its folders. Links to files are followed, links to folders are not."""
    found = Found()

    def close(error: OSError) -> None:
        found.closed[_name(error.filename, root)] = error.strerror

    for folder, inner, names in os.walk(root, onerror=close):
        for name in inner:
            if os.path.islink(path := os.path.join(folder, name)):
                found.passed_over.setdefault(LINKED_FOLDER, []).append(_name(path, root))
        for name in names:
            _sort_in(os.path.join(folder, name), root, found)
    found.images.sort()
    found.volumes.sort()
    if found.images and found.volumes:
        found.passed_over[BESIDE_IMAGES] = [_name(file, root) for file in found.volumes]
    return found


def reason_to_pass_over(name: bytes) -> str:
    """The reason for which an image of that name, a path with ``/``, is left out; empty where it is not."""
    if any(_is_hidden(part) for part in name.split(b"/")):
        return HIDDEN
    if _suffix(name) not in SUFFIXES:
        return OTHER_FORMAT
    return "" if is_utf8(name) else NOT_UTF8


def is_utf8(name: bytes) -> bool:
    """True where ``name`` is text in UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_image_name(name: bytes) -> bool:
    """True where a file of that name is an image by its suffix, of a format that can be read here or not."""
    return _suffix(name) in SUFFIXES | _OTHER_FORMATS


def shown(name: bytes) -> str:
    r"""``name`` as text, with bytes that are no UTF-8 as ``\xe9``."""
    return name.decode(errors="backslashreplace")


def stamp(status: os.stat_result) -> int:
    """The time in nanoseconds of the last change of a file, which nobody can set back: that of its content or of what is kept about
    it, whichever is later."""
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _sort_in(file: str, root: Path, found: Found) -> None:
    """Note what one file is."""
    name = os.fsencode(os.path.relpath(file, root).replace(os.sep, "/"))
    if is_image_name(name):
        reason = reason_to_pass_over(name)
        try:
            status = os.stat(file)
        except OSError:
            status = None
        if not reason and (status is None or not stat.S_ISREG(status.st_mode)):
            reason = NO_FILE
        if reason:
            found.passed_over.setdefault(reason, []).append(shown(name))
        else:
            found.images.append((name, status.st_size, stamp(status)))
    elif _suffix(name) in (TAR, PARQUET) and not any(_is_hidden(part) for part in name.split(b"/")):
        found.volumes.append(Path(file))


def _name(file: str | Path, root: Path) -> str:
    return shown(os.fsencode(os.path.relpath(file, root).replace(os.sep, "/")))


def _is_hidden(part: bytes) -> bool:
    return part in _OF_SYSTEMS or (part.startswith(b".") and part not in (b".", b".."))


def _suffix(name: bytes) -> str:
    return os.path.splitext(name)[1].decode(errors="replace").lower()

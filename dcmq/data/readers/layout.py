"""Files, found where a user would have unpacked them and as their names are spelt; and their lines."""

import codecs
import errno
import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from dcmq.core.errors import DcmqError

_OF_MACS = "__MACOSX"  # a folder beside what was packed there, with files of the same names


def locate(name: str, root: Path, wanted: dict[str, str], hint: str) -> dict[str, Path]:
    """The place of each path of ``wanted``: under ``root`` or up to two folders below it, as high as it is.

    Args:
        wanted: path, such as ``meta/tags``, to the archive that holds it. One with a suffix is a file, another a folder.
        hint: what to do about missing ones.

    Raises:
        DcmqError: names all that are missing, each with its archive; or one that is there twice, or a folder in the place of a file.
    """
    places, missing = {}, []
    for path, archive in wanted.items():
        is_kind, kind = (os.path.isfile, "file") if Path(path).suffix else (os.path.isdir, "folder")
        levels = [sorted(root.glob(depth + path), key=_by_link) for depth in ("", "*/", "*/*/")]
        there = next(filter(None, ([p for p in level if is_kind(p) and _OF_MACS not in p.parts] for level in levels)), [])
        other = next((p for level in levels for p in level), None)
        if not there and other is not None:
            raise DcmqError(f"{name}: {other} is no {kind}: unpack {archive} again")
        if second := next((p for p in there if not os.path.samefile(p, there[0])), None):
            raise DcmqError(f"{name}: both {there[0]} and {second} are there: keep one of them under {root}")
        if there:
            places[path] = there[0]
        else:
            missing.append(f"{path} (of {archive})")
    if missing:
        raise DcmqError(f"{name}: missing under {root}: {', '.join(missing)}. {hint}")
    return places


def _by_link(path: Path) -> tuple[bool, Path]:
    """A key that sorts a file before a link to it: others lie beside the file."""
    return path.resolve() != path, path


def open_file(path: Path, archive: str = "it") -> BinaryIO:
    """The file, opened to be read. Raises DcmqError if it is none, such as a folder or a pipe, or cannot be read; ``archive`` is what
    to unpack then."""
    try:
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise OSError(errno.EINVAL, "it is no file")  # a pipe would be waited for
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DcmqError(f"{path} cannot be read ({reason}): check its permissions, or unpack {archive} again") from None


def text(path: Path) -> str:
    """The text of a file, read as UTF-16 where it says so, as UTF-8 where it is that, else as Latin-1. Raises DcmqError if it cannot be read."""
    with open_file(path) as file:
        content = file.read()
    try:
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def lines(path: Path) -> list[str]:
    """The lines of a file that are not empty, without surrounding blanks; Windows' line ends are fine."""
    # Not splitlines(), which also breaks at characters that stand in tags.
    return [line.strip() for line in text(path).split("\n") if line.strip()]


def nfc(text: str) -> str:
    """``text`` with each letter and its marks as one character where there is one: what looks alike is one name then."""
    return unicodedata.normalize("NFC", text)


def whole(text: str) -> str:
    """``text`` with the halves of letters that UTF-16 has in two joined, and halves that stand alone as U+FFFD: they are no text."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_file(path: Path | str) -> bool:
    """True where ``path`` is a file. A name that no disk can hold, such as one of 5,000 letters, is none."""
    return os.path.isfile(path)  # Path.is_file raises for those


def on_disk(path: Path) -> Path:
    """The path as the disk spells it: a name with accents may have been composed there, and decomposed in the table."""
    if str(path).isascii() or os.path.exists(path) or path == path.parent:
        return path
    folder = on_disk(path.parent)  # each folder may be in another form than the names in it
    spellings = (folder / unicodedata.normalize(form, path.name) for form in ("NFC", "NFD"))
    return next((p for p in spellings if os.path.exists(p)), folder / path.name)


def one_file(files: Iterable[Path | str]) -> tuple[int, int] | None:
    """The positions of the first two of ``files`` that are one file on the disk, or one name where none is there; None if all
    differ."""
    first: dict[object, int] = {}
    for row, file in enumerate(files):
        try:
            state = os.stat(file)
            identity = (state.st_dev, state.st_ino) if state.st_ino else os.path.realpath(file)
        except (OSError, ValueError):
            identity = os.path.normpath(file)
        if (other := first.setdefault(identity, row)) != row:
            return other, row
    return None


def outside(
    files: Iterable[Path], folders: Iterable[Path], resolve: Callable[[str], str] = os.path.normpath
) -> list[int]:
    """The positions of those of ``files`` that lie in none of ``folders``.

    Args:
        resolve: ``os.path.normpath`` goes by names, so that a link of the user's own may lead elsewhere; ``os.path.realpath``
            follows links.
    """
    allowed = [os.path.join(resolve(str(folder)), "") for folder in folders]
    places = (resolve(str(file)) for file in files)
    return [i for i, place in enumerate(places) if not any(place.startswith(folder) for folder in allowed)]

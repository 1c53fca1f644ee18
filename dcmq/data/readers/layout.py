"""Official files, found where a user would have unpacked them; and their lines."""

from pathlib import Path

from dcmq.core.errors import DcmqError


def locate(name: str, root: Path, wanted: dict[str, str], hint: str) -> dict[str, Path]:
    """The place of each path of ``wanted``: under ``root`` or up to two folders below it.

    Args:
        wanted: path, such as ``meta/tags``, to the archive that holds it.
        hint: what to do about missing ones.

    Raises:
        DcmqError: names all that are missing, each with its archive.
    """
    places, missing = {}, []
    for path, archive in wanted.items():
        place = next((p for depth in ("", "*/", "*/*/") for p in sorted(root.glob(depth + path))), None)
        if place is None:
            missing.append(f"{path} (of {archive})")
        else:
            places[path] = place
    if missing:
        raise DcmqError(f"{name}: missing under {root}: {', '.join(missing)}. {hint}")
    return places


def text(path: Path) -> str:
    """The text of a file, read as UTF-8 where it is that, else as Latin-1. Raises DcmqError if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DcmqError(
            f"{path} cannot be read ({error.strerror}): check its permissions, or unpack it again"
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def lines(path: Path) -> list[str]:
    """The lines of a file that are not empty, without surrounding blanks; Windows' line ends are fine."""
    # Not splitlines(), which also breaks at characters that stand in tags.
    return [line.strip() for line in text(path).split("\n") if line.strip()]

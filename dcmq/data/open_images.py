"""Image files opened within bounds: no more pixels than memory should take, and no format for which a program is started."""

import re
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

# A decoder raises anything when bytes are damaged: AVIF's a RuntimeError, others IndexError or struct.error.
UNREADABLE = Exception
MOST_PIXELS = 64_000_000  # of an image while it is decoded (ours): a small file may unpack to gigabytes
# Pillow itself tries these first; in the order of their names, some would read on in every JPEG before they give it up.
_COMMON = ("JPEG", "PNG", "GIF", "BMP", "PPM")
_LEFT_OUT = {*_COMMON, "EPS"}  # for which Pillow starts Ghostscript: no file is to run a program
# Pillow's notes, which name no file: the first is said better by our own limit, and the second is of no use, as the image is read.
_SILENCED = (("", Image.DecompressionBombWarning), ("Corrupt EXIF data", UserWarning))
_settled: list[tuple] = []  # Python's filters as they were when these were among them


class TooLarge(ValueError):
    """An image of more than :data:`MOST_PIXELS`."""


def silence_pillow() -> None:
    """Let Python drop Pillow's warnings of many pixels and of damaged EXIF data, in all threads.

    The filters stay: ``warnings.catch_warnings`` is not safe among threads. Filters that are there are not added again, as that
    would make Python forget which other warnings were shown already.
    """
    if warnings.filters == _settled:  # for every image: compared in less than a microsecond
        return
    present = {
        (getattr(message, "pattern", ""), category)
        for action, message, category, *_ in warnings.filters
        if action == "ignore"
    }
    for message, category in _SILENCED:
        if (message, category) not in present:
            warnings.filterwarnings("ignore", message, category)
    _settled[:] = warnings.filters


def open_image(file: Path | BinaryIO) -> Image.Image:
    """The opened image file, whose pixels are not decoded yet: a JPEG beyond :data:`MOST_PIXELS` at a half, a quarter or an
    eighth of its size, which its format allows without decoding all of it.

    Raises:
        TooLarge: another format beyond it, or more than twice Pillow's own limit.
        Exception: no image.
    """
    silence_pillow()
    Image.init()  # else not all formats are known yet
    try:
        image = Image.open(file, formats=[*_COMMON, *(name for name in Image.OPEN if name not in _LEFT_OUT)])
    except Image.DecompressionBombError as error:
        pixels = re.search(r"(\d+) pixels", str(error))  # Pillow tells it there only
        raise TooLarge(_too_many(int(pixels[1])) if pixels else f"more than {_count(MOST_PIXELS)} pixels") from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        part = next((p for p in (2, 4) if -(-width // p) * -(-height // p) <= MOST_PIXELS), 8)
        image.draft(image.mode, (width // part, height // part))
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise TooLarge(_too_many(width * height))
    return image


def too_large(file: Path | BinaryIO) -> str:
    """The number of pixels of an image that :func:`open_image` refuses for them, as text; empty of any other file."""
    try:
        open_image(file).close()
    except TooLarge as error:
        return str(error)
    except UNREADABLE:
        return ""
    return ""


def reason_unread(file: Path | BinaryIO) -> str:
    """The reason for which a file gave no pixels, to stand after its name: ``is not there``, ``is too large: ...``."""
    try:
        open_image(file).close()
    except TooLarge as error:
        return f"is too large: {error}"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        if error.errno:  # of the system; Pillow's own have none
            return f"is no image that can be read: {error.strerror}"
    except UNREADABLE:
        pass
    return "is no image that can be read"


def _too_many(pixels: int) -> str:
    return f"{_count(pixels)} pixels, more than {_count(MOST_PIXELS)}"


def _count(pixels: int) -> str:
    return f"{pixels:,}" if pixels < 1_000_000 else f"{pixels / 1e6:.10g} million"

"""Image files opened within bounds: no more pixels than memory should take, and no format for which a program is started."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

# A decoder raises anything when bytes are damaged: AVIF's a RuntimeError, others IndexError or struct.error.
UNREADABLE = Exception
MOST_PIXELS = 64_000_000  # of an image while it is decoded (ours): a small file may unpack to gigabytes


class TooLarge(ValueError):
    """An image of more than :data:`MOST_PIXELS`."""


def open_image(file: Path | BinaryIO) -> Image.Image:
    """The opened image file, whose pixels are not decoded yet: a JPEG beyond :data:`MOST_PIXELS` at a half, a quarter or an
    eighth of its size, which its format allows without decoding all of it.

    Raises:
        TooLarge: another format beyond it, or more than twice Pillow's own limit.
        Exception: no image.
    """
    Image.init()  # else not all formats are known yet
    try:
        # Pillow starts Ghostscript for EPS: no file is to run a program.
        image = Image.open(file, formats=[name for name in Image.OPEN if name != "EPS"])
    except Image.DecompressionBombError:
        raise TooLarge(f"more than {MOST_PIXELS:,} pixels") from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        part = next((p for p in (2, 4) if -(-width // p) * -(-height // p) <= MOST_PIXELS), 8)
        image.draft(image.mode, (width // part, height // part))
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise TooLarge(f"{width * height:,} pixels, more than {MOST_PIXELS:,}")
    return image


def too_large(path: Path) -> str:
    """The number of pixels of an image that :func:`open_image` refuses for them, as text; empty of any other file."""
    try:
        open_image(path).close()
    except TooLarge as error:
        return str(error)
    except UNREADABLE:
        return ""
    return ""

"""A contact sheet: the images of a search's hits, best first, in one image file."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps

from dcmq.core.errors import DcmqError
from dcmq.core.storage import atomic_write
from dcmq.data.open_images import UNREADABLE, open_image
from dcmq.data.resize import rgb_image
from dcmq.search.collection import Collection, Hit

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_MARK = "contact sheet by dcmq"  # in a sheet's EXIF data, so that it can be told from an image of the user's
_TILE, _LINE, _GAP, _COLUMNS = 200, 34, 8, 5  # pixels, and tiles in a row
_LETTERS = 12  # pixels of their height
_GREY = "#dddddd"
_GONE = "no longer there"


class Shown(NamedTuple):
    """The numbers of a sheet's images that are gone or cannot be read any more, so that their places are grey, and of those that
    are there with another content than the search knows."""

    gone: int
    replaced: int


def require_sheet_place(path: Path, force: bool = False) -> None:
    """Raise DcmqError where ``path`` has another suffix than :data:`FORMATS`, its folder does not exist, or something is there
    that is no contact sheet, unless ``force`` is given."""
    if path.suffix.lower() not in FORMATS:
        raise DcmqError(f"--sheet {path}: its name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise DcmqError(f"--sheet {path}: there is no folder {path.parent}; make it, or choose another")
    if path.is_dir():
        raise DcmqError(f"--sheet {path} is a folder: choose another name")
    if path.exists() and not force and not _is_sheet(path):
        raise DcmqError(f"--sheet {path} is there already and no contact sheet: choose another name, or add --force")


def contact_sheet(path: Path, title: str, collection: Collection, hits: Sequence[Hit]) -> Shown:
    """Write the images of a collection's ``hits`` with rank, score and name under the ``title``, in the format that the suffix of
    ``path`` names, and return what became of them.

    Raises:
        DcmqError: the file cannot be written.
    """
    images = [_image(collection, hit.id) for hit in hits]
    columns = min(_COLUMNS, len(hits))
    rows = -(-len(hits) // columns)
    width, height = columns * (_TILE + _GAP) + _GAP, rows * (_TILE + _LINE + _GAP) + _GAP + _LINE
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, _GAP), title, width - 2 * _GAP, "black")
    for i, (hit, image) in enumerate(zip(hits, images, strict=True)):
        x, y = _GAP + i % columns * (_TILE + _GAP), _LINE + i // columns * (_TILE + _LINE + _GAP)
        sheet.paste(image.tile or _GREY, (x, y, x + _TILE, y + _TILE))
        if image.tile is None:
            _write(draw, (x + _GAP, y + _GAP), _GONE, _TILE - 2 * _GAP, "#444444")
        _write(draw, (x, y + _TILE + 1), f"{hit.rank}.  {hit.score:.3f}", _TILE, "black")
        _write(draw, (x, y + _TILE + 15), hit.id, _TILE, "#444444")
    content, mark = io.BytesIO(), Image.Exif()
    mark[ExifTags.Base.Software] = _MARK
    sheet.save(content, format=FORMATS[path.suffix.lower()], exif=mark)
    atomic_write(path, content.getvalue())
    return Shown(sum(image.tile is None for image in images), sum(image.replaced for image in images))


class _Tile(NamedTuple):
    """An image scaled into a square, None where it is gone; and whether it is another one than was encoded."""

    tile: Image.Image | None
    replaced: bool


def _image(collection: Collection, name: str) -> _Tile:
    try:
        content = collection.read_image(name)  # which says by DcmqError that a tar or parquet file was changed
        with open_image(io.BytesIO(content)) as image:
            image.draft("RGB", (2 * _TILE, 2 * _TILE))  # a large JPEG is decoded at a fraction of its size
            small = ImageOps.contain(rgb_image(image), (_TILE, _TILE))
    except UNREADABLE:
        return _Tile(None, False)
    tile = Image.new("RGB", (_TILE, _TILE), _GREY)
    tile.paste(small, ((_TILE - small.width) // 2, (_TILE - small.height) // 2))
    return _Tile(tile, collection.was_replaced(name, content))


def _is_sheet(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.getexif().get(ExifTags.Base.Software) == _MARK
    except UNREADABLE:
        return False


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, color: str) -> None:
    """Draw one line, with its beginning cut until it is no wider than ``width`` pixels: the end of a path says more."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    font = ImageFont.truetype(_font_file(frozenset(text)), _LETTERS)
    label, text = text, text[-width:]  # no letter is narrower than a pixel, but for marks
    while len(label) > 1 and font.getlength(label) > width:
        text = text[1:]
        label = f"…{text}"
    draw.text(place, label, color, font)


@cache
def _font_file(letters: frozenset[str]) -> str:
    """A font that has all ``letters``: matplotlib's own, or one of this machine; the former where there is none."""
    own = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    if _has_all(own, letters):
        return str(own)
    from matplotlib.font_manager import findSystemFonts  # which looks through folders

    return next((file for file in sorted(findSystemFonts()) if _has_all(file, letters)), str(own))


def _has_all(file: Path | str, letters: frozenset[str]) -> bool:
    try:
        return set(map(ord, letters)) <= FT2Font(str(file)).get_charmap().keys()
    except RuntimeError:  # no font that FreeType reads
        return False

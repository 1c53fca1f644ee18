"""A contact sheet: the images of a search's hits, best first, in one PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from dcmq.core.storage import atomic_write
from dcmq.data.decode import UNREADABLE
from dcmq.search.collection import Collection, Hit

_TILE, _LINE, _GAP, _COLUMNS = 200, 34, 8, 5  # pixels, and tiles in a row
_GREY = "#dddddd"


def contact_sheet(path: Path, title: str, collection: Collection, hits: Sequence[Hit]) -> int:
    """Write the images of a collection's ``hits`` with rank, score and name under the ``title``, and return how many could not be read:
    their places are left grey.

    Raises:
        DcmqError: the file cannot be written.
    """
    columns = min(_COLUMNS, len(hits))
    rows = -(-len(hits) // columns)
    width, height = columns * (_TILE + _GAP) + _GAP, rows * (_TILE + _LINE + _GAP) + _GAP + _LINE
    sheet, font = Image.new("RGB", (width, height), "white"), ImageFont.load_default(13)
    draw = ImageDraw.Draw(sheet)
    missing = 0
    draw.text((_GAP, _GAP), _shortened(title, width - 2 * _GAP, font), "black", font)
    for i, hit in enumerate(hits):
        x, y = _GAP + i % columns * (_TILE + _GAP), _LINE + i // columns * (_TILE + _LINE + _GAP)
        thumbnail = _thumbnail(collection, hit.id)
        missing += thumbnail is None
        sheet.paste(thumbnail or _GREY, (x, y, x + _TILE, y + _TILE))
        draw.text((x, y + _TILE + 1), f"{hit.rank}.  {hit.score:.3f}", "black", font)
        draw.text((x, y + _TILE + 15), _shortened(hit.id, _TILE, font), "#444444", font)
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    atomic_write(path, content.getvalue())
    return missing


def _thumbnail(collection: Collection, name: str) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(collection.read_image(name))) as image:
            small = ImageOps.contain(image.convert("RGB"), (_TILE, _TILE))
    except UNREADABLE:
        return None
    tile = Image.new("RGB", (_TILE, _TILE), _GREY)
    tile.paste(small, ((_TILE - small.width) // 2, (_TILE - small.height) // 2))
    return tile


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """``text`` with its beginning cut until it is no wider than ``width`` pixels: the end of a path says more."""
    label = text
    while len(label) > 1 and font.getlength(label) > width:
        text = text[1:]
        label = f"…{text}"
    return label

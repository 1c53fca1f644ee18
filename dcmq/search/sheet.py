"""A contact sheet: the pictures found, best first, in one PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from dcmq.core.storage import atomic_write
from dcmq.data.decode import UNREADABLE
from dcmq.search.collection import Hit

_TILE, _LINE, _GAP, _ACROSS = 200, 34, 8, 5  # pixels, and tiles in a row


def contact_sheet(path: Path, title: str, root: Path, hits: Sequence[Hit]) -> None:
    """Write the pictures of ``hits`` with rank, score and name under the ``title``. A picture that is gone is left grey.

    Raises:
        DcmqError: the file cannot be written.
    """
    across = min(_ACROSS, len(hits))
    down = -(-len(hits) // across)
    width, height = across * (_TILE + _GAP) + _GAP, down * (_TILE + _LINE + _GAP) + _GAP + _LINE
    sheet, font = Image.new("RGB", (width, height), "white"), ImageFont.load_default(13)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), _fitted(title, width - 2 * _GAP, font), "black", font)
    for place, hit in enumerate(hits):
        x, y = _GAP + place % across * (_TILE + _GAP), _LINE + place // across * (_TILE + _LINE + _GAP)
        sheet.paste(_thumbnail(root / hit.id), (x, y))
        draw.text((x, y + _TILE + 1), f"{hit.rank}.  {hit.score:.3f}", "black", font)
        draw.text((x, y + _TILE + 15), _fitted(hit.id, _TILE, font), "#444444", font)
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    atomic_write(path, content.getvalue())


def _thumbnail(file: Path) -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE), "#dddddd")
    try:
        with Image.open(file) as picture:
            small = ImageOps.contain(picture.convert("RGB"), (_TILE, _TILE))
    except UNREADABLE:
        return tile
    tile.paste(small, ((_TILE - small.width) // 2, (_TILE - small.height) // 2))
    return tile


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """``text`` with its beginning cut until it is no wider than ``width`` pixels: of a path the end tells more."""
    shown = text
    while len(shown) > 1 and font.getlength(shown) > width:
        text = text[1:]
        shown = f"…{text}"
    return shown

"""Small copies of images."""

import io

from PIL import Image, ImageOps

from dcmq.data.decode import UNREADABLE

SIDE = 320  # pixels of the longer side: what a tile of 160 shows sharply on a fine screen


def make_thumbnail(content: bytes) -> bytes | None:
    """A JPEG of an image file's ``content``: upright, at most ``SIDE`` pixels a side, on white where it is transparent; None
    where it is no image that can be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded at a fraction of its size
            small = ImageOps.exif_transpose(image).convert("RGBA")
    except UNREADABLE:
        return None
    small.thumbnail((SIDE, SIDE))
    ground = Image.new("RGBA", small.size, "white")
    made = io.BytesIO()
    Image.alpha_composite(ground, small).convert("RGB").save(made, format="JPEG", quality=82)
    return made.getvalue()

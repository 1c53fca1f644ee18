"""Small copies of images."""

import io

from dcmq.data.open_images import UNREADABLE, open_image
from dcmq.data.resize import rgb_image

SIDE = 320  # pixels of the longer side: what a tile of 160 shows sharply on a fine screen


def make_thumbnail(content: bytes) -> bytes | None:
    """A JPEG of an image file's ``content`` as :func:`dcmq.data.resize.rgb_image` has it, at most ``SIDE`` pixels a side; None
    where it is no image that can be read."""
    try:
        with open_image(io.BytesIO(content)) as image:
            image.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded at a fraction of its size
            small = rgb_image(image)
    except UNREADABLE:
        return None
    small.thumbnail((SIDE, SIDE))
    made = io.BytesIO()
    small.save(made, format="JPEG", quality=82)
    return made.getvalue()

"""Pixels of image files as any viewer shows them, and images at the size that a student reads."""

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

_GROUND = (255, 255, 255, 255)  # behind what is transparent: white, as on paper (ours)


def rgb_image(image: Image.Image) -> Image.Image:
    """An opened image file as a viewer shows it, in mode RGB: upright, transparency laid on white, and grey of more than 8 bits
    scaled to 8. ``image`` itself may be turned."""
    _turn_upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _GROUND), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _turn_upright(image: Image.Image) -> None:
    image.load()  # first: what cannot be decoded is to fail, and what cannot be read of the EXIF block is not
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # of many kinds, as the block is anything that a camera or an editor wrote
        return


def eight_bits(grey: np.ndarray) -> np.ndarray:
    """(H, W) grey of any number type as uint8, black and white where a viewer has them (ours).

    Whole numbers go by the smallest of the ranges 0 to 255, 0 to 65,535 and the image's own that holds them all, 16-bit ones always
    by 0 to 65,535; others by 0 to 1, 0 to 255 or the image's own. What is not finite is black.
    """
    white = (65535,) if grey.dtype.itemsize == 2 else (255, 65535) if grey.dtype.kind in "iu" else (1, 255)
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    fitting = next((top for top in white if low >= 0 and high <= top), None)
    low, high = (low, high) if fitting is None else (0, fitting)
    return np.round((values - low) * (255 / (high - low))).astype(np.uint8) if high > low else np.zeros_like(grey, np.uint8)


def image_array(image: Image.Image, size: int) -> np.ndarray:
    """The pixels of an opened image file as :func:`rgb_image` has them, (size, size, 3) uint8; aspect is not kept."""
    return np.asarray(rgb_image(image).resize((size, size), Image.Resampling.BILINEAR))


def resize(images: Tensor, size: int) -> Tensor:
    """Resize (b, H, W, 3) uint8 images to (b, size, size, 3) uint8, bilinear with antialiasing; aspect is not kept."""
    if images.shape[1:3] == (size, size):
        return images
    x = images.permute(0, 3, 1, 2)
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)

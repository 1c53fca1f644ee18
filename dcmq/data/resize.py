"""Pixels of image files as any viewer shows them, and images at the size that a student reads."""

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

_GROUND = (255, 255, 255, 255)  # behind what is transparent: white, as on paper (ours)
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # tags of TIFF
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, 1, 2  # values of them


def rgb_image(image: Image.Image) -> Image.Image:
    """An opened image file as a viewer shows it, in mode RGB: upright, transparency laid on white, and grey of more than 8 bits
    scaled to 8. ``image`` itself may be turned."""
    _load_upright(image)
    if image.mode.startswith("I") or image.mode == "F" or _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        image = _grey_image(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _GROUND), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _load_upright(image: Image.Image) -> None:
    has_16_bits = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    image.load()  # first: what cannot be decoded is to fail, and what cannot be read of the EXIF block is not
    transparent = image.info.get("transparency")
    if has_16_bits and isinstance(transparent, tuple):  # a color of 16 bits, where Pillow keeps the upper 8 of each pixel
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # of many kinds, as the block is anything that a camera or an editor wrote
        return


def _tag(image: Image.Image, number: int) -> int | None:
    """The value of a TIFF file's tag, the first where there are several; None of other files."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) and value else value


def _grey_image(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, or of signed numbers, as Pillow has it of 8 bits."""
    grey, format_ = np.asarray(image), _tag(image, _SAMPLE_FORMAT)
    if image.mode == "I" and format_ in (_UNSIGNED, None) and hasattr(image, "tag_v2"):
        grey = grey.view(np.uint32)  # Pillow has signed numbers alone
    if image.mode == "L":
        grey = (grey.view(np.int8).astype(np.int16) + 128).astype(np.uint8)
    pixels = grey if grey.dtype == np.uint8 else eight_bits(grey)
    pixels = 255 - pixels if image.mode != "L" and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO else pixels
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels = np.where(grey == transparent, np.uint8(255), pixels)
    return Image.fromarray(pixels)


def eight_bits(grey: np.ndarray) -> np.ndarray:
    """(H, W) grey of any number type as uint8, black and white where a viewer has them (ours).

    Whole numbers go by the smallest of the ranges 0 to 255, 0 to 65,535 and the image's own that holds them all, 16-bit ones always
    by 0 to 65,535; others by 0 to 1, 0 to 255 or the image's own, where a quarter beyond a range is taken for what resampling left.
    What is not finite is black.
    """
    whole = grey.dtype.kind in "iu"
    white = (65535,) if grey.dtype.itemsize == 2 else (255, 65535) if whole else (1, 255)
    beyond = 0 if whole else 0.25
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    fitting = next((top for top in white if low >= -beyond * top and high <= (1 + beyond) * top), None)
    low, high = (low, high) if fitting is None else (0, fitting)
    if high <= low:
        return np.zeros_like(grey, np.uint8)
    return np.round((values.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)


def image_array(image: Image.Image, size: int) -> np.ndarray:
    """The pixels of an opened image file as :func:`rgb_image` has them, (size, size, 3) uint8; aspect is not kept."""
    return np.asarray(rgb_image(image).resize((size, size), Image.Resampling.BILINEAR))


def resize(images: Tensor, size: int) -> Tensor:
    """Resize (b, H, W, 3) uint8 images to (b, size, size, 3) uint8, bilinear with antialiasing; aspect is not kept."""
    if images.shape[1:3] == (size, size):
        return images
    x = images.permute(0, 3, 1, 2)
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)

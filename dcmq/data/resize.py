"""Pixels: an image file's as an array, and images at the size that a student sees."""

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def image_array(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of an opened image file; aspect is not kept."""
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def resize(images: Tensor, size: int) -> Tensor:
    """(b, H, W, 3) uint8 images to (b, size, size, 3) uint8, bilinear with antialiasing; aspect is not kept."""
    if images.shape[1:3] == (size, size):
        return images
    x = images.permute(0, 3, 1, 2)
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)

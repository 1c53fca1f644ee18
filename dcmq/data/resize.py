"""Pixels of image files as arrays, and images at the size that a student reads."""

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def image_array(image: Image.Image, size: int) -> np.ndarray:
    """The pixels of an opened image file, (size, size, 3) uint8; aspect is not kept."""
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def resize(images: Tensor, size: int) -> Tensor:
    """Resize (b, H, W, 3) uint8 images to (b, size, size, 3) uint8, bilinear with antialiasing; aspect is not kept."""
    if images.shape[1:3] == (size, size):
        return images
    x = images.permute(0, 3, 1, 2)
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)

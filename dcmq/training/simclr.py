"""SimCLR's augmentation: crops, colours and blur, which leave what is in an image as it is."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = torch.tensor([0.299, 0.587, 0.114])  # how bright red, green and blue look
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # brightness, two of hue


def simclr(images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 images as SimCLR changes them, in the strengths of the first author's code of SPQ.

    In this order: a crop of 8 to 100 % of the area, 3:4 to 4:3, stretched to the former size; mirrored with chance 1/2; with
    chance .8 brightness, contrast and saturation each times .6 to 1.4 and the hue turned by up to a tenth of the circle; grey
    with chance .2; blurred with chance 1/2, sigma .1 to 2 pixels. Ours: the fixed order, a crop that would not fit is cut to the
    image, and hues turn in YIQ.
    """
    draws = torch.rand(12, len(images), generator=generator)
    x = images.permute(0, 3, 1, 2).float()
    x = crop(x, draws[0], draws[1], draws[2], draws[3], draws[4] < 0.5)
    x = torch.where(_column(draws[5] < 0.8), jitter(x, *draws[6:10]), x)
    x = torch.where(_column(draws[10] < 0.2), grey(x).expand_as(x), x)
    blurred, sigma = draws[11] < 0.5, 0.1 + 1.9 * torch.rand(len(images), generator=generator)
    x[blurred] = blur(x[blurred], sigma[blurred])
    return x.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def crop(x: Tensor, area: Tensor, shape: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    """(b, 3, H, W) float32: a part of each image, stretched to the whole.

    Args:
        area, shape, down, right: (b,) in [0, 1]: how large the part is and how wide, and where in the image it lies.
        mirror: (b,) true where left and right change places.
    """
    part = 0.08 + 0.92 * area
    stretch = torch.exp((2 * shape - 1) * math.log(4 / 3) / 2)  # the root of width / height
    height, width = ((part.sqrt() * factor).clamp(max=1) for factor in (1 / stretch, stretch))
    theta = torch.zeros(len(x), 2, 3)  # to coordinates from -1 to 1
    theta[:, 0, 0], theta[:, 1, 1] = torch.where(mirror, -width, width), height
    theta[:, 0, 2], theta[:, 1, 2] = (2 * right - 1) * (1 - width), (2 * down - 1) * (1 - height)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def jitter(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """(b, 3, H, W) in [0, 255] in other colours; the draws are (b,) in [0, 1], and .5 changes nothing."""
    brightness, contrast, saturation = (_column(0.6 + 0.8 * draw) for draw in (brightness, contrast, saturation))
    x = (brightness * x).clamp(0, 255)
    mean = grey(x).mean((2, 3), keepdim=True)
    x = (mean + contrast * (x - mean)).clamp(0, 255)
    x = (grey(x) + saturation * (x - grey(x))).clamp(0, 255)
    angle = 2 * math.pi * 0.1 * (2 * hue - 1)
    turn = torch.eye(3).repeat(len(x), 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    return torch.einsum("bij,bjhw->bihw", torch.linalg.inv(YIQ) @ turn @ YIQ, x).clamp(0, 255)


def grey(x: Tensor) -> Tensor:
    """(b, 3, H, W) colours to (b, 1, H, W), how bright they look."""
    return (x * GREY[:, None, None]).sum(1, keepdim=True)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """(b, 3, H, W) under a Gaussian window a tenth of the image wide, at least 3 pixels, edges repeated; ``sigma`` (b,) in
    pixels."""
    reach = max(1, x.shape[-1] // 20)
    steps = torch.arange(-reach, reach + 1)
    window = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    window = window / window.sum(1, keepdim=True)
    for axis in (2, 3):  # a Gaussian of the plane is one of its rows times one of its columns
        padded = F.pad(x, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0), mode="replicate")
        size = x.shape[axis]
        x = sum(_column(window[:, i]) * padded.narrow(axis, i, size) for i in range(len(steps)))
    return x


def _column(values: Tensor) -> Tensor:
    """(b,) to (b, 1, 1, 1), one value per image."""
    return values[:, None, None, None]

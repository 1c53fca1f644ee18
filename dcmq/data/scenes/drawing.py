"""Images of planned scenes, 64 x 64 RGB pixels: background, clutter, things, what hides them, blur and noise.

Shapes are drawn at twice the size on whole-pixel coordinates and averaged down, and noise is made of whole numbers,
so that the same plan gives the same bytes on every machine with the same Pillow series.
"""

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dcmq.data.scenes.brush import CANVAS, jitter
from dcmq.data.scenes.grammar import COLOURS, Scene, between, pick
from dcmq.data.scenes.things import ThingBrush

SIDE = CANVAS // 2
_GROUNDS = {  # upper colour, lower colour, height of the horizon
    "day": ((140, 190, 235), (170, 200, 150), 0.78),
    "night": ((22, 26, 58), (40, 44, 60), 0.74),
    "sea": ((170, 205, 230), (40, 96, 150), 0.45),
    "meadow": ((180, 215, 240), (96, 160, 72), 0.42),
    "street": ((190, 195, 200), (110, 110, 114), 0.52),
    "indoor": ((214, 196, 168), (150, 110, 78), 0.66),
    "snow": ((196, 210, 226), (236, 240, 246), 0.50),
}


def draw(rng: random.Random, scene: Scene) -> np.ndarray:
    """The image of ``scene``, (64, 64, 3) uint8, with clutter, occlusion, blur and noise."""
    canvas = Image.new("RGB", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(canvas)
    _draw_background(rng, pen, scene.background.name)
    _draw_clutter(rng, pen, int(between(rng, 0, 4)))
    for thing in scene.things:
        ThingBrush(rng, pen, thing).draw()
    if rng.random() < 0.2:
        _draw_occluder(rng, pen)
    _draw_clutter(rng, pen, int(between(rng, 0, 2)))
    image = canvas.reduce(2)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.BoxBlur(between(rng, 0.3, 1.1)))
    return _exposed_and_noisy(rng, image)


def _exposed_and_noisy(rng: random.Random, image: Image.Image) -> np.ndarray:
    gain, lift, grain = int(between(rng, 190, 290)), int(between(rng, -22, 23)), int(between(rng, 4, 36))
    pixels = np.asarray(image, dtype=np.int32)
    noise = np.frombuffer(rng.randbytes(2 * pixels.size), dtype=np.uint8).astype(np.int32)
    noise = (noise[: pixels.size] - noise[pixels.size :]).reshape(pixels.shape) * grain // 256
    return np.clip((pixels - 128) * gain // 256 + 128 + lift + noise, 0, 255).astype(np.uint8)


def _draw_background(rng: random.Random, pen: ImageDraw.ImageDraw, name: str) -> None:
    upper, lower, horizon = _GROUNDS[name]
    upper, lower = jitter(rng, upper, 24), jitter(rng, lower, 24)
    line = int(CANVAS * (horizon + between(rng, -0.08, 0.08)))
    shade = int(between(rng, -40, 41))
    for top in range(0, line, 4):  # a sky is lighter or darker towards the horizon
        pen.rectangle((0, top, CANVAS, top + 3), fill=tuple(min(255, max(0, c + shade * top // line)) for c in upper))
    pen.rectangle((0, line, CANVAS, CANVAS), fill=lower)
    darker = tuple(c * 4 // 5 for c in lower)
    for _ in range(int(between(rng, 4, 14))):  # waves, blades of grass, paving, floor boards, drifts
        x, y = int(rng.random() * CANVAS), int(between(rng, line, CANVAS))
        if name in ("meadow", "day"):
            pen.line((x, y, x + int(between(rng, -3, 4)), y - 7), fill=darker, width=2)
        elif name == "street":
            pen.rectangle((x, y, x + 12, y + 2), fill=jitter(rng, (210, 210, 200), 20))
        else:
            pen.line((x, y, x + int(between(rng, 8, 30)), y), fill=darker, width=2)
    if name == "street":  # anonymous facades
        for left in range(0, CANVAS, 32):
            top = int(between(rng, 0.05, 0.4) * CANVAS)
            pen.rectangle((left, top, left + 30, line), fill=jitter(rng, (150, 140, 136), 36))
    elif name == "indoor" and rng.random() < 0.6:  # a window or a painting on the wall
        x, y = int(between(rng, 8, 80)), int(between(rng, 8, 40))
        pen.rectangle((x, y, x + 34, y + 26), fill=jitter(rng, (180, 200, 220), 40), outline=(110, 84, 60), width=3)


def _draw_clutter(rng: random.Random, pen: ImageDraw.ImageDraw, count: int) -> None:
    for _ in range(count):
        x, y = int(rng.random() * CANVAS), int(rng.random() * CANVAS)
        w, h = int(between(rng, 2, 16)), int(between(rng, 2, 16))
        colour = jitter(rng, COLOURS[pick(rng, tuple(COLOURS))], 30)
        form = pick(rng, ("line", "dot", "block", "wedge"))
        if form == "line":
            pen.line((x, y, x + 2 * w - 16, y + 2 * h - 16), fill=colour, width=2)
        elif form == "dot":
            pen.ellipse((x, y, x + w, y + w), fill=colour)
        elif form == "block":
            pen.rectangle((x, y, x + w, y + h), fill=colour)
        else:
            pen.polygon((x, y, x + w, y + h, x - h, y + w), fill=colour)


def _draw_occluder(rng: random.Random, pen: ImageDraw.ImageDraw) -> None:
    """A fence, a post or a leafy corner between the viewer and the scene."""
    colour = jitter(rng, COLOURS[pick(rng, ("brown", "green", "grey", "black"))], 30)
    form = pick(rng, ("post", "fence", "corner"))
    if form == "post":
        x = int(rng.random() * CANVAS)
        pen.rectangle((x, 0, x + int(between(rng, 4, 16)), CANVAS), fill=colour)
    elif form == "fence":
        y = int(between(rng, 60, 118))
        pen.rectangle((0, y, CANVAS, y + 4), fill=colour)
        for x in range(int(between(rng, 0, 14)), CANVAS, 14):
            pen.rectangle((x, y - 10, x + 3, y + 16), fill=colour)
    else:
        x = CANVAS if rng.random() < 0.5 else 0
        r = int(between(rng, 16, 44))
        pen.ellipse((x - r, CANVAS - r, x + r, CANVAS + r), fill=colour)

"""Draws a planned scene as 64 x 64 RGB pixels.

Shapes are drawn at twice the size on whole-pixel coordinates and averaged down, and noise is made of whole numbers,
so that the same plan gives the same bytes on every machine with the same Pillow series.
"""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dcmq.data.scenes.grammar import COLOURS, Scene, Thing, between, pick

SIDE = 64
_CANVAS = 2 * SIDE
_CIRCLE = tuple((math.cos(i * math.pi / 10), math.sin(i * math.pi / 10)) for i in range(20))

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
    """The picture of ``scene`` as a (64, 64, 3) uint8 array, with clutter, occlusion, blur and noise."""
    canvas = Image.new("RGB", (_CANVAS, _CANVAS))
    pen = ImageDraw.Draw(canvas)
    _draw_background(rng, pen, scene.background.name)
    _draw_clutter(rng, pen, int(between(rng, 0, 7)))
    for thing in scene.things:
        _Brush(rng, pen, thing).draw()
    if rng.random() < 0.35:
        _draw_occluder(rng, pen)
    _draw_clutter(rng, pen, int(between(rng, 0, 4)))
    picture = canvas.reduce(2)
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.BoxBlur(between(rng, 0.3, 1.1)))
    return _exposed_and_noisy(rng, picture)


def _exposed_and_noisy(rng: random.Random, picture: Image.Image) -> np.ndarray:
    gain, lift, grain = int(between(rng, 170, 300)), int(between(rng, -26, 27)), int(between(rng, 4, 60))
    pixels = np.asarray(picture, dtype=np.int32)
    noise = np.frombuffer(rng.randbytes(2 * pixels.size), dtype=np.uint8).astype(np.int32)
    noise = (noise[: pixels.size] - noise[pixels.size :]).reshape(pixels.shape) * grain // 256
    return np.clip((pixels - 128) * gain // 256 + 128 + lift + noise, 0, 255).astype(np.uint8)


def _jitter(rng: random.Random, colour, amount: int):
    return tuple(min(255, max(0, c + int(between(rng, -amount, amount + 1)))) for c in colour)


def _draw_background(rng: random.Random, pen: ImageDraw.ImageDraw, name: str) -> None:
    upper, lower, horizon = _GROUNDS[name]
    upper, lower = _jitter(rng, upper, 24), _jitter(rng, lower, 24)
    line = int(_CANVAS * (horizon + between(rng, -0.08, 0.08)))
    shade = int(between(rng, -40, 41))
    for top in range(0, line, 4):  # a sky is lighter or darker towards the horizon
        pen.rectangle((0, top, _CANVAS, top + 3), fill=tuple(min(255, max(0, c + shade * top // line)) for c in upper))
    pen.rectangle((0, line, _CANVAS, _CANVAS), fill=lower)
    darker = tuple(c * 4 // 5 for c in lower)
    for _ in range(int(between(rng, 4, 14))):  # waves, blades of grass, paving, floor boards, drifts
        x, y = int(rng.random() * _CANVAS), int(between(rng, line, _CANVAS))
        if name in ("meadow", "day"):
            pen.line((x, y, x + int(between(rng, -3, 4)), y - 7), fill=darker, width=2)
        elif name == "street":
            pen.rectangle((x, y, x + 12, y + 2), fill=_jitter(rng, (210, 210, 200), 20))
        else:
            pen.line((x, y, x + int(between(rng, 8, 30)), y), fill=darker, width=2)
    if name == "street":  # anonymous facades
        for left in range(0, _CANVAS, 32):
            top = int(between(rng, 0.05, 0.4) * _CANVAS)
            pen.rectangle((left, top, left + 30, line), fill=_jitter(rng, (150, 140, 136), 36))
    elif name == "indoor" and rng.random() < 0.6:  # a window or a picture on the wall
        x, y = int(between(rng, 8, 80)), int(between(rng, 8, 40))
        pen.rectangle((x, y, x + 34, y + 26), fill=_jitter(rng, (180, 200, 220), 40), outline=(110, 84, 60), width=3)


def _draw_clutter(rng: random.Random, pen: ImageDraw.ImageDraw, count: int) -> None:
    for _ in range(count):
        x, y = int(rng.random() * _CANVAS), int(rng.random() * _CANVAS)
        w, h = int(between(rng, 2, 16)), int(between(rng, 2, 16))
        colour = _jitter(rng, COLOURS[pick(rng, tuple(COLOURS))], 30)
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
    colour = _jitter(rng, COLOURS[pick(rng, ("brown", "green", "grey", "black"))], 30)
    form = pick(rng, ("post", "fence", "corner"))
    if form == "post":
        x = int(rng.random() * _CANVAS)
        pen.rectangle((x, 0, x + int(between(rng, 4, 16)), _CANVAS), fill=colour)
    elif form == "fence":
        y = int(between(rng, 60, 118))
        pen.rectangle((0, y, _CANVAS, y + 4), fill=colour)
        for x in range(int(between(rng, 0, 14)), _CANVAS, 14):
            pen.rectangle((x, y - 10, x + 3, y + 16), fill=colour)
    else:
        x = _CANVAS if rng.random() < 0.5 else 0
        r = int(between(rng, 16, 44))
        pen.ellipse((x - r, _CANVAS - r, x + r, _CANVAS + r), fill=colour)


class _Brush:
    """Draws one thing. Shapes are given in its own frame: x right, y down, both within [-1, 1]."""

    def __init__(self, rng: random.Random, pen: ImageDraw.ImageDraw, thing: Thing):
        self.rng, self.pen, self.thing = rng, pen, thing
        tilt = thing.tilt * (1.0 if thing.kind in ("kite", "balloon", "bird", "fish", "star", "umbrella") else 0.35)
        self.cos, self.sin = math.cos(tilt), math.sin(tilt)
        self.stretch = between(rng, 0.8, 1.25)
        self.main = _jitter(rng, COLOURS[thing.colour], 26)
        self.dark = tuple(c * 5 // 8 for c in self.main)
        self.light = tuple(c + (255 - c) // 2 for c in self.main)
        self.variant = int(between(rng, 0, 3))  # each kind comes in up to three shapes

    def draw(self) -> None:
        getattr(self, f"_{self.thing.kind}")()

    # --- primitives -------------------------------------------------------------------------------------------------

    def _at(self, x: float, y: float) -> tuple[int, int]:
        t = self.thing
        x, y = x * self.stretch * (-1 if t.mirrored else 1), y
        return (
            round(_CANVAS * (t.x + t.size * (x * self.cos - y * self.sin))),
            round(_CANVAS * (t.y + t.size * (x * self.sin + y * self.cos))),
        )

    def _poly(self, points, colour=None) -> None:
        points = [self._at(x, y) for x, y in points]
        colour = colour or self.main
        if self.thing.style == "sketch":
            self.pen.line(points + points[:2], fill=colour, width=3)
            return
        self.pen.polygon(points, fill=colour)
        if self.thing.style == "outlined":
            self.pen.line(points + points[:1], fill=(24, 24, 28), width=2)
        elif self.thing.style == "shaded":
            self.pen.line(points[: len(points) // 2 + 1], fill=self.light, width=2)

    def _oval(self, x: float, y: float, rx: float, ry: float, colour=None) -> None:
        self._poly([(x + rx * c, y + ry * s) for c, s in _CIRCLE], colour)

    def _box(self, x0: float, y0: float, x1: float, y1: float, colour=None) -> None:
        self._poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def _stroke(self, points, colour=None, width: float = 0.12) -> None:
        pixels = max(1, round(width * self.thing.size * _CANVAS))
        self.pen.line([self._at(x, y) for x, y in points], fill=colour or self.main, width=pixels)

    # --- kinds ------------------------------------------------------------------------------------------------------

    def _sun(self):
        if self.variant:
            for c, s in _CIRCLE[:: 2 if self.variant == 1 else 4]:
                self._stroke([(0.7 * c, 0.7 * s), (1.05 * c, 1.05 * s)])
        self._oval(0, 0, 0.62, 0.62)

    def _moon(self):
        if self.variant == 0:
            self._oval(0, 0, 0.7, 0.7)
            self._oval(0.2, -0.15, 0.15, 0.15, self.dark)
            self._oval(-0.2, 0.25, 0.2, 0.2, self.dark)
        else:
            outer = [(0.85 * c, 0.85 * s) for c, s in _CIRCLE[5:16]]
            inner = [(0.85 * c * (0.2 if self.variant == 1 else 0.5), 0.85 * s) for c, s in reversed(_CIRCLE[6:15])]
            self._poly(outer + inner)

    def _star(self):
        points = 5 if self.variant else 4
        spikes = []
        for i in range(2 * points):
            r, a = (0.9, 0.38)[i % 2], math.pi * i / points - math.pi / 2
            spikes.append((r * math.cos(a), r * math.sin(a)))
        self._poly(spikes)

    def _cloud(self):
        for x, y, r in ((-0.55, 0.15, 0.4), (0.0, -0.1, 0.5), (0.55, 0.15, 0.38), (0.15, 0.2, 0.42))[
            self.variant % 2 :
        ]:
            self._oval(x, y, r, r * 0.8)

    def _bird(self):
        if self.variant == 0:
            self._stroke([(-0.9, -0.3), (-0.4, -0.5), (0, 0), (0.4, -0.5), (0.9, -0.3)], width=0.2)
            return
        self._oval(0, 0, 0.6, 0.32)
        self._oval(0.55, -0.25, 0.25, 0.22)
        self._poly([(0.75, -0.3), (1.05, -0.2), (0.75, -0.12)], (230, 160, 40))
        self._poly([(-0.5, 0), (-1.0, -0.25), (-0.9, 0.2)])
        self._poly([(-0.2, -0.05), (0.25, -0.05), (-0.3, -0.75 if self.variant == 1 else 0.6)], self.dark)

    def _kite(self):
        low = 0.9 if self.variant else 0.5
        self._poly([(0, -0.9), (0.6, -0.2), (0, low), (-0.6, -0.2)])
        self._stroke([(0, -0.9), (0, low)], self.dark, 0.06)
        self._stroke([(0, low), (0.2, low + 0.3), (-0.1, low + 0.6), (0.15, low + 0.9)], self.light, 0.07)

    def _balloon(self):
        self._oval(0, -0.25, 0.6, 0.7)
        if self.variant == 0:
            self._stroke([(0, 0.45), (0.1, 0.8), (-0.05, 1.1)], self.dark, 0.06)
            return
        self._poly([(-0.2, -0.92), (0.2, -0.92), (0.2, 0.42), (-0.2, 0.42)], self.light)
        self._box(-0.2, 0.65, 0.2, 0.95, (120, 84, 50))

    def _tree(self):
        self._box(-0.12, 0.1, 0.12, 1.0, (104, 72, 46))
        if self.variant == 0:
            self._oval(0, -0.3, 0.65, 0.6)
        elif self.variant == 1:
            for y in (-0.2, 0.1, 0.4):
                self._poly([(0, y - 0.7), (0.35 + 0.4 * (y + 0.2), y + 0.1), (-0.35 - 0.4 * (y + 0.2), y + 0.1)])
        else:
            for x, y in ((-0.35, -0.1), (0.35, -0.15), (0, -0.55)):
                self._oval(x, y, 0.42, 0.4)

    def _mountain(self):
        self._poly(
            [(-1.2, 0.8), (-0.2, -0.9), (0.3, -0.2), (0.6, -0.5), (1.2, 0.8)]
            if self.variant
            else [(-1.2, 0.8), (0, -0.9), (1.2, 0.8)]
        )
        if self.variant != 1:
            self._poly([(-0.3, -0.45), (-0.1 if self.variant else 0, -0.9), (0.25, -0.45)], (244, 246, 250))

    def _house(self):
        self._box(-0.7, -0.1, 0.7, 0.9)
        roof = (150, 62, 46) if self.variant else self.dark
        self._poly([(-0.9, -0.1), (0, -0.85), (0.9, -0.1)], roof)
        self._box(-0.15, 0.35, 0.2, 0.9, (90, 60, 40))
        self._box(-0.55, 0.1, -0.25, 0.38, (210, 226, 240))
        if self.variant == 2:
            self._box(0.4, -0.8, 0.6, -0.35, roof)

    def _car(self):
        self._box(-1.0, 0.0, 1.0, 0.45)
        roof = ([(-0.6, 0), (-0.35, -0.45), (0.35, -0.45), (0.65, 0)], [(-0.9, 0), (-0.8, -0.5), (0.3, -0.5), (0.6, 0)])
        self._poly(roof[self.variant % 2])
        self._box(-0.3, -0.35, 0.25, -0.02, (200, 220, 236))
        for x in (-0.55, 0.55):
            self._oval(x, 0.48, 0.24, 0.24, (30, 30, 34))

    def _bus(self):
        self._box(-1.1, -0.6, 1.1, 0.5)
        for x in (-0.9, -0.4, 0.1, 0.6):
            self._box(x, -0.42, x + 0.34, -0.05, (200, 220, 236))
        if self.variant == 2:
            self._box(-1.1, 0.1, 1.1, 0.22, self.light)
        for x in (-0.65, 0.65):
            self._oval(x, 0.52, 0.22, 0.22, (30, 30, 34))

    def _boat(self):
        self._poly([(-1.0, 0.3), (1.0, 0.3), (0.65, 0.8), (-0.65, 0.8)])
        if self.variant == 2:
            self._box(-0.5, -0.1, 0.4, 0.3, self.light)
            self._box(0.0, -0.6, 0.25, -0.1, self.dark)
            return
        self._stroke([(0, 0.3), (0, -0.9)], (90, 64, 44), 0.1)
        self._poly([(0.06, -0.9), (0.75, 0.15), (0.06, 0.15)], (240, 238, 228))
        if self.variant == 1:
            self._poly([(-0.06, -0.7), (-0.6, 0.15), (-0.06, 0.15)], self.light)

    def _fish(self):
        self._oval(0.1, 0, 0.68, 0.36 if self.variant else 0.5)
        self._poly([(-0.45, 0), (-1.0, -0.4), (-0.85, 0), (-1.0, 0.4)], self.dark)
        self._oval(0.5, -0.08, 0.09, 0.09, (20, 20, 24))
        if self.variant == 2:
            self._poly([(-0.1, -0.3), (0.3, -0.3), (0.0, -0.7)], self.dark)

    def _flower(self):
        self._stroke([(0, 0), (0.05, 1.0)], (60, 130, 60), 0.12)
        if self.variant == 2:
            self._poly([(-0.4, -0.7), (-0.2, -0.3), (0, -0.75), (0.2, -0.3), (0.4, -0.7), (0.3, 0.1), (-0.3, 0.1)])
            return
        for c, s in _CIRCLE[:: 4 if self.variant == 0 else 3]:
            self._oval(0.42 * c, -0.3 + 0.42 * s, 0.27, 0.27)
        self._oval(0, -0.3, 0.22, 0.22, (236, 190, 60))

    def _person(self):
        skin = pick(self.rng, ((240, 200, 170), (196, 146, 108), (120, 80, 56)))
        self._oval(0, -0.72, 0.24, 0.26, skin)
        if self.variant == 2:
            self._poly([(0, -0.5), (0.5, 0.5), (-0.5, 0.5)])
        else:
            self._box(-0.28, -0.46, 0.28, 0.25)
        spread = 0.1 if self.variant == 0 else 0.3
        for side in (-1, 1):
            self._stroke([(side * 0.15, 0.25), (side * (0.15 + spread), 1.0)], self.dark, 0.2)
            self._stroke([(side * 0.28, -0.38), (side * (0.4 + spread), 0.15 if self.variant else -0.6)], skin, 0.14)

    def _quadruped(self, ears, tail, muzzle: float):
        self._oval(-0.1, 0.15, 0.6, 0.3)
        self._oval(0.58, -0.3, 0.3, 0.28)
        for points in ears:
            self._poly(points, self.dark)
        self._stroke(tail, self.main, 0.14)
        for x in (-0.55, -0.3, 0.15, 0.38):
            self._stroke([(x, 0.3), (x, 0.9)], self.main, 0.15)
        if muzzle:
            self._box(0.75, -0.32, 0.75 + muzzle, -0.1, self.dark)

    def _dog(self):
        ears = [[(0.35, -0.5), (0.5, -0.5), (0.4, 0.0), (0.25, -0.1)]]
        self._quadruped(ears, [(-0.65, 0.05), (-1.0, -0.4)], 0.3 if self.variant else 0.2)

    def _cat(self):
        ears = [[(0.35, -0.5), (0.4, -0.9), (0.55, -0.55)], [(0.62, -0.55), (0.78, -0.9), (0.82, -0.5)]]
        tail = [(-0.65, 0.1), (-1.0, 0.0), (-1.0, -0.6), (-0.8, -0.8)] if self.variant else [(-0.65, 0.1), (-1.1, 0.3)]
        self._quadruped(ears, tail, 0)

    def _umbrella(self):
        self._poly([(c, 0.1 + 0.85 * s) for c, s in _CIRCLE[10:]] + [(1, 0.1)])
        if self.variant:
            self._poly([(-0.33, 0.1), (0, -0.75), (0.33, 0.1)], self.light)
        self._stroke([(0, 0.1), (0, 0.9), (0.2, 1.0), (0.3, 0.85)], (70, 60, 56), 0.1)

    def _lamp(self):
        self._stroke([(0, -0.4), (0, 0.95)], (70, 66, 66), 0.14)
        self._stroke([(-0.3, 0.95), (0.3, 0.95)], (70, 66, 66), 0.16)
        if self.variant == 0:
            self._poly([(-0.25, -0.9), (0.25, -0.9), (0.5, -0.3), (-0.5, -0.3)])
        elif self.variant == 1:
            self._oval(0, -0.6, 0.32, 0.32)
        else:
            self._stroke([(0, -0.4), (0.1, -0.8), (0.5, -0.85)], (70, 66, 66), 0.12)
            self._oval(0.55, -0.7, 0.24, 0.2)

    def _chair(self):
        self._box(-0.5, -0.95, -0.3, 0.9)
        self._box(-0.5, 0.05, 0.5, 0.25)
        self._box(0.32, 0.2, 0.5, 0.9)
        if self.variant:
            self._box(-0.38, -0.9, 0.3 if self.variant == 2 else -0.1, -0.1, self.dark)

    def _clock(self):
        if self.variant == 2:
            self._box(-0.75, -0.75, 0.75, 0.75)
        else:
            self._oval(0, 0, 0.8, 0.8)
        self._oval(0, 0, 0.6, 0.6, (236, 232, 220))
        self._stroke([(0, 0), (0, -0.45)], (30, 30, 34), 0.1)
        hand = pick(self.rng, ((0.35, 0.1), (-0.3, 0.2), (0.25, -0.25), (0.0, 0.38)))
        self._stroke([(0, 0), hand], (30, 30, 34), 0.1)

"""A brush with which one thing of a scene is drawn: where it stands, its size, tilt, colours and style."""

import math
import random

from PIL import ImageDraw

from dcmq.data.scenes.grammar import COLOURS, Thing, between

CANVAS = 128  # pixels a side; the image has half of that
CIRCLE = tuple((math.cos(i * math.pi / 10), math.sin(i * math.pi / 10)) for i in range(20))
Colour = tuple[int, int, int]


def jitter(rng: random.Random, colour: Colour, amount: int) -> Colour:
    """The colour with each channel, 0 to 255, moved by up to ``amount``."""
    return tuple(min(255, max(0, c + int(between(rng, -amount, amount + 1)))) for c in colour)


class Brush:
    """Shapes of one thing, drawn in its own frame: x right, y down, both within [-1, 1]."""

    def __init__(self, rng: random.Random, pen: ImageDraw.ImageDraw, thing: Thing):
        self.rng, self.pen, self.thing = rng, pen, thing
        tilt = thing.tilt * (1.0 if thing.kind in ("kite", "balloon", "bird", "fish", "star", "umbrella") else 0.35)
        self.cos, self.sin = math.cos(tilt), math.sin(tilt)
        self.stretch = between(rng, 0.8, 1.25)
        self.main = jitter(rng, COLOURS[thing.colour], 26)
        self.dark = tuple(c * 5 // 8 for c in self.main)
        self.light = tuple(c + (255 - c) // 2 for c in self.main)
        self.variant = int(between(rng, 0, 3))  # each kind comes in up to three shapes

    def at(self, x: float, y: float) -> tuple[int, int]:
        """The pixel of the canvas at (x, y) of the thing's frame."""
        t = self.thing
        x, y = x * self.stretch * (-1 if t.mirrored else 1), y
        return (
            round(CANVAS * (t.x + t.size * (x * self.cos - y * self.sin))),
            round(CANVAS * (t.y + t.size * (x * self.sin + y * self.cos))),
        )

    def poly(self, points, colour=None) -> None:
        """Draw a polygon in the style of the thing."""
        points = [self.at(x, y) for x, y in points]
        colour = colour or self.main
        if self.thing.style == "sketch":
            self.pen.line(points + points[:2], fill=colour, width=3)
            return
        self.pen.polygon(points, fill=colour)
        if self.thing.style == "outlined":
            self.pen.line(points + points[:1], fill=(24, 24, 28), width=2)
        elif self.thing.style == "shaded":
            self.pen.line(points[: len(points) // 2 + 1], fill=self.light, width=2)

    def oval(self, x: float, y: float, rx: float, ry: float, colour=None) -> None:
        """Draw an ellipse around (x, y) with radii rx and ry."""
        self.poly([(x + rx * c, y + ry * s) for c, s in CIRCLE], colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour=None) -> None:
        """Draw an upright rectangle from (x0, y0) to (x1, y1)."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def stroke(self, points, colour=None, width: float = 0.12) -> None:
        """Draw a line through ``points``, its width in the unit of the frame."""
        pixels = max(1, round(width * self.thing.size * CANVAS))
        self.pen.line([self.at(x, y) for x, y in points], fill=colour or self.main, width=pixels)

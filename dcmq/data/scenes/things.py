"""The shapes of all kinds of things, each in up to three variants."""

import math

from dcmq.data.scenes.brush import CIRCLE, Brush
from dcmq.data.scenes.grammar import pick


class ThingBrush(Brush):
    """A brush that knows every kind of thing; a method ``_KIND`` for each name in
    :data:`dcmq.data.scenes.grammar.CLASSES`."""

    def draw(self) -> None:
        """Draw the thing."""
        getattr(self, f"_{self.thing.kind}")()

    def _sun(self):
        if self.variant:
            for c, s in CIRCLE[:: 2 if self.variant == 1 else 4]:
                self.stroke([(0.7 * c, 0.7 * s), (1.05 * c, 1.05 * s)])
        self.oval(0, 0, 0.62, 0.62)

    def _moon(self):
        if self.variant == 0:
            self.oval(0, 0, 0.7, 0.7)
            self.oval(0.2, -0.15, 0.15, 0.15, self.dark)
            self.oval(-0.2, 0.25, 0.2, 0.2, self.dark)
        else:
            outer = [(0.85 * c, 0.85 * s) for c, s in CIRCLE[5:16]]
            inner = [(0.85 * c * (0.2 if self.variant == 1 else 0.5), 0.85 * s) for c, s in reversed(CIRCLE[6:15])]
            self.poly(outer + inner)

    def _star(self):
        points = 5 if self.variant else 4
        spikes = []
        for i in range(2 * points):
            r, a = (0.9, 0.38)[i % 2], math.pi * i / points - math.pi / 2
            spikes.append((r * math.cos(a), r * math.sin(a)))
        self.poly(spikes)

    def _cloud(self):
        for x, y, r in ((-0.55, 0.15, 0.4), (0.0, -0.1, 0.5), (0.55, 0.15, 0.38), (0.15, 0.2, 0.42))[
            self.variant % 2 :
        ]:
            self.oval(x, y, r, r * 0.8)

    def _bird(self):
        if self.variant == 0:
            self.stroke([(-0.9, -0.3), (-0.4, -0.5), (0, 0), (0.4, -0.5), (0.9, -0.3)], width=0.2)
            return
        self.oval(0, 0, 0.6, 0.32)
        self.oval(0.55, -0.25, 0.25, 0.22)
        self.poly([(0.75, -0.3), (1.05, -0.2), (0.75, -0.12)], (230, 160, 40))
        self.poly([(-0.5, 0), (-1.0, -0.25), (-0.9, 0.2)])
        self.poly([(-0.2, -0.05), (0.25, -0.05), (-0.3, -0.75 if self.variant == 1 else 0.6)], self.dark)

    def _kite(self):
        low = 0.9 if self.variant else 0.5
        self.poly([(0, -0.9), (0.6, -0.2), (0, low), (-0.6, -0.2)])
        self.stroke([(0, -0.9), (0, low)], self.dark, 0.06)
        self.stroke([(0, low), (0.2, low + 0.3), (-0.1, low + 0.6), (0.15, low + 0.9)], self.light, 0.07)

    def _balloon(self):
        self.oval(0, -0.25, 0.6, 0.7)
        if self.variant == 0:
            self.stroke([(0, 0.45), (0.1, 0.8), (-0.05, 1.1)], self.dark, 0.06)
            return
        self.poly([(-0.2, -0.92), (0.2, -0.92), (0.2, 0.42), (-0.2, 0.42)], self.light)
        self.box(-0.2, 0.65, 0.2, 0.95, (120, 84, 50))

    def _tree(self):
        self.box(-0.12, 0.1, 0.12, 1.0, (104, 72, 46))
        if self.variant == 0:
            self.oval(0, -0.3, 0.65, 0.6)
        elif self.variant == 1:
            for y in (-0.2, 0.1, 0.4):
                self.poly([(0, y - 0.7), (0.35 + 0.4 * (y + 0.2), y + 0.1), (-0.35 - 0.4 * (y + 0.2), y + 0.1)])
        else:
            for x, y in ((-0.35, -0.1), (0.35, -0.15), (0, -0.55)):
                self.oval(x, y, 0.42, 0.4)

    def _mountain(self):
        self.poly(
            [(-1.2, 0.8), (-0.2, -0.9), (0.3, -0.2), (0.6, -0.5), (1.2, 0.8)]
            if self.variant
            else [(-1.2, 0.8), (0, -0.9), (1.2, 0.8)]
        )
        if self.variant != 1:
            self.poly([(-0.3, -0.45), (-0.1 if self.variant else 0, -0.9), (0.25, -0.45)], (244, 246, 250))

    def _house(self):
        self.box(-0.7, -0.1, 0.7, 0.9)
        roof = (150, 62, 46) if self.variant else self.dark
        self.poly([(-0.9, -0.1), (0, -0.85), (0.9, -0.1)], roof)
        self.box(-0.15, 0.35, 0.2, 0.9, (90, 60, 40))
        self.box(-0.55, 0.1, -0.25, 0.38, (210, 226, 240))
        if self.variant == 2:
            self.box(0.4, -0.8, 0.6, -0.35, roof)

    def _car(self):
        self.box(-1.0, 0.0, 1.0, 0.45)
        roof = ([(-0.6, 0), (-0.35, -0.45), (0.35, -0.45), (0.65, 0)], [(-0.9, 0), (-0.8, -0.5), (0.3, -0.5), (0.6, 0)])
        self.poly(roof[self.variant % 2])
        self.box(-0.3, -0.35, 0.25, -0.02, (200, 220, 236))
        for x in (-0.55, 0.55):
            self.oval(x, 0.48, 0.24, 0.24, (30, 30, 34))

    def _bus(self):
        self.box(-1.1, -0.6, 1.1, 0.5)
        for x in (-0.9, -0.4, 0.1, 0.6):
            self.box(x, -0.42, x + 0.34, -0.05, (200, 220, 236))
        if self.variant == 2:
            self.box(-1.1, 0.1, 1.1, 0.22, self.light)
        for x in (-0.65, 0.65):
            self.oval(x, 0.52, 0.22, 0.22, (30, 30, 34))

    def _boat(self):
        self.poly([(-1.0, 0.3), (1.0, 0.3), (0.65, 0.8), (-0.65, 0.8)])
        if self.variant == 2:
            self.box(-0.5, -0.1, 0.4, 0.3, self.light)
            self.box(0.0, -0.6, 0.25, -0.1, self.dark)
            return
        self.stroke([(0, 0.3), (0, -0.9)], (90, 64, 44), 0.1)
        self.poly([(0.06, -0.9), (0.75, 0.15), (0.06, 0.15)], (240, 238, 228))
        if self.variant == 1:
            self.poly([(-0.06, -0.7), (-0.6, 0.15), (-0.06, 0.15)], self.light)

    def _fish(self):
        self.oval(0.1, 0, 0.68, 0.36 if self.variant else 0.5)
        self.poly([(-0.45, 0), (-1.0, -0.4), (-0.85, 0), (-1.0, 0.4)], self.dark)
        self.oval(0.5, -0.08, 0.09, 0.09, (20, 20, 24))
        if self.variant == 2:
            self.poly([(-0.1, -0.3), (0.3, -0.3), (0.0, -0.7)], self.dark)

    def _flower(self):
        self.stroke([(0, 0), (0.05, 1.0)], (60, 130, 60), 0.12)
        if self.variant == 2:
            self.poly([(-0.4, -0.7), (-0.2, -0.3), (0, -0.75), (0.2, -0.3), (0.4, -0.7), (0.3, 0.1), (-0.3, 0.1)])
            return
        for c, s in CIRCLE[:: 4 if self.variant == 0 else 3]:
            self.oval(0.42 * c, -0.3 + 0.42 * s, 0.27, 0.27)
        self.oval(0, -0.3, 0.22, 0.22, (236, 190, 60))

    def _person(self):
        skin = pick(self.rng, ((240, 200, 170), (196, 146, 108), (120, 80, 56)))
        self.oval(0, -0.72, 0.24, 0.26, skin)
        if self.variant == 2:
            self.poly([(0, -0.5), (0.5, 0.5), (-0.5, 0.5)])
        else:
            self.box(-0.28, -0.46, 0.28, 0.25)
        spread = 0.1 if self.variant == 0 else 0.3
        for side in (-1, 1):
            self.stroke([(side * 0.15, 0.25), (side * (0.15 + spread), 1.0)], self.dark, 0.2)
            self.stroke([(side * 0.28, -0.38), (side * (0.4 + spread), 0.15 if self.variant else -0.6)], skin, 0.14)

    def _quadruped(self, ears, tail, muzzle: float):
        self.oval(-0.1, 0.15, 0.6, 0.3)
        self.oval(0.58, -0.3, 0.3, 0.28)
        for points in ears:
            self.poly(points, self.dark)
        self.stroke(tail, self.main, 0.14)
        for x in (-0.55, -0.3, 0.15, 0.38):
            self.stroke([(x, 0.3), (x, 0.9)], self.main, 0.15)
        if muzzle:
            self.box(0.75, -0.32, 0.75 + muzzle, -0.1, self.dark)

    def _dog(self):
        ears = [[(0.35, -0.5), (0.5, -0.5), (0.4, 0.0), (0.25, -0.1)]]
        self._quadruped(ears, [(-0.65, 0.05), (-1.0, -0.4)], 0.3 if self.variant else 0.2)

    def _cat(self):
        ears = [[(0.35, -0.5), (0.4, -0.9), (0.55, -0.55)], [(0.62, -0.55), (0.78, -0.9), (0.82, -0.5)]]
        tail = [(-0.65, 0.1), (-1.0, 0.0), (-1.0, -0.6), (-0.8, -0.8)] if self.variant else [(-0.65, 0.1), (-1.1, 0.3)]
        self._quadruped(ears, tail, 0)

    def _umbrella(self):
        self.poly([(c, 0.1 + 0.85 * s) for c, s in CIRCLE[10:]] + [(1, 0.1)])
        if self.variant:
            self.poly([(-0.33, 0.1), (0, -0.75), (0.33, 0.1)], self.light)
        self.stroke([(0, 0.1), (0, 0.9), (0.2, 1.0), (0.3, 0.85)], (70, 60, 56), 0.1)

    def _lamp(self):
        self.stroke([(0, -0.4), (0, 0.95)], (70, 66, 66), 0.14)
        self.stroke([(-0.3, 0.95), (0.3, 0.95)], (70, 66, 66), 0.16)
        if self.variant == 0:
            self.poly([(-0.25, -0.9), (0.25, -0.9), (0.5, -0.3), (-0.5, -0.3)])
        elif self.variant == 1:
            self.oval(0, -0.6, 0.32, 0.32)
        else:
            self.stroke([(0, -0.4), (0.1, -0.8), (0.5, -0.85)], (70, 66, 66), 0.12)
            self.oval(0.55, -0.7, 0.24, 0.2)

    def _chair(self):
        self.box(-0.5, -0.95, -0.3, 0.9)
        self.box(-0.5, 0.05, 0.5, 0.25)
        self.box(0.32, 0.2, 0.5, 0.9)
        if self.variant:
            self.box(-0.38, -0.9, 0.3 if self.variant == 2 else -0.1, -0.1, self.dark)

    def _clock(self):
        if self.variant == 2:
            self.box(-0.75, -0.75, 0.75, 0.75)
        else:
            self.oval(0, 0, 0.8, 0.8)
        self.oval(0, 0, 0.6, 0.6, (236, 232, 220))
        self.stroke([(0, 0), (0, -0.45)], (30, 30, 34), 0.1)
        hand = pick(self.rng, ((0.35, 0.1), (-0.3, 0.2), (0.25, -0.25), (0.0, 0.38)))
        self.stroke([(0, 0), hand], (30, 30, 34), 0.1)

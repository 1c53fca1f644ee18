"""Plans of scenes: classes, backgrounds, and the random choice of what stands where in one image.

A plan is purely symbolic, so texts can be written and labels counted without drawing anything. All randomness comes
from :class:`random.Random`, whose ``random()`` sequence Python guarantees for a seed on every machine.
"""

import random
from dataclasses import dataclass

COLOURS = {
    "red": (208, 48, 40),
    "orange": (236, 138, 40),
    "yellow": (240, 208, 60),
    "green": (64, 148, 70),
    "blue": (54, 100, 196),
    "purple": (130, 74, 168),
    "pink": (232, 138, 172),
    "brown": (124, 84, 52),
    "white": (240, 240, 236),
    "black": (38, 38, 44),
    "grey": (140, 142, 148),
}

_ANY = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black", "grey")


@dataclass(frozen=True)
class ObjectClass:
    """One kind of object: where it stands in the image (``sky``, ``ground`` or ``any``) and its likely colours."""

    name: str
    zone: str
    colours: tuple[str, ...]
    synonyms: tuple[str, ...]


# Alphabetical, which is also the label order.
OBJECTS = (
    ObjectClass("balloon", "sky", ("red", "blue", "yellow", "purple", "pink"), ("airballoon",)),
    ObjectClass("bird", "sky", ("black", "white", "grey", "blue", "brown"), ("seagull", "gull")),
    ObjectClass("boat", "ground", ("white", "red", "brown", "blue"), ("ship", "sailboat")),
    ObjectClass("bus", "ground", ("red", "yellow", "green", "white"), ("coach",)),
    ObjectClass("car", "ground", ("red", "blue", "black", "white", "grey", "green"), ("automobile", "vehicle")),
    ObjectClass("cat", "ground", ("black", "orange", "grey", "white"), ("kitten", "kitty")),
    ObjectClass("chair", "ground", ("brown", "red", "blue", "white", "black"), ("seat",)),
    ObjectClass("clock", "any", ("white", "brown", "black", "yellow"), ("watch",)),
    ObjectClass("cloud", "sky", ("white", "grey", "pink"), ("clouds", "cloudy")),
    ObjectClass("dog", "ground", ("brown", "black", "white", "yellow"), ("puppy", "hound")),
    ObjectClass("fish", "ground", ("orange", "blue", "grey", "red", "yellow"), ("goldfish",)),
    ObjectClass("flower", "ground", ("red", "yellow", "pink", "purple", "white"), ("tulip", "blossom")),
    ObjectClass("house", "ground", ("white", "red", "yellow", "brown", "grey"), ("home", "cottage")),
    ObjectClass("kite", "sky", ("red", "yellow", "green", "blue", "purple"), ("kites",)),
    ObjectClass("lamp", "ground", ("yellow", "white", "black", "grey"), ("lantern", "streetlight")),
    ObjectClass("moon", "sky", ("yellow", "white", "orange"), ("crescent",)),
    ObjectClass("mountain", "ground", ("grey", "brown", "blue", "purple"), ("hill", "peak")),
    ObjectClass("person", "ground", _ANY, ("man", "woman", "child")),
    ObjectClass("star", "sky", ("yellow", "white"), ("stars",)),
    ObjectClass("sun", "sky", ("yellow", "orange", "red"), ("sunshine",)),
    ObjectClass("tree", "ground", ("green", "orange", "brown", "yellow"), ("oak", "pine")),
    ObjectClass("umbrella", "ground", ("red", "black", "blue", "yellow", "pink"), ("parasol",)),
)
CLASSES = tuple(o.name for o in OBJECTS)
CLASS_INDEX = {name: i for i, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Background:
    """A setting: how likely each object is in it (relative odds), and the words people use for it."""

    name: str
    odds: dict[str, float]
    phrases: tuple[str, ...]
    tags: tuple[str, ...]


BACKGROUNDS = (
    Background(
        "day",
        dict(sun=3, cloud=3, bird=2, kite=3, balloon=3, tree=2, house=2, mountain=1.5, person=3, dog=1),
        ("by day", "under a bright sky", "on a clear day"),
        ("day", "sky", "bright", "outdoors"),
    ),
    Background(
        "night",
        dict(moon=4, star=4, house=2, tree=1.5, lamp=3, car=1.5, cat=1.5, person=2.5, mountain=1),
        ("at night", "in the dark", "under a dark sky"),
        ("night", "dark", "nightshot", "sky"),
    ),
    Background(
        "sea",
        dict(boat=4, fish=4, bird=2.5, sun=2, cloud=1.5, person=2, moon=0.7, umbrella=1.2),
        ("at sea", "on the water", "by the sea"),
        ("sea", "water", "ocean", "beach"),
    ),
    Background(
        "meadow",
        dict(flower=4, tree=3, dog=2.5, cat=1, person=3, kite=2, bird=1.5, sun=1.5, house=1),
        ("on a meadow", "in the grass", "in a green field"),
        ("meadow", "grass", "field", "nature"),
    ),
    Background(
        "street",
        dict(car=4, bus=3.5, person=3.5, house=2.5, lamp=2, umbrella=2, dog=1, tree=1, clock=0.8),
        ("in the street", "on a road", "in the city"),
        ("street", "road", "city", "urban"),
    ),
    Background(
        "indoor",
        dict(chair=4.5, lamp=2.5, clock=4, cat=3, person=3, flower=1.5, dog=1.5, fish=0.7, balloon=0.7),
        ("in a room", "indoors", "at home"),
        ("indoor", "room", "interior", "livingroom"),
    ),
    Background(
        "snow",
        dict(mountain=4, tree=2.5, house=2, person=3, dog=1.2, moon=1, bird=1, star=0.7),
        ("in the snow", "in winter", "on a snowy day"),
        ("snow", "winter", "cold", "white"),
    ),
)

# What a ranking could use instead of looking at the objects is kept small: kinds are nearly independent of backgrounds, all
# about as frequent, an image holds two or three of them, and colours say little.
KIND_COUNT_ODDS = (0.5, 0.5)  # of 2, 3 kinds in an image
TWICE = 0.25  # share of the images that hold one of their kinds twice
IN_CONTEXT = 0.1  # share of the kinds that suit the background; the others are drawn from all alike: a fish in the street
ANY_COLOUR = 0.15  # share of the objects of a colour drawn from all alike
STYLES = ("flat", "outlined", "sketch", "shaded")
STYLE_ODDS = (3, 3, 1, 3)


@dataclass(frozen=True)
class Thing:
    """One object of a scene. ``x, y`` in [0, 1] from the top left, ``size`` its half-width as a share of the image."""

    kind: str
    colour: str
    x: float
    y: float
    size: float
    tilt: float  # radians
    mirrored: bool
    style: str


@dataclass(frozen=True)
class Scene:
    """The plan of one image; later things hide earlier ones."""

    background: Background
    things: tuple[Thing, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """Sorted indices into :data:`CLASSES` of the kinds present."""
        return tuple(sorted({CLASS_INDEX[t.kind] for t in self.things}))


def pick(rng: random.Random, options, odds=None):
    """One of ``options``, chosen with relative ``odds``, by default equal ones. Uses one call of ``rng.random()``."""
    if odds is None:
        return options[int(rng.random() * len(options))]
    point, total = rng.random() * sum(odds), 0.0
    for option, weight in zip(options, odds, strict=True):
        total += weight
        if point < total:
            return option
    return options[-1]


def between(rng: random.Random, low: float, high: float) -> float:
    """A uniform number in [low, high)."""
    return low + (high - low) * rng.random()


_HEIGHT = {"sky": (0.10, 0.45), "ground": (0.48, 0.86), "any": (0.15, 0.80)}


def plan_scene(rng: random.Random) -> Scene:
    """A random plan of one scene: a background, two or three kinds of objects that may or may not suit it, and sometimes one of
    them twice."""
    background = pick(rng, BACKGROUNDS)
    count = pick(rng, (2, 3), KIND_COUNT_ODDS)
    house_style = pick(rng, STYLES, STYLE_ODDS)  # one hand draws most of an image
    kinds: list[str] = []
    while len(kinds) < count:
        suits = rng.random() < IN_CONTEXT
        kind = pick(rng, tuple(background.odds), background.odds.values()) if suits else pick(rng, CLASSES)
        if kind not in kinds:
            kinds.append(kind)
    if rng.random() < TWICE:
        kinds.append(pick(rng, kinds))
    slots = sorted(range(len(kinds)), key=lambda _: rng.random())  # side by side, so that few are hidden
    things = [
        _place(rng, OBJECTS[CLASS_INDEX[kind]], house_style, slot / len(kinds), (slot + 1) / len(kinds))
        for kind, slot in zip(kinds, slots, strict=True)
    ]
    return Scene(background, tuple(things))


def _place(rng: random.Random, kind: ObjectClass, house_style: str, left: float, right: float) -> Thing:
    low, high = _HEIGHT[kind.zone]
    return Thing(
        kind=kind.name,
        colour=pick(rng, _ANY) if rng.random() < ANY_COLOUR else pick(rng, kind.colours),
        x=between(rng, 0.1 + 0.8 * left, 0.1 + 0.8 * right),
        y=between(rng, low, high),
        size=pick(rng, (between(rng, 0.13, 0.17), between(rng, 0.17, 0.24), between(rng, 0.24, 0.34)), (3, 4, 3)),
        tilt=between(rng, -0.35, 0.35),
        mirrored=rng.random() < 0.5,
        style=house_style if rng.random() < 0.75 else pick(rng, STYLES, STYLE_ODDS),
    )

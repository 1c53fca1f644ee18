"""One sample of ``scenes`` from its name: labels, background, caption, tags and image."""

import random
from dataclasses import dataclass

import numpy as np

from dcmq.data.scenes.drawing import draw
from dcmq.data.scenes.grammar import BACKGROUNDS, Scene, plan_scene
from dcmq.data.scenes.wording import caption, tags

VERSION = 2  # of the benchmark: raised when the images, texts or labels of a name change


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        labels: sorted class numbers. background: its number. caption: a sentence. tags: words.
        image: (64, 64, 3) uint8, or None where none was asked for.
    """

    labels: tuple[int, ...]
    background: int
    caption: str
    tags: list[str]
    image: np.ndarray | None


def make_scene(name: str, with_image: bool = True) -> Sample:
    """The sample that ``name`` seeds."""
    rng = _seeded(name)
    scene = plan_scene(rng)
    sentence, tag_list = caption(rng, scene), tags(rng, scene)
    image = draw(rng, scene) if with_image else None
    return Sample(scene.labels, BACKGROUNDS.index(scene.background), sentence, tag_list, image)


def plan_of(name: str) -> Scene:
    """The plan of the sample that ``name`` seeds."""
    return plan_scene(_seeded(name))


def _seeded(name: str) -> random.Random:
    return random.Random(f"scenes {VERSION}: {name}")

"""One sample of ``scenes`` from its name: labels, caption, tags and image."""

import random

import numpy as np

from dcmq.data.scenes.drawing import draw
from dcmq.data.scenes.grammar import plan_scene
from dcmq.data.scenes.wording import caption, tags


def make_scene(name: str, picture: bool = True) -> tuple[tuple[int, ...], str, list[str], np.ndarray | None]:
    """The sample that ``name`` seeds: labels, caption, tags and, if asked for, its (64, 64, 3) uint8 picture."""
    rng = random.Random(name)
    scene = plan_scene(rng)
    sentence, words = caption(rng, scene), tags(rng, scene)
    return scene.labels, sentence, words, draw(rng, scene) if picture else None

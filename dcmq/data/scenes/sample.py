"""One sample of ``scenes`` from its name: labels, caption, tags and image."""

import random

import numpy as np

from dcmq.data.scenes.drawing import draw
from dcmq.data.scenes.grammar import plan_scene
from dcmq.data.scenes.wording import caption, tags


def make_scene(name: str, with_image: bool = True) -> tuple[tuple[int, ...], str, list[str], np.ndarray | None]:
    """The sample that ``name`` seeds: sorted class numbers, caption, tags, and its image, (64, 64, 3) uint8 or None."""
    rng = random.Random(name)
    scene = plan_scene(rng)
    sentence, tag_list = caption(rng, scene), tags(rng, scene)
    return scene.labels, sentence, tag_list, draw(rng, scene) if with_image else None

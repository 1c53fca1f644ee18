"""Near duplicates among images: the same motif again, resized, saved anew or a moment later."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from dcmq.data.open_images import UNREADABLE, open_image
from dcmq.data.resize import rgb_image

SAME_LOOK = (
    5  # of 64 bits that may differ, ours: photos that were halved and saved anew are nearer, other photos hardly ever
)
_SIDE = 8


def look(content: bytes) -> int:
    """64 bits of how an image looks, never 0: for each place on a grid of 8 x 8, whether it gets brighter to the right.

    Known as the difference hash, of the image as :func:`dcmq.data.resize.rgb_image` has it. 0 where ``content`` is no image, or
    one of a single grey, which looks like nothing.
    """
    try:
        with open_image(io.BytesIO(content)) as image:
            image.draft("L", (_SIDE * 8, _SIDE * 8))  # a JPEG is decoded at a fraction of its size: many times faster
            small = rgb_image(image).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    except UNREADABLE:
        return 0
    grey = np.asarray(small, np.int16)
    return int(np.packbits(grey[:, 1:] > grey[:, :-1]).view(np.uint64)[0])


def folded(looks: np.ndarray, codes: np.ndarray, k: int) -> list[list[int]]:
    """The first ``k`` groups of a ranking of images, each a place in it and those further back that are near duplicates of it.

    Two images are near duplicates where at most :data:`SAME_LOOK` bits of their looks differ, and at most a quarter of their
    codewords.

    Args:
        looks: (n,) uint64 as :func:`look` gives them, best first; 0 is like nothing.
        codes: (n, M) codeword numbers.
    """

    def near(place: int, heads: np.ndarray) -> np.ndarray:
        alike = (codes[heads] != codes[place]).sum(1) * 4 <= codes.shape[1]
        return alike & _look_alike(looks[place], looks[heads])

    return _groups(len(codes), near, k)


def same_codes(codes: np.ndarray, k: int) -> list[list[int]]:
    """The first ``k`` groups of a ranking, each a place in it and those further back that have the same code.

    Args:
        codes: (n, M) codeword numbers.
    """
    return _groups(len(codes), lambda place, heads: (codes[heads] == codes[place]).all(1), k)


def _groups(n: int, near: Callable[[int, np.ndarray], np.ndarray], k: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for place in range(n):
        found = near(place, np.array([group[0] for group in groups], int))
        if found.any():
            groups[int(found.argmax())].append(place)
        elif len(groups) < k:
            groups.append([place])
    return groups


def _look_alike(one: np.uint64, others: np.ndarray) -> np.ndarray:
    differing = np.unpackbits((others ^ one).view(np.uint8).reshape(len(others), 8), axis=1).sum(1)
    return (differing <= SAME_LOOK) & (one != 0) & (others != 0)


def looks_of(contents: Sequence[bytes | None]) -> np.ndarray:
    """(n,) uint64 :func:`look` of each; 0 where there is nothing."""
    return np.array([0 if content is None else look(content) for content in contents], np.uint64)

"""The galleries that rankings are judged on."""

from collections.abc import Container

import numpy as np

from dcmq.data.splits import Split

UNSEEN, WHOLE = "unseen", "gallery"


def galleries(split: Split) -> dict[str, np.ndarray]:
    """Places within ``split.gallery`` by the gallery's name: ``gallery`` has all of them, ``unseen`` those that were not trained
    on; it is absent where there are none."""
    unseen = np.flatnonzero(~np.isin(split.gallery, split.train))
    whole = {WHOLE: np.arange(len(split.gallery))}
    return whole | ({UNSEEN: unseen} if len(unseen) else {})


def judged_gallery(measured: Container[str]) -> str:
    """The gallery that verdicts are about: ``unseen`` where ``measured``, by gallery, has it, else the whole, ``gallery``.

    On items that were trained on, a method is also rewarded for remembering them.
    """
    return UNSEEN if UNSEEN in measured else WHOLE

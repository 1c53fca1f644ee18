"""One order for every ranking: by falling score, equal scores by rising position in the gallery.

Score and position are packed into one integer, because plain integers sort several times faster than pairs.
"""

import numpy as np

_POSITION_BITS = 32  # a gallery holds fewer than 2^32 items


def ranking_keys(scores: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """int64 keys that rise where the ranking goes on, for float32 ``scores`` and whole ``positions`` in [0, 2^32).

    Keys of equal scores have equal upper 32 bits.
    """
    falling = np.subtract(0.0, scores, dtype=np.float32)  # a difference: 0.0 and -0.0 both become 0.0
    keys = _reordered(falling.view(np.int32)).astype(np.int64)
    keys <<= _POSITION_BITS  # in place, here and below: new arrays would take longer than the sums
    keys |= positions
    return keys


def scores_and_positions(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 scores and int64 positions: the inverse of :func:`ranking_keys`."""
    positions = keys & ((1 << _POSITION_BITS) - 1)
    bits = _reordered((keys >> _POSITION_BITS).astype(np.int32))
    return np.float32(0.0) - bits.view(np.float32), positions


def equal_scores(keys: np.ndarray) -> np.ndarray:
    """(n - 1,) bool: whether the score at each of (n,) sorted keys but the last is the next one's."""
    return (keys[1:] ^ keys[:-1]) >> _POSITION_BITS == 0


def first_k(keys: np.ndarray, k: int) -> np.ndarray:
    """(q, k): the ``k`` smallest of each row of (q, n) ``keys``, sorted."""
    if k < keys.shape[1]:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return np.sort(keys, axis=1)


def _reordered(bits: np.ndarray) -> np.ndarray:
    """int32 in the order of the float32 that have these ``bits``; its own inverse. Changes ``bits`` in place."""
    mask = bits >> 31
    mask &= 0x7FFFFFFF
    bits ^= mask
    return bits

"""Bags of words from captions or tags, by one documented recipe (ours; the 2,026 words of COCO have no published one)."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from dcmq.core.errors import DcmqError


def bag_of_words(
    documents: Sequence[str],
    train_rows: np.ndarray,
    max_words: int | None = None,
    min_rows: int = 1,
    stop: bool = True,
    pattern: str = r"[a-z]{2,}",
) -> tuple[csr_matrix, tuple[str, ...]]:
    """Binary presence of words: lower case, what matches ``pattern`` (by default letters a-z, no one-letter words), English
    stop words left out if ``stop``.

    Words are ranked by the number of *training* rows that hold them, ties alphabetically, and the first ``max_words``
    with at least ``min_rows`` are kept.

    Returns:
        (n, V) float32 0/1 and the V words in rank order.

    Raises:
        DcmqError: no word is left.
    """
    counter = CountVectorizer(token_pattern=pattern, binary=True, stop_words="english" if stop else None)
    try:
        counts = counter.fit_transform(documents)
    except ValueError:
        raise DcmqError("no text holds a word of two letters or more: is the text column empty?") from None
    words = counter.get_feature_names_out()  # alphabetical
    frequency = np.asarray(counts[train_rows].sum(0)).ravel()
    ranked = np.argsort(-frequency, kind="stable")
    ranked = ranked[frequency[ranked] >= min_rows][:max_words]
    if not len(ranked):
        raise DcmqError(f"no word stands in {min_rows} training texts: lower min_rows")
    return csr_matrix(counts[:, ranked], dtype=np.float32), tuple(str(w) for w in words[ranked])

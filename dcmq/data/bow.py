"""Bags of words from captions or tags, by one documented recipe (ours; the 2,026 words of COCO have no published one)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix

from dcmq.core.errors import DcmqError
from dcmq.data.words import LATIN, words


def bag_of_words(
    documents: Sequence[str],
    train_rows: np.ndarray,
    max_words: int | None = None,
    min_rows: int = 1,
    stop: bool = True,
    pattern: str = LATIN,
) -> tuple[csr_matrix, tuple[str, ...]]:
    """Binary bags of the words of ``documents``, and the vocabulary.

    Words are ranked by the number of *training* rows that hold them, ties alphabetically, and the first ``max_words``
    with at least ``min_rows`` are kept.

    Args:
        stop: leave English stop words out.
        pattern: what a word is, as :func:`dcmq.data.words.words` takes it.

    Returns:
        (n, V) float32 0/1 and the V words in rank order.

    Raises:
        DcmqError: no word is left.
    """
    from sklearn.feature_extraction.text import CountVectorizer  # takes seconds

    counter = CountVectorizer(
        tokenizer=partial(words, pattern=pattern),
        token_pattern=None,
        lowercase=False,
        binary=True,
        stop_words="english" if stop else None,
    )
    try:
        counts = counter.fit_transform(documents)
    except ValueError:
        raise DcmqError("no text holds a word of two letters or more: is the text column empty?") from None
    names = counter.get_feature_names_out()  # alphabetical
    frequency = np.asarray(counts[train_rows].sum(0)).ravel()
    ranked = np.argsort(-frequency, kind="stable")
    ranked = ranked[frequency[ranked] >= min_rows][:max_words]
    if not len(ranked):
        raise DcmqError(
            f"no word stands in {min_rows} of the {len(train_rows)} training texts: take more training samples, or texts "
            "with more words"
        )
    return csr_matrix(counts[:, ranked], dtype=np.float32), tuple(str(name) for name in names[ranked])

"""Exact scores of a few candidates of each query, to the bit those of :func:`dcmq.codes.score.scores`."""

import numpy as np

from dcmq.codes.pack import unpack

_ENTRIES = 1 << 18  # looked up at once: what is read and summed stays in the cache


def candidate_scores(tables: np.ndarray, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(q, c) float32: scores of the items at (q, c) ``positions`` of the packed ``codes``.

    Args:
        tables: (q, M, K) float32, the queries' look-up tables.
        codes: (n, code size) uint8, perhaps mapped into memory.
        positions: whole numbers from 0 to n - 1; -1, the last item, is allowed where a search found nothing.
    """
    (num_queries, num_codebooks, num_codewords), per_query = tables.shape, positions.shape[1]
    found = np.empty(positions.shape, np.float32)
    step = max(1, _ENTRIES // (num_codebooks * per_query))
    for start in range(0, num_queries, step):
        rows = slice(start, start + step)
        indices = unpack(codes[positions[rows].ravel()], num_codebooks, num_codewords)
        places = np.ascontiguousarray(indices.T).reshape(num_codebooks, -1, per_query)  # (M, rows, c)
        places += num_codewords * np.arange(num_codebooks)[:, None, None]
        places += num_codebooks * num_codewords * np.arange(places.shape[1])[:, None]
        entries = tables[rows].ravel().take(places)
        total = entries[0]
        for column in entries[1:]:  # in the order of m, as the reference sums
            total += column
        found[rows] = total
    return found

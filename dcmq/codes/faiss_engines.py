"""Searches with faiss: it finds candidates fast, their exact scores rank them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.engines import Engine, ExactEngine, Queries
from dcmq.codes.pack import unpack
from dcmq.codes.ranking import first, keys, unkeyed
from dcmq.codes.score import candidate_scores
from dcmq.core.errors import DcmqError

_CELLS = 1 << 20  # candidates ranked at once


_PART = 1 << 20  # items decoded at once


_SAMPLES_PER_LIST = 64  # that the lists are clustered on


_ROUNDING = 4e-6  # how far a cosine of faiss may be from ours, both float32


def faiss():
    """The faiss module. Raises DcmqError where it is not installed."""
    try:
        import faiss as module
    except ImportError:
        raise DcmqError("this needs faiss: pip install 'dcmq[faiss]', or search with engine='exact'") from None
    return module


def fast_scan(words: int) -> bool:
    """Whether faiss can scan codebooks of ``words`` codewords with its tables in registers: 16 only."""
    return words == 16


def faiss_codes(codes: np.ndarray, num_codebooks: int, words: int) -> np.ndarray:
    """Our packed codes, most significant bit first, as faiss packs them: least significant bit first."""
    if words == 256:
        return np.ascontiguousarray(codes)
    if words == 16:
        return codes >> 4 | codes << 4
    parts = np.array_split(codes, len(codes) // _PART + 1)
    each = bits_per_codeword(words)
    return np.concatenate(
        [faiss().pack_bitstrings(unpack(p, num_codebooks, words).astype(np.int32), each) for p in parts]
    )


def product_index(codebooks: Tensor, codes: np.ndarray):
    """faiss' ``IndexPQ`` of the gallery: the inner product of a query with codewords of length 1 is our score.

    Args:
        codebooks: (M, K, D / M).
        codes: (n, width) packed.
    """
    num_codebooks, words, length = codebooks.shape
    index = faiss().IndexPQ(
        num_codebooks * length, num_codebooks, bits_per_codeword(words), faiss().METRIC_INNER_PRODUCT
    )
    faiss().copy_array_to_vector(F.normalize(codebooks, dim=2).numpy().ravel(), index.pq.centroids)
    index.is_trained = True
    if len(codes):
        index.add_sa_codes(faiss_codes(codes, num_codebooks, words))
    return index


def rounding_bound(tables: Tensor) -> np.ndarray:
    """(q,) how far a score may be from the exact one when faiss has found it from (q, M, K) ``tables``.

    The fast scan rounds each table to steps of 1/255 of the widest one, or coarser where the sum would not fit 16 bits;
    M roundings add up to at most M half steps.
    """
    num_codebooks, words = tables.shape[1:]
    bound = torch.full((len(tables),), num_codebooks * _ROUNDING)
    if fast_scan(words):
        spans = tables.amax(2) - tables.amin(2)
        bound += num_codebooks * torch.maximum(spans.amax(1) / 255, spans.sum(1) / 65535) / 2
    return bound.numpy()


def rescored(tables: Tensor, codes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(q, c) float32 exact scores of the items at (q, c) ``places`` of the packed ``codes``."""
    num_codebooks, words = tables.shape[1:]
    indices = torch.from_numpy(unpack(codes[places.ravel()], num_codebooks, words)).view(*places.shape, num_codebooks)
    return candidate_scores(tables, indices).numpy()


class FaissEngine(Engine):
    """``IndexPQFastScan`` where K = 16, else ``IndexPQ``, and an exact re-rank: the result is :class:`ExactEngine`'s.

    Rounded scores say which items are candidates. With the bound on their error, the last candidate's score tells whether
    an item that is none could belong to the first k; for queries where it could, four times as many are taken.
    """

    def __init__(self, codebooks: Tensor, codes: np.ndarray):
        self.codes, self.exact = codes, ExactEngine(codebooks, codes)
        self.index = product_index(codebooks, codes)
        if fast_scan(codebooks.shape[1]):
            self.index = faiss().IndexPQFastScan(self.index)

    def search(self, queries, k):
        """See :class:`Engine`."""
        found = np.empty((len(queries), k), np.int64)
        todo, wanted = np.arange(len(queries)), max(2 * k, k + 64)
        while len(todo) and wanted < len(self.codes) / 8:
            missing = []
            for rows in np.array_split(todo, -(-len(todo) * wanted // _CELLS)):
                found[rows], sure = self._first(queries[rows], k, wanted)
                missing.append(rows[~sure])
            todo, wanted = np.concatenate(missing), 4 * wanted
        if len(todo):  # so many that looking at all is no slower
            found[todo] = self.exact.search(queries[todo], k)
        return found

    def _first(self, queries: Queries, k: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) keys of the best of ``wanted`` candidates, and for which queries they are the best of all."""
        near, places = self.index.search(queries.unit.numpy(), wanted)
        exact, bound = rescored(queries.tables, self.codes, places), rounding_bound(queries.tables)
        best = first(keys(exact, places), k)
        within = np.abs(near - exact).max(1) <= bound  # else faiss does not round as this module assumes
        return best, within & (near[:, -1] + bound < unkeyed(best)[0][:, -1])


def decoded(codebooks: Tensor, codes: np.ndarray) -> np.ndarray:
    """(n, D) float32: the codewords of length 1 that packed ``codes`` stand for."""
    num_codebooks, words, _ = codebooks.shape
    indices = torch.from_numpy(unpack(codes, num_codebooks, words))
    return F.normalize(codebooks, dim=2)[torch.arange(num_codebooks), indices].flatten(1).numpy()


def cluster(codebooks: Tensor, codes: np.ndarray, lists: int, seed: int = 0) -> np.ndarray:
    """(lists, D) centres of directions that the gallery's items group around, by faiss' spherical k-means on a sample."""
    chosen = np.random.default_rng(seed).permutation(len(codes))[: lists * _SAMPLES_PER_LIST]
    points = decoded(codebooks, codes[np.sort(chosen)])
    kmeans = faiss().Kmeans(points.shape[1], lists, niter=10, spherical=True, seed=seed, min_points_per_centroid=1)
    kmeans.train(points)
    return kmeans.centroids


def nearest_lists(codebooks: Tensor, codes: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n,) int32: for each item the number of the centre with the largest inner product."""
    index = _flat(centroids)
    parts = np.array_split(codes, len(codes) // _PART + 1)
    return np.concatenate([index.search(decoded(codebooks, p), 1)[1][:, 0] for p in parts]).astype(np.int32)


def _flat(centroids: np.ndarray):
    index = faiss().IndexFlatIP(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids))
    return index


class InvertedListEngine(Engine):
    """``IndexIVFPQ``, with the fast scan where K = 16: only the lists nearest to a query are looked at, so items are missed.

    Args:
        centres: (L, D).
        lists: (n,) the list of each item.
        probes: how many lists a query looks at.
    """

    def __init__(self, codebooks: Tensor, codes: np.ndarray, centroids: np.ndarray, lists: np.ndarray, probes: int):
        self.codes, self.exact = codes, ExactEngine(codebooks, codes)
        self.index = inverted_index(codebooks, codes, centroids, lists)
        self.index.nprobe = probes

    def search(self, queries, k):
        """See :class:`Engine`. A query whose lists hold fewer than ``k`` items is answered by looking at all."""
        wanted = min(max(2 * k, k + 64), len(self.codes))
        near, places = self.index.search(queries.unit.numpy(), wanted)
        ranked = keys(rescored(queries.tables, self.codes, places), places)
        ranked[places < 0] = np.iinfo(np.int64).max
        found = first(ranked, k)
        short = (places >= 0).sum(1) < k
        if short.any():
            found[short] = self.exact.search(queries[short], k)
        return found


def inverted_index(codebooks: Tensor, codes: np.ndarray, centroids: np.ndarray, lists: np.ndarray):
    """faiss' index of the gallery by inverted lists; arguments as of :class:`InvertedListEngine`."""
    num_codebooks, words, length = codebooks.shape
    each, metric = bits_per_codeword(words), faiss().METRIC_INNER_PRODUCT
    index = faiss().IndexIVFPQ(_flat(centroids), num_codebooks * length, len(centroids), num_codebooks, each, metric)
    index.by_residual = False  # codes are of the items, not of what is left of them beside the centre
    product = product_index(codebooks, codes[:0])  # named, or its memory is gone before it is copied
    index.pq = product.pq
    index.is_trained = True
    number = lists.astype("<u8").view(np.uint8).reshape(len(lists), 8)[:, : index.coarse_code_size()]
    index.add_sa_codes(np.concatenate([number, faiss_codes(codes, num_codebooks, words)], axis=1))
    return faiss().IndexIVFPQFastScan(index) if fast_scan(words) else index

"""Engines on faiss: it finds candidates fast, their exact scores rank them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.candidates import candidate_scores
from dcmq.codes.engines import Engine, ExactEngine, Gallery, Queries, register_engine
from dcmq.codes.pack import unpack
from dcmq.codes.ranking import first_k, ranking_keys, scores_and_positions
from dcmq.core.errors import DcmqError

_CANDIDATES = 1 << 20  # that are ranked at once
_ITEMS = 1 << 20  # that are reconstructed at once
_SAMPLES_PER_LIST = 64  # that the lists are clustered on
_SHARD = 1 << 18  # items at least that a thread of its own pays for
_UNEVEN = 1.5  # times as many items as when the shards were made equal
_ROUNDING = 4e-6  # how far a cosine of faiss may be from ours, both float32


def require_faiss():
    """The module ``faiss``. Raises DcmqError where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise DcmqError("this needs faiss: pip install 'dcmq[faiss]', or search with engine='exact'") from None
    return faiss


def faiss_installed() -> bool:
    """True where faiss can be imported."""
    try:
        require_faiss()
    except DcmqError:
        return False
    return True


def has_fast_scan(num_codewords: int) -> bool:
    """True where faiss can scan codes of K codewords with its look-up tables in registers: for K = 16 only."""
    return num_codewords == 16


def product_index(codebooks: Tensor, codes: np.ndarray):
    """A ``faiss.IndexPQ`` of the gallery: the inner product of a query with codewords of length 1 is our score.

    Args:
        codebooks: (M, K, D / M).
        codes: (n, code size) packed.
    """
    faiss = require_faiss()
    num_codebooks, num_codewords, subvector_dim = codebooks.shape
    bits_each = bits_per_codeword(num_codewords)
    index = faiss.IndexPQ(num_codebooks * subvector_dim, num_codebooks, bits_each, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(F.normalize(codebooks, dim=2).numpy().ravel(), index.pq.centroids)
    index.is_trained = True
    if len(codes):
        index.add_sa_codes(faiss_codes(codes, num_codebooks, num_codewords))
    return index


def scan_index(codebooks: Tensor, codes: np.ndarray):
    """The index of faiss that looks at all codes fastest: ``IndexPQFastScan`` where K = 16, else ``IndexPQ``; its scores are
    rounded, see :func:`score_error_bound`."""
    product = product_index(codebooks, codes)
    return require_faiss().IndexPQFastScan(product) if has_fast_scan(codebooks.shape[1]) else product


def inverted_index(codebooks: Tensor, codes: np.ndarray, centroids: np.ndarray, lists: np.ndarray):
    """A ``faiss.IndexIVFPQ`` of the gallery, with the fast scan where K = 16; arguments as of :class:`Gallery`."""
    faiss = require_faiss()
    num_codebooks, num_codewords, subvector_dim = codebooks.shape
    dimension, bits_each = num_codebooks * subvector_dim, bits_per_codeword(num_codewords)
    index = faiss.IndexIVFPQ(
        _flat_index(centroids), dimension, len(centroids), num_codebooks, bits_each, faiss.METRIC_INNER_PRODUCT
    )
    index.by_residual = False  # codes are of the items, not of what is left of them beside the centroid
    product = product_index(codebooks, codes[:0])  # named, or its memory is gone before it is copied
    index.pq = product.pq
    index.is_trained = True
    list_numbers = lists.astype("<u8").view(np.uint8).reshape(len(lists), 8)[:, : index.coarse_code_size()]
    index.add_sa_codes(np.concatenate([list_numbers, faiss_codes(codes, num_codebooks, num_codewords)], axis=1))
    return faiss.IndexIVFPQFastScan(index) if has_fast_scan(num_codewords) else index


def faiss_codes(codes: np.ndarray, num_codebooks: int, num_codewords: int) -> np.ndarray:
    """Our packed codes, most significant bit first, as faiss packs them: least significant bit first."""
    if num_codewords == 256:
        return np.ascontiguousarray(codes)
    if num_codewords == 16:
        return codes >> 4 | codes << 4
    faiss, bits_each = require_faiss(), bits_per_codeword(num_codewords)
    return np.concatenate(
        [
            faiss.pack_bitstrings(unpack(part, num_codebooks, num_codewords).astype(np.int32), bits_each)
            for part in _parts(codes)
        ]
    )


def reconstruct(codebooks: Tensor, codes: np.ndarray) -> np.ndarray:
    """(n, D) float32: the codewords that packed ``codes`` stand for, each scaled to length 1."""
    num_codebooks, num_codewords, _ = codebooks.shape
    indices = torch.from_numpy(unpack(codes, num_codebooks, num_codewords))
    return F.normalize(codebooks, dim=2)[torch.arange(num_codebooks), indices].flatten(1).numpy()


def cluster(codebooks: Tensor, codes: np.ndarray, nlist: int, seed: int = 0) -> np.ndarray:
    """(nlist, D) centroids of the gallery's items, by faiss' spherical k-means on a sample of them."""
    sample = np.random.default_rng(seed).permutation(len(codes))[: nlist * _SAMPLES_PER_LIST]
    items = reconstruct(codebooks, codes[np.sort(sample)])
    kmeans = require_faiss().Kmeans(
        items.shape[1], nlist, niter=10, spherical=True, seed=seed, min_points_per_centroid=1
    )
    kmeans.train(items)
    return kmeans.centroids


def assign_lists(codebooks: Tensor, codes: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n,) int32: for each item the number of the centroid with the largest inner product."""
    index = _flat_index(centroids)
    nearest = [index.search(reconstruct(codebooks, part), 1)[1][:, 0] for part in _parts(codes)]
    return np.concatenate(nearest).astype(np.int32)


def lists_for(gallery: Gallery, recall: float, queries: Queries, k: int) -> tuple[int, float]:
    """The number of lists that a query has to look at, and the mean recall@``k`` of the exact ranking that this gives.

    Chosen as the least of a row of growing numbers that reaches ``recall`` on one half of the queries, and measured on the other.

    Args:
        gallery: with lists. recall: the share of the exact first ``k`` that is wanted, above 0 and at most 1.
    """
    engine, nlist = InvertedListEngine(gallery), len(gallery.centroids)
    exact = FaissEngine(gallery).search(queries, k)
    chosen, measured = np.arange(len(queries)) % 2 == 0, np.arange(len(queries)) % 2 == 1
    number = 1
    while True:
        engine.index.nprobe = number
        found = engine.search(queries, k)
        shares = np.array([np.isin(own, wanted).mean() for own, wanted in zip(found, exact, strict=True)])
        if number == nlist or shares[chosen].mean() >= recall:
            return number, float(shares[measured if measured.any() else chosen].mean())
        number = min(nlist, number + max(1, number // 4))


def score_error_bound(tables: np.ndarray) -> np.ndarray:
    """(q,) float32: how far faiss' score of an item may be from the exact one, for queries with (q, M, K) ``tables``.

    The fast scan rounds each table to steps of 1/255 of the widest one, or coarser where the sum would not fit 16 bits;
    M roundings add up to at most M half steps.
    """
    num_codebooks, num_codewords = tables.shape[1:]
    bound = np.full(len(tables), num_codebooks * _ROUNDING, np.float32)
    if has_fast_scan(num_codewords):
        spans = tables.max(2) - tables.min(2)
        bound += num_codebooks * np.maximum(spans.max(1) / 255, spans.sum(1) / 65535) / 2
    return bound


@register_engine("faiss")
class FaissEngine(Engine):
    """A scan by faiss, and an exact re-rank: the ranking is :class:`ExactEngine`'s. The gallery is cut into as many shards as
    there are threads, so that one query keeps all of them busy.

    faiss gives more candidates than are asked for, by scores that it rounds. An item that is no candidate has a rounded score of
    at most the last candidate's; its exact score is at most :func:`score_error_bound` above that. Where that is below the exact
    score of the k-th of the candidates, no item is missing. Otherwise four times as many candidates are taken.
    """

    def __init__(self, gallery: Gallery):
        self.codes, self.exact, self.built = gallery.codes, ExactEngine(gallery), len(gallery.codes)
        num_shards = min(torch.get_num_threads(), max(1, self.built // _SHARD))
        self.shards = [scan_index(gallery.codebooks, part) for part in np.array_split(gallery.codes, num_shards)]
        self._join()

    def _join(self) -> None:
        """Make of the shards an index that searches each in a thread, and one that leaves the threads to many queries."""
        self.index = self.for_one = self.shards[0]
        if len(self.shards) > 1:
            self.index, self.for_one = (_joined(self.shards, threaded) for threaded in (False, True))

    def grown(self, gallery):
        """This engine with the further items in its last shard; once that is too large, one with shards of equal size."""
        if len(gallery.codes) > _UNEVEN * self.built:
            return FaissEngine(gallery)
        self.shards[-1].merge_from(scan_index(gallery.codebooks, gallery.codes[len(self.codes) :]))
        self.codes, self.exact = gallery.codes, ExactEngine(gallery)
        self._join()  # a joined index has noted how long its shards were
        return self

    def search(self, queries, k):
        """The exact ranking."""
        keys = np.empty((len(queries), k), np.int64)
        remaining, num_candidates = np.arange(len(queries)), _more_than(k)
        while len(remaining) and num_candidates < len(self.codes) / 8:
            unsettled = []
            for rows in np.array_split(remaining, -(-len(remaining) * num_candidates // _CANDIDATES)):
                keys[rows], complete = self._best_candidates(queries[rows], k, num_candidates)
                unsettled.append(rows[~complete])
            remaining, num_candidates = np.concatenate(unsettled), 4 * num_candidates
        if len(remaining):  # with that many candidates, looking at all items is no slower
            keys[remaining] = self.exact.search(queries[remaining], k)
        return keys

    def _best_candidates(self, queries: Queries, k: int, num_candidates: int) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) keys of the best candidates, and (q,) bool: for which queries no other item can be better."""
        scan = self.for_one if len(queries) == 1 else self.index
        rounded, positions = scan.search(queries.embeddings, num_candidates)
        exact, bound = candidate_scores(queries.tables, self.codes, positions), score_error_bound(queries.tables)
        best = first_k(ranking_keys(exact, positions), k)
        bound_holds = np.abs(rounded - exact).max(1) <= bound  # else faiss does not round as this module assumes
        return best, bound_holds & (rounded[:, -1] + bound < scores_and_positions(best)[0][:, -1])


@register_engine("lists")
class InvertedListEngine(Engine):
    """``IndexIVFPQ``, with the fast scan where K = 16, and an exact re-rank of what it finds.

    Only the ``nprobe`` lists nearest to a query are looked at: faster, and items in other lists are missed.
    """

    needs_lists = True

    def __init__(self, gallery: Gallery):
        self.codes, self.exact = gallery.codes, ExactEngine(gallery)
        self.index = inverted_index(gallery.codebooks, gallery.codes, gallery.centroids, gallery.lists)
        self.index.nprobe = gallery.nprobe

    def grown(self, gallery):
        """This engine, with the further items in its lists."""
        new = slice(len(self.codes), None)
        more = inverted_index(gallery.codebooks, gallery.codes[new], gallery.centroids, gallery.lists[new])
        self.index.merge_from(more, len(self.codes))
        self.codes, self.exact = gallery.codes, ExactEngine(gallery)
        return self

    def search(self, queries, k):
        """The ranking of the lists' items. A query whose lists hold fewer than ``k`` gets the exact ranking of all."""
        num_candidates = min(_more_than(k), len(self.codes))
        _, positions = self.index.search(queries.embeddings, num_candidates)
        keys = ranking_keys(candidate_scores(queries.tables, self.codes, positions), positions)
        keys[positions < 0] = np.iinfo(np.int64).max
        best = first_k(keys, k)
        too_few = (positions >= 0).sum(1) < k
        if too_few.any():
            best[too_few] = self.exact.search(queries[too_few], k)
        return best


def _joined(shards: list, threaded: bool):
    """A ``faiss.IndexShards`` of indexes whose items follow each other."""
    joined = require_faiss().IndexShards(shards[0].d, threaded, True)
    for shard in shards:
        joined.add_shard(shard)
    return joined


def _more_than(k: int) -> int:
    """The number of candidates that are taken for the first ``k``."""
    return max(2 * k, k + 64)


def _parts(codes: np.ndarray) -> list[np.ndarray]:
    return np.array_split(codes, len(codes) // _ITEMS + 1)


def _flat_index(centroids: np.ndarray):
    index = require_faiss().IndexFlatIP(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids))
    return index

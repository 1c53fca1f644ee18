"""A gallery as packed codes under ids: it grows, shrinks, is searched and saved."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.engines import ENGINES, Engine, Gallery, Queries
from dcmq.codes.faiss_engines import assign_lists, cluster, faiss_installed
from dcmq.codes.ids import id_array, id_label, id_values, membership, positions
from dcmq.codes.index_file import read_index_file, write_index_file
from dcmq.codes.pack import code_size
from dcmq.codes.quantize import check_embeddings
from dcmq.codes.ranking import scores_and_positions
from dcmq.core.errors import DcmqError

AUTO = "auto"  # lets the index choose among the engines
_EXACT_BELOW = 10_000  # items, of which the reference looks at all in a few milliseconds


class SearchResult(NamedTuple):
    """(q, k) float32 scores, sums of M cosines, and (q, k) ids, best first; of equal scores the item added first."""

    scores: np.ndarray
    ids: np.ndarray


class CodeIndex:
    """A gallery of codes under one set of codebooks.

    Args:
        codebooks: (M, K, D / M), K a power of two.

    Attributes:
        codes: (n, code size) uint8, packed.
        centroids: (nlist, D) float32 of the inverted lists; nlist is 0 before :meth:`cluster`.
        lists: (n,) int32, the list of each item; empty before :meth:`cluster`.

    Raises:
        DcmqError: another shape, or a value that is not a number.
    """

    def __init__(self, codebooks: Tensor):
        if codebooks.ndim != 3 or not codebooks.isfinite().all():
            raise DcmqError(f"codebooks are {tuple(codebooks.shape)}, not (M, K, D / M), or hold NaN")
        self.codebooks = codebooks.detach().cpu().float().contiguous()
        self.num_codebooks, self.num_codewords, self.subvector_dim = self.codebooks.shape
        self.code_size = code_size(self.num_codebooks, self.num_codewords)  # bytes
        self.codes = np.empty((0, self.code_size), np.uint8)
        self._ids = np.empty(0, np.int64)
        self.centroids = np.empty((0, self.num_codebooks * self.subvector_dim), np.float32)
        self.lists = np.empty(0, np.int32)
        self._engines: dict[tuple[type[Engine], int], Engine] = {}
        self._checksum = ""  # of the file that this index was read from or written to

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ids(self) -> np.ndarray:
        """(n,) ids in the order in which items were added: int64, or text."""
        return id_values(self._ids)

    @property
    def bits(self) -> int:
        """Bits of a code: M * log2 K."""
        return self.num_codebooks * bits_per_codeword(self.num_codewords)

    @property
    def nlist(self) -> int:
        """The number of inverted lists; 0 before :meth:`cluster`."""
        return len(self.centroids)

    def add(self, codes: np.ndarray, ids) -> None:
        """Append items; codebooks and the items so far stay as they are.

        Args:
            codes: (n, code size) uint8 as :func:`dcmq.codes.quantize.quantize` makes them.
            ids: n distinct whole numbers, or n distinct texts.

        Raises:
            DcmqError: codes of another type, size or K, or an id that is empty, repeated or present. Nothing is added.
        """
        codes, new = np.asarray(codes), id_array(ids)
        self._check_codes(codes)
        if len(new) != len(codes):
            raise DcmqError(f"add: {len(codes)} codes and {len(new)} ids; there must be one id for each code")
        if not len(new):
            return
        if len(self) and new.dtype.kind != self._ids.dtype.kind:
            raise DcmqError("add: ids of an index are all whole numbers or all texts, and these are of the other kind")
        values, counts = np.unique(new, return_counts=True)
        repeated = np.concatenate([values[counts > 1], self._ids[membership(self._ids, new)]])
        if len(repeated):
            raise DcmqError(
                f"add: {len(repeated)} ids are in the index already or are given twice (first: {id_label(repeated[0])})"
            )
        self._ids = np.concatenate([self._ids, new]) if len(self) else new
        self.codes = np.concatenate([self.codes, codes])
        if self.nlist:
            self.lists = np.concatenate([self.lists, assign_lists(self.codebooks, codes, self.centroids)])
        self._engines.clear()

    def remove(self, ids) -> None:
        """Delete items.

        Raises:
            DcmqError: an id that is not in the index. Nothing is removed.
        """
        ids = np.unique(id_array(ids))
        same_kind = ids.dtype.kind == self._ids.dtype.kind
        removed = membership(self._ids, ids) if same_kind else np.zeros(len(self), bool)
        if removed.sum() < len(ids):
            absent = ids[~np.isin(ids, self._ids[removed])]
            raise DcmqError(f"remove: {len(absent)} ids are not in the index (first: {id_label(absent[0])})")
        self.codes, self._ids = self.codes[~removed], self._ids[~removed]
        if self.nlist:
            self.lists = self.lists[~removed]
        self._engines.clear()

    def positions(self, ids: np.ndarray) -> np.ndarray:
        """(m,) rows of items by their ids as :func:`dcmq.codes.ids.id_array` stores them; -1 where there is no such item."""
        return positions(self._ids, ids)

    def subset(self, ids) -> "CodeIndex":
        """An index of some items alone, in the order in which they were added, without lists.

        Raises:
            DcmqError: no id, or one that is not in the index.
        """
        wanted = np.unique(id_array(ids))
        rows = np.sort(self.positions(wanted))
        if not len(wanted) or rows[0] < 0:
            absent = wanted[self.positions(wanted) < 0]
            what = (
                f"{len(absent)} ids are not in the index (first: {id_label(absent[0])})"
                if len(absent)
                else "no id is given"
            )
            raise DcmqError(f"subset: {what}")
        some = CodeIndex(self.codebooks)
        some.codes, some._ids = self.codes[rows], self._ids[rows]
        return some

    def search(self, embeddings: Tensor, k: int, engine: str = AUTO, nprobe: int = 0) -> SearchResult:
        """The ``k`` nearest items to each of (q, D) query embeddings, which are not compressed (§3.5).

        Args:
            engine: a name in :data:`dcmq.codes.engines.ENGINES`: ``exact``, the reference; ``faiss``, the same result
                faster; ``lists``, faster still and not exact, after :meth:`cluster`. ``auto``: ``lists`` if the index was
                clustered, else ``faiss`` if it is installed and the gallery is large, else ``exact``.
            nprobe: how many inverted lists a query looks at; 0 is an eighth of them.

        Raises:
            DcmqError: an empty index, a ``k`` it cannot give, a query that is not a number or all zero, no such engine.
        """
        if not len(self):
            raise DcmqError("search: the index is empty; add codes first")
        if not 1 <= k <= len(self):
            raise DcmqError(f"search: k = {k}, and the index holds {len(self)} items; choose k from 1 to {len(self)}")
        check_embeddings(embeddings, self.codebooks, "query")
        if not embeddings.any(1).all():
            row = int((~embeddings.any(1)).nonzero()[0])
            raise DcmqError(f"search: query {row} is all zero, so nothing is near to it")
        queries = Queries.from_embeddings(embeddings.detach().cpu().float(), self.codebooks)
        scores, positions = scores_and_positions(self._engine(engine, nprobe).search(queries, k))
        return SearchResult(scores, id_values(self._ids[positions]))

    def cluster(self, nlist: int = 0, seed: int = 0) -> None:
        """Sort the items into inverted lists by direction, for the engine ``lists``. Items added later join the nearest.

        Args:
            nlist: how many lists; 0 is the square root of the number of items.

        Raises:
            DcmqError: fewer items than lists, or no faiss.
        """
        nlist = nlist or round(len(self) ** 0.5)
        if not 1 <= nlist <= len(self):
            raise DcmqError(f"cluster: {nlist} lists of {len(self)} items; there must be at least one item for each")
        self.centroids = cluster(self.codebooks, self.codes, nlist, seed)
        self.lists = assign_lists(self.codebooks, self.codes, self.centroids)
        self._engines.clear()

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write all of the index to one file; until it is whole, the former one stays.

        Raises:
            DcmqError: the file has been written by somebody else since it was read, and not ``overwrite``; no space.
        """
        arrays = {"codebooks": self.codebooks, "codes": self.codes, "ids": self._ids}
        if self.nlist:
            arrays |= {"centroids": self.centroids, "lists": self.lists}
        self._checksum = write_index_file(Path(path), arrays, self._checksum, overwrite)

    @classmethod
    def load(cls, path: Path | str, verify: bool = False) -> "CodeIndex":
        """Read what :meth:`save` wrote; codes and ids stay on disk until they are used.

        Args:
            verify: read all of the file and compare it with its checksum.

        Raises:
            DcmqError: no index, of another version, cut short, or with ``verify`` altered.
        """
        arrays, checksum = read_index_file(Path(path), verify)
        index = cls(torch.from_numpy(arrays["codebooks"]))
        index._check_codes(arrays["codes"], last=False)
        index.codes, index._ids, index._checksum = arrays["codes"], arrays["ids"], checksum
        if "lists" in arrays:
            index.centroids, index.lists = arrays["centroids"], arrays["lists"]
        return index

    def _engine(self, name: str, nprobe: int) -> Engine:
        engine = ENGINES[self._best_engine() if name == AUTO else name]
        if engine.needs_lists and not self.nlist:
            raise DcmqError(f"engine {name}: the index has no lists; call cluster() first, or choose faiss")
        nprobe = min(nprobe or default_nprobe(self.nlist), self.nlist)
        key = (engine, nprobe if engine.needs_lists else 0)
        if key not in self._engines:
            self._engines[key] = engine(Gallery(self.codebooks, self.codes, self.centroids, self.lists, nprobe))
        return self._engines[key]

    def _best_engine(self) -> str:
        if self.nlist:
            return "lists"
        return "faiss" if len(self) > _EXACT_BELOW and faiss_installed() else "exact"

    def _check_codes(self, codes: np.ndarray, last: bool = True) -> None:
        """Raise DcmqError for codes of another type or size; with ``last``, also where bits are set that no codeword has."""
        m_and_k = f"M = {self.num_codebooks}, K = {self.num_codewords}"
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != self.code_size:
            raise DcmqError(f"codes are {codes.dtype} {codes.shape}, not uint8 (n, {self.code_size}) as of {m_and_k}")
        unused = 8 * self.code_size - self.bits
        if last and unused and (codes[:, -1] & ((1 << unused) - 1)).any():
            raise DcmqError(f"codes use the last {unused} bits, which {m_and_k} leave 0: other M or K")


def default_nprobe(nlist: int) -> int:
    """The number of ``nlist`` inverted lists that a query looks at if nothing else is said: an eighth."""
    return -(-nlist // 8)

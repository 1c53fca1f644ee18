"""A gallery as packed codes under ids: it grows, shrinks, is searched and saved."""

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.engines import ENGINES, Engine, Gallery, Queries
from dcmq.codes.faiss_engines import assign_lists, cluster, faiss_installed, lists_for, reconstruct
from dcmq.codes.ids import Ids, given_ids, new_ids, stored_ids
from dcmq.codes.index_file import index_path, read_index_file, write_index_file
from dcmq.codes.pack import code_size
from dcmq.codes.quantize import checked_codebooks, checked_embeddings
from dcmq.codes.ranking import scores_and_positions
from dcmq.codes.rows import Rows
from dcmq.core.errors import DcmqError
from dcmq.core.numbers import whole_number

AUTO = "auto"  # lets the index choose among the engines
LISTS_FROM = 5_000_000  # items, of which a search by lists saves more than it misses
_QUERIES, _FIRST = 200, 100  # on which and among which the recall of lists is measured
_EXACT_BELOW = 10_000  # items, of which the reference looks at all in a few milliseconds


class SearchResult(NamedTuple):
    """(q, k) float32 scores, sums of M cosines, and (q, k) ids as :attr:`CodeIndex.ids` has them, best first; of equal scores
    the item added first."""

    scores: np.ndarray
    ids: np.ndarray


class CodeIndex:
    """A gallery of codes under one set of codebooks.

    Args:
        codebooks: (M, K, D / M) floats, K a power of two.

    Attributes:
        centroids: (nlist, D) float32 of the inverted lists; nlist is 0 before :meth:`cluster`.
        nprobe: how many lists a query looks at if nothing else is said.
        recall: the share of the exact first 100 that this finds, as :meth:`cluster` measured it; NaN where it was not measured.

    Raises:
        DcmqError: another shape or type, or a value that is not a number.
    """

    def __init__(self, codebooks: Tensor | np.ndarray):
        self.codebooks = checked_codebooks(codebooks)
        self._codewords = F.normalize(self.codebooks, dim=2).numpy()
        self.num_codebooks, self.num_codewords, self.subvector_dim = self.codebooks.shape
        self.code_size = code_size(self.num_codebooks, self.num_codewords)  # bytes
        self._codes = Rows(np.empty((0, self.code_size), np.uint8))
        self._ids: Ids = new_ids(np.empty(0, np.int64))
        self.centroids = np.empty((0, self.num_codebooks * self.subvector_dim), np.float32)
        self._lists = Rows(np.empty(0, np.int32))
        self.nprobe, self.recall = 0, math.nan
        self._engines: dict[tuple[type[Engine], int], tuple[Engine, int]] = {}  # each, and how many items it holds
        self._checksum = ""  # of the file that this index was read from or written to

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def codes(self) -> np.ndarray:
        """(n, code size) uint8, packed. Raises DcmqError where they are damaged on disk."""
        return self._codes.all()

    @property
    def ids(self) -> np.ndarray:
        """(n,) ids in the order in which items were added: int64, or Python's texts. Raises DcmqError where they are damaged
        on disk."""
        return self._ids.take(slice(None))

    @property
    def lists(self) -> np.ndarray:
        """(n,) int32, the list of each item; empty before :meth:`cluster`. Raises DcmqError where they are damaged on disk."""
        return self._lists.all()

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
            ids: n distinct whole numbers, or n distinct texts, see :func:`dcmq.codes.ids.given_ids`.

        Raises:
            DcmqError: codes of another type, size or K, or an id that is empty, repeated or present. Nothing is added.
        """
        codes, new = _byte_array(codes), given_ids(ids)
        self._check_codes(codes)
        if len(new) != len(codes):
            raise DcmqError(f"add: {len(codes)} codes and {len(new)} ids; there must be one id for each code")
        if not len(new):
            return
        if len(self) and type(new_ids(new[:1])) is not type(self._ids):
            raise DcmqError("add: ids of an index are all whole numbers or all texts, and these are of the other kind")
        present = self._ids.rows_of(new) >= 0
        if repeated := [*_repeated(new), *np.array(new, object)[present].tolist()]:
            raise DcmqError(
                f"add: {len(repeated)} ids are in the index already or are given twice (first: {repeated[0]!r})"
            )
        lists = assign_lists(self.codebooks, codes, self.centroids) if self.nlist else None
        if len(self):
            self._ids.append(new)
        else:
            self._ids = new_ids(new)
        self._codes.append(codes)
        if lists is not None:
            self._lists.append(lists)

    def remove(self, ids) -> None:
        """Delete items.

        Raises:
            DcmqError: an id that is not in the index. Nothing is removed.
        """
        kept = np.ones(len(self), bool)
        kept[self._rows_of(ids, "remove")] = False
        self._set_items(*self._items(np.flatnonzero(kept)), self.lists[kept] if self.nlist else self.lists)

    def positions(self, ids) -> np.ndarray:
        """(m,) rows of items by their ids; -1 where there is no such item."""
        return self._ids.rows_of(given_ids(ids))

    def subset(self, ids) -> "CodeIndex":
        """An index of some items alone, in the order in which they were added, without lists.

        Raises:
            DcmqError: no id, or one that is not in the index.
        """
        rows = np.unique(self._rows_of(ids, "subset"))
        if not len(rows):
            raise DcmqError("subset: no id is given")
        some = CodeIndex(self.codebooks)
        some._set_items(*self._items(rows), some.lists)
        return some

    def _rows_of(self, ids, doing: str) -> np.ndarray:
        wanted = given_ids(ids)
        rows = self._ids.rows_of(wanted)
        if (rows < 0).any():
            absent = [one for one, row in zip(wanted, rows, strict=True) if row < 0]
            first = absent[0] if isinstance(absent[0], str) else int(absent[0])
            raise DcmqError(f"{doing}: {len(absent)} ids are not in the index (first: {first!r})")
        return rows

    def _items(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes and ids of some rows."""
        return self._codes.take(rows), self._ids.take(rows)

    def _set_items(self, codes: np.ndarray, ids: np.ndarray, lists: np.ndarray) -> None:
        self._codes, self._lists = Rows(codes), Rows(lists)
        self._ids = new_ids(ids if ids.dtype.kind == "i" else ids.tolist())
        self._engines.clear()

    def search(self, embeddings: Tensor | np.ndarray, k: int, engine: str = AUTO, nprobe: int = 0) -> SearchResult:
        """The ``k`` nearest items to each of (q, D) query embeddings, which are not compressed (§3.5).

        Args:
            engine: a name in :data:`dcmq.codes.engines.ENGINES`: ``exact``, the reference; ``faiss``, the same result
                faster; ``lists``, faster still and not exact, after :meth:`cluster`. ``auto``: ``lists`` if the index was
                clustered, else ``faiss`` if it is installed and the gallery is large, else ``exact``.
            nprobe: how many inverted lists a query looks at; 0 is :attr:`nprobe`.

        Raises:
            DcmqError: an empty index, a ``k`` it cannot give, a query that is not a number or all zero, no such engine.
        """
        if not len(self):
            raise DcmqError("search: the index is empty; add codes first")
        k = whole_number(f"search: the index holds {len(self)} items, and k", k, 1, len(self))
        embeddings = checked_embeddings(embeddings, self.codebooks, "query")
        if not len(embeddings):
            return SearchResult(np.empty((0, k), np.float32), self._ids.take(slice(0, 0)).reshape(0, 1).repeat(k, 1))
        queries = Queries.from_embeddings(embeddings, self._codewords)
        scores, positions = scores_and_positions(self._engine(engine, nprobe).search(queries, k))
        return SearchResult(scores, self._ids.take(positions.ravel()).reshape(positions.shape))

    def cluster(self, nlist: int = 0, seed: int = 0, recall: float = 0.95, queries=None) -> None:
        """Sort the items into inverted lists by direction, for the engine ``lists``, and find how many of them a query has to
        look at. Items added later join the nearest.

        Args:
            nlist: how many lists; 0 is the square root of the number of items.
            recall: the share of the exact first 100 that is wanted, above 0 and at most 1: :attr:`nprobe` is chosen for it.
            queries: (q, D) embeddings as those that will be asked for; without them, 200 of the items themselves, which find
                their likes more easily than queries of another modality do.

        Raises:
            DcmqError: fewer items than lists, a number out of bounds, queries that do not fit, or no faiss.
        """
        if not len(self):
            raise DcmqError("cluster: the index is empty; add codes first")
        if isinstance(recall, bool) or not isinstance(recall, int | float | np.floating) or not 0 < recall <= 1:
            raise DcmqError(f"cluster: recall is {recall!r}: it has to be a share, above 0 and at most 1")
        nlist = whole_number(f"cluster: the index holds {len(self)} items, and nlist", nlist, 0, len(self))
        seed, nlist = whole_number("cluster: seed", seed, 0, 2**31 - 1), nlist or round(len(self) ** 0.5)
        if queries is None:
            sample = np.random.default_rng(seed).permutation(len(self))[:_QUERIES]
            queries = reconstruct(self.codebooks, self.codes[np.sort(sample)])
        asked = Queries.from_embeddings(checked_embeddings(queries, self.codebooks, "query"), self._codewords)
        if not len(asked):
            raise DcmqError("cluster: queries are none; leave them away, and some of the items are asked for")
        self.centroids = cluster(self.codebooks, self.codes, nlist, seed)
        self._lists = Rows(assign_lists(self.codebooks, self.codes, self.centroids))
        self._engines.clear()
        self.nprobe, self.recall = lists_for(self._gallery(1), recall, asked, min(_FIRST, len(self)))

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write all of the index to one file; until it is whole, the former one stays.

        Raises:
            DcmqError: the file has been written by somebody else since it was read, and not ``overwrite``; no space; or the file
                that this index was read from is damaged.
        """
        arrays = {"codebooks": self.codebooks, "codes": self.codes, **self._ids.arrays()}
        if self.nlist:
            probing = np.array([self.nprobe, self.recall])
            arrays |= {"centroids": self.centroids, "lists": self.lists, "probing": probing}
        self._checksum = write_index_file(index_path(path), arrays, self._checksum, overwrite)

    @classmethod
    def load(cls, path: Path | str, verify: bool = False) -> "CodeIndex":
        """Read what :meth:`save` wrote; codes and ids stay on disk until they are used, and are proven then.

        Args:
            verify: read all of the file now and compare it with its checksum.

        Raises:
            DcmqError: no index, of another version, or damaged.
        """
        arrays, checksum = read_index_file(index_path(path), verify)
        index = cls(torch.from_numpy(arrays["codebooks"][:].copy()))
        index._check_codes(np.empty((0, *arrays["codes"].shape[1:]), arrays["codes"].dtype))
        index._codes, index._ids, index._checksum = Rows(arrays["codes"]), stored_ids(arrays), checksum
        if len(index._ids) != len(index):
            raise DcmqError(f"{path} holds {len(index)} codes and {len(index._ids)} ids: build it anew")
        if "lists" in arrays:
            index.centroids, index._lists = arrays["centroids"][:], Rows(arrays["lists"])
            index.nprobe = -(-index.nlist // 8)  # as in files of the time before it was chosen by recall
            if "probing" in arrays:
                nprobe, index.recall = arrays["probing"][:].tolist()
                index.nprobe = int(nprobe)
        return index

    def _engine(self, name: str, nprobe: int) -> Engine:
        engine = ENGINES[self._best_engine() if name == AUTO else name]
        if engine.needs_lists and not self.nlist:
            raise DcmqError(f"engine {name}: the index has no lists; call cluster() first, or choose faiss")
        nprobe = min(whole_number("search: nprobe", nprobe, 0, 2**31 - 1) or self.nprobe, self.nlist)
        key = (engine, nprobe if engine.needs_lists else 0)
        made, holds = self._engines.get(key, (None, 0))
        if made is None or holds < len(self):
            gallery = self._gallery(nprobe)
            made = made.grown(gallery) if made else engine(gallery)
            self._engines[key] = made, len(self)
        return made

    def _gallery(self, nprobe: int) -> Gallery:
        return Gallery(self.codebooks, self.codes, self.centroids, self.lists, nprobe)

    def _best_engine(self) -> str:
        if self.nlist:
            return "lists"
        return "faiss" if len(self) > _EXACT_BELOW and faiss_installed() else "exact"

    def _check_codes(self, codes: np.ndarray) -> None:
        """Raise DcmqError for codes of another type or size, or where bits are set that no codeword has."""
        m_and_k = f"M = {self.num_codebooks}, K = {self.num_codewords}"
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != self.code_size:
            raise DcmqError(f"codes are {codes.dtype} {codes.shape}, not uint8 (n, {self.code_size}) as of {m_and_k}")
        unused = 8 * self.code_size - self.bits
        if unused and (codes[:, -1] & ((1 << unused) - 1)).any():
            raise DcmqError(f"codes use the last {unused} bits, which {m_and_k} leave 0: other M or K")


def _byte_array(codes) -> np.ndarray:
    try:
        return np.asarray(codes.cpu() if isinstance(codes, Tensor) else codes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DcmqError(f"add: codes are no array ({str(error).splitlines()[0][:100]})") from None


def _repeated(ids: np.ndarray | list[str]) -> list:
    """Those of ``ids`` that are given more than once."""
    if isinstance(ids, np.ndarray):
        values, counts = np.unique(ids, return_counts=True)
        return values[counts > 1].tolist()
    return [] if len(set(ids)) == len(ids) else [one for one, times in Counter(ids).items() if times > 1]

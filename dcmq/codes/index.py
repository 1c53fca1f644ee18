"""A gallery as packed codes under ids: grows, forgets, is searched and saved."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from torch import Tensor

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.engines import Engine, ExactEngine, Queries
from dcmq.codes.faiss_engines import FaissEngine, InvertedListEngine, cluster, faiss, nearest_lists
from dcmq.codes.ids import members, readable, shown, stored
from dcmq.codes.quantize import _check_embeddings
from dcmq.codes.ranking import unkeyed
from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, load_tensors, open_tensors, save_tensors

ENGINES = ("auto", "exact", "faiss", "lists")


FORMAT, VERSION = "dcmq index", "1"


_EXACT_BELOW = 10_000  # items, of which the reference looks at all in a few milliseconds


class Found(NamedTuple):
    """(q, k) float32 scores, sums of M cosines, and (q, k) ids, best first; of equal scores the item added first."""

    scores: np.ndarray
    ids: np.ndarray


class CodeIndex:
    """A gallery of codes that one set of codebooks gives meaning.

    Args:
        codebooks: (M, K, D / M), K a power of two.

    Raises:
        DcmqError: another shape, or a value that is not a number.
    """

    def __init__(self, codebooks: Tensor):
        if codebooks.ndim != 3 or not codebooks.isfinite().all():
            raise DcmqError(f"codebooks are {tuple(codebooks.shape)}, not (M, K, length), or hold NaN")
        self.codebooks = codebooks.detach().cpu().float().contiguous()
        self.num_codebooks, self.words = self.codebooks.shape[:2]
        self.width = -(-self.num_codebooks * bits_per_codeword(self.words) // 8)  # bytes per item
        self.codes = np.empty((0, self.width), np.uint8)
        self._ids = np.empty(0, np.int64)
        self._centres = np.empty((0, self.num_codebooks * self.codebooks.shape[2]), np.float32)
        self._lists = np.empty(0, np.int32)
        self._engines: dict[tuple, Engine] = {}
        self._checksum = ""  # of the file that this index was read from or written to

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ids(self) -> np.ndarray:
        """(n,) in the order in which items were added: int64, or text."""
        return readable(self._ids)

    @property
    def bits(self) -> int:
        """Of a code: M * log2 K."""
        return self.num_codebooks * bits_per_codeword(self.words)

    def add(self, codes: np.ndarray, ids) -> None:
        """Append items; codebooks and what is there already stay as they are.

        Args:
            codes: (n, width) uint8 as :func:`encode` makes them.
            ids: n distinct whole numbers, or n distinct texts.

        Raises:
            DcmqError: codes of another type, width or K, or an id that is empty, repeated or there already. Nothing is added.
        """
        codes, new = np.asarray(codes), stored(ids)
        self._check_codes(codes)
        if len(new) != len(codes):
            raise DcmqError(f"add: {len(codes)} codes and {len(new)} ids; there must be one id for each code")
        if not len(new):
            return
        if len(self) and new.dtype.kind != self._ids.dtype.kind:
            raise DcmqError("add: ids of an index are all whole numbers or all texts, and these are of the other kind")
        values, times = np.unique(new, return_counts=True)
        twice = np.concatenate([values[times > 1], self._ids[members(self._ids, new)]])
        if len(twice):
            raise DcmqError(
                f"add: {len(twice)} ids are in the index already or are given twice (first: {shown(twice[0])})"
            )
        self._ids = np.concatenate([self._ids, new]) if len(self) else new
        self.codes = np.concatenate([self.codes, codes])
        if len(self._centres):
            self._lists = np.concatenate([self._lists, nearest_lists(self.codebooks, codes, self._centres)])
        self._engines.clear()

    def remove(self, ids) -> None:
        """Forget items.

        Raises:
            DcmqError: an id that is not there. Nothing is removed.
        """
        gone = np.unique(stored(ids))
        there = members(self._ids, gone) if gone.dtype.kind == self._ids.dtype.kind else np.zeros(len(self), bool)
        if there.sum() < len(gone):
            absent = gone[~np.isin(gone, self._ids[there])]
            raise DcmqError(f"remove: {len(absent)} ids are not in the index (first: {shown(absent[0])})")
        self.codes, self._ids = self.codes[~there], self._ids[~there]
        if len(self._centres):
            self._lists = self._lists[~there]
        self._engines.clear()

    def search(self, embeddings: Tensor, k: int, engine: str = "auto", probes: int = 0) -> Found:
        """The first ``k`` items for each of (q, D) embeddings of queries, which are not compressed (§3.5).

        Args:
            engine: ``exact``, the reference; ``faiss``, the same result faster; ``lists``, faster still and not exact, after
                :meth:`cluster`; ``auto``: ``lists`` if the index was clustered, else ``faiss`` if it is installed and pays.
            probes: how many lists a query looks at; 0 is an eighth of them.

        Raises:
            DcmqError: an empty index, a ``k`` it cannot give, a query that is not a number or all zero, no such engine.
        """
        if not len(self):
            raise DcmqError("search: the index is empty; add codes first")
        if not 1 <= k <= len(self):
            raise DcmqError(f"search: k = {k}, and the index holds {len(self)} items; choose k from 1 to {len(self)}")
        _check_embeddings(embeddings, self.codebooks, "query")
        if not embeddings.any(1).all():
            raise DcmqError(
                f"search: query {int((~embeddings.any(1)).nonzero()[0])} is all zero, so nothing is near to it"
            )
        queries = Queries.of(embeddings.detach().cpu().float(), self.codebooks)
        scores, places = unkeyed(self._engine(engine, probes).search(queries, k))
        return Found(scores, readable(self._ids[places]))

    def cluster(self, lists: int = 0, seed: int = 0) -> None:
        """Sort the items into inverted lists by direction, for the engine ``lists``. Items added later join the nearest.

        Args:
            lists: how many; 0 is the square root of the number of items.

        Raises:
            DcmqError: fewer items than lists, or no faiss.
        """
        lists = lists or round(len(self) ** 0.5)
        if not 1 <= lists <= len(self):
            raise DcmqError(f"cluster: {lists} lists of {len(self)} items; there must be at least one item for each")
        self._centres = cluster(self.codebooks, self.codes, lists, seed)
        self._lists = nearest_lists(self.codebooks, self.codes, self._centres)
        self._engines.clear()

    @property
    def lists(self) -> tuple[np.ndarray, np.ndarray]:
        """(L, D) centres and (n,) each item's list; L is 0 before :meth:`cluster`."""
        return self._centres, self._lists

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write all to one file; until it is whole, the former one stays.

        Raises:
            DcmqError: the file has been written by somebody else since it was read, and not ``overwrite``; no space.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = self._ids if self._ids.dtype.kind == "i" else self._ids[:, None].view(np.uint8)
        tensors = {"codebooks": self.codebooks, "codes": self.codes, "ids": ids}
        if len(self._centres):
            tensors |= {"centres": self._centres, "lists": self._lists}
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.exists() and not overwrite and _file_checksum(path) != self._checksum:
                raise DcmqError(
                    f"{path} holds an index that this one did not come from, or that was changed since: load it and add to it, "
                    "or save under another name"
                )
            save_tensors(path, tensors, {"format": FORMAT, "version": VERSION})
            self._checksum = _file_checksum(path)

    @classmethod
    def load(cls, path: Path | str, verify: bool = False) -> "CodeIndex":
        """Read what :meth:`save` wrote; codes and ids stay on disk until they are used.

        Args:
            verify: read all of it and compare with its checksum.

        Raises:
            DcmqError: no index, of another version, cut short, or with ``verify`` altered.
        """
        path = Path(path)
        if not path.is_file():
            raise DcmqError(f"there is no index {path}: build it first")
        try:
            tensors, meta = open_tensors(path)
            if verify:
                load_tensors(path)
        except CorruptFile as error:
            reason = str(error).removesuffix(": delete it and run again")
            raise DcmqError(f"{reason}: it is no index or was damaged; copy it again, or build it anew") from None
        if meta.get("format") != FORMAT:
            raise DcmqError(f"{path} is no index of codes, but some other safetensors file")
        if meta.get("version") != VERSION:
            raise DcmqError(f"{path} has format version {meta.get('version')}, this dcmq reads {VERSION}: update dcmq")
        if missing := {"codebooks", "codes", "ids"} - tensors.keys():
            raise DcmqError(f"{path} has no {', '.join(sorted(missing))}: build it anew")
        index = cls(tensors["codebooks"])
        codes, ids = tensors["codes"].numpy(), tensors["ids"].numpy()
        index._check_codes(codes, last=False)
        if len(ids) != len(codes):
            raise DcmqError(f"{path} holds {len(codes)} codes and {len(ids)} ids: build it anew")
        index.codes = codes
        index._ids = ids if ids.ndim == 1 else ids.view(f"S{ids.shape[1]}")[:, 0]
        if "lists" in tensors:
            index._centres, index._lists = tensors["centres"].numpy(), tensors["lists"].numpy()
        index._checksum = meta.get("checksum", "")
        return index

    def _engine(self, name: str, probes: int) -> Engine:
        if name == "auto":
            name = "lists" if len(self._centres) else "faiss" if len(self) > _EXACT_BELOW and _installed() else "exact"
        if name not in ENGINES:
            raise DcmqError(f"engine {name!r} is none of {', '.join(ENGINES)}")
        if name == "lists" and not len(self._centres):
            raise DcmqError("engine lists: the index has none; call cluster() first, or choose faiss")
        probes = min(probes or default_probes(len(self._centres)), len(self._centres))
        key = (name, probes if name == "lists" else 0)
        if key not in self._engines:
            self._engines[key] = {
                "exact": lambda: ExactEngine(self.codebooks, self.codes),
                "faiss": lambda: FaissEngine(self.codebooks, self.codes),
                "lists": lambda: InvertedListEngine(self.codebooks, self.codes, *self.lists, probes),
            }[name]()
        return self._engines[key]

    def _check_codes(self, codes: np.ndarray, last: bool = True) -> None:
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != self.width:
            raise DcmqError(
                f"codes are {codes.dtype} {codes.shape}, not uint8 (n, {self.width}) as of M = {self.num_codebooks}, K = {self.words}"
            )
        unused = 8 * self.width - self.bits
        if last and unused and (codes[:, -1] & ((1 << unused) - 1)).any():
            raise DcmqError(
                f"codes use the last {unused} bits, which M = {self.num_codebooks}, K = {self.words} leave 0: other M or K"
            )


def default_probes(lists: int) -> int:
    """How many of ``lists`` lists a query looks at if nothing else is said: an eighth."""
    return -(-lists // 8)


def _installed() -> bool:
    try:
        faiss()
    except DcmqError:
        return False
    return True


def _file_checksum(path: Path) -> str:
    try:
        return open_tensors(path)[1].get("checksum", "")
    except CorruptFile:
        return "damaged"

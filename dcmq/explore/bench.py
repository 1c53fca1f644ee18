"""The bench: items, rankers, and what is looked at now. It knows no widget, so all of it can be called and tested."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.class_names import named_classes
from dcmq.explore.items import KINDS, Items
from dcmq.explore.rankers import Ranker

T = TypeVar("T")
MOST_SELECTED = 500
MODALITY = {"image": "images", "text": "texts"}  # of a query that is an item


class Bench:
    """Items, rankers, and the state that all views share.

    Attributes:
        query: ``{"kind": "words", "text": ...}``, or ``{"kind": "image" or "text", "row": ...}``.
        gallery: ``images`` or ``texts``, what is searched in.
        left, right: names of rankers; ``right`` may be empty.
        selection: rows, at most :data:`MOST_SELECTED`.
    """

    def __init__(self, items: Items, rankers: Sequence[Ranker]):
        if not rankers:
            raise DcmqError("explorer: there is nothing that ranks; give a run, or the teacher's embeddings")
        self.items, self.rankers = items, {ranker.name: ranker for ranker in rankers}
        self._cache: dict[Hashable, object] = {}
        names = list(self.rankers)
        self.left, self.right = names[0], names[1] if len(names) > 1 else ""
        self.gallery = next(kind for kind in KINDS if items.has[kind].any())
        self.query, self.selection = self._first_query(), []

    def set(self, name: str, value) -> None:
        """Change a part of the state. Raises DcmqError for a value that it cannot have; nothing is changed then."""
        checks = {
            "query": self._checked_query,
            "gallery": self._checked_gallery,
            "left": self._checked_ranker,
            "right": lambda value: self._checked_ranker(value) if value else "",
            "selection": self._checked_selection,
        }
        setattr(self, name, checks[name](value))

    @property
    def state(self) -> dict:
        """The parts of the state by name."""
        return {name: getattr(self, name) for name in ("query", "gallery", "left", "right", "selection")}

    @property
    def shown_rankers(self) -> list[Ranker]:
        """The left ranker, and the right one if it is another."""
        return [self.rankers[name] for name in dict.fromkeys([self.left, self.right]) if name]

    def cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value that ``compute`` gave for this ``key`` the first time; for what takes long and never changes."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def query_embedding(self, ranker: Ranker) -> Tensor:
        """(1, D): the query as ``ranker`` sees it. Raises DcmqError where it cannot read it."""
        if self.query["kind"] == "words":
            return ranker.read(self.query["text"])[None]
        return ranker.embedding(MODALITY[self.query["kind"]], self.query["row"])

    @property
    def own_row(self) -> int:
        """The row of the query where it is of the gallery's kind, and would find itself; else -1."""
        return self.query["row"] if MODALITY.get(self.query["kind"]) == self.gallery else -1

    def scorer(self, ranker: Ranker, kind: str) -> Callable[[Tensor], Tensor]:
        """A function of (q, D) queries to their scores of the gallery of a kind, (q, g), made once."""
        return self.cached(("scorer", ranker.name, kind), lambda: ranker.scorer(kind, self.items.gallery(kind)))

    def relevant(self, rows: np.ndarray) -> np.ndarray | None:
        """(n,) bool: which of ``rows`` share a label with the query, or have a class that its words name; None where that
        is not known."""
        labels = self.items.labels
        if labels is None:
            return None
        if self.query["kind"] != "words":
            return labels[np.ix_(rows, labels[self.query["row"]])].any(1)
        classes = named_classes(self.query["text"], self.items.classes, self.items.word_pattern)
        return labels[np.ix_(rows, classes)].any(1) if classes else None

    def info(self) -> dict:
        """Facts that never change, for the browser: counts, names of classes, splits and rankers."""
        names, counts = np.unique(self.items.splits, return_counts=True)
        return {
            "name": self.items.name,
            "items": len(self.items),
            "kinds": {kind: int(self.items.has[kind].sum()) for kind in KINDS},
            "splits": dict(zip(names.tolist(), counts.tolist(), strict=True)),
            "classes": list(self.items.classes),
            "labels": self.items.labels is not None,
            "rankers": [_ranker_info(ranker) for ranker in self.rankers.values()],
        }

    def _first_query(self) -> dict:
        rows = np.flatnonzero(self.items.splits == "query")
        if len(rows):
            return {"kind": "text", "row": int(rows[0])}
        return {"kind": self.gallery[:-1], "row": int(self.items.gallery(self.gallery)[0])}

    def _checked_query(self, value) -> dict:
        match value:
            case {"kind": "words", "text": str(text)} if text.strip():
                return {"kind": "words", "text": text.strip()}
            case {"kind": "image" | "text" as kind, "row": row}:
                (row,) = self.items.rows_of([row])
                if not self.items.has[MODALITY[kind]][row]:
                    raise DcmqError(f"query: {self.items.ids[row]} has no {kind}")
                return {"kind": kind, "row": row}
        raise DcmqError("query: say some words, or choose an image or a text")

    def _checked_gallery(self, value) -> str:
        if value not in KINDS:
            raise DcmqError(f"gallery: {value!r} is none of {', '.join(KINDS)}")
        self.items.gallery(value)  # which raises where it is empty
        return value

    def _checked_ranker(self, value) -> str:
        if value not in self.rankers:
            hint = suggestion(str(value), self.rankers)
            raise DcmqError(f"ranker: {value!r} is not known{hint} (known: {', '.join(self.rankers)})")
        return value

    def _checked_selection(self, value) -> list[int]:
        rows = list(dict.fromkeys(self.items.rows_of(value)))
        if len(rows) > MOST_SELECTED:
            raise DcmqError(f"selection: {len(rows):,} items; at most {MOST_SELECTED} can be selected at a time")
        return rows


def _ranker_info(ranker: Ranker) -> dict:
    codebooks = ranker.codebooks
    size = (0, 0) if codebooks is None else codebooks.shape[:2]
    return {
        "name": ranker.name,
        "description": ranker.description,
        "codes": codebooks is not None,
        "M": size[0],
        "K": size[1],
    }

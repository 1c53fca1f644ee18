"""What a reader of some layout hands over to be prepared: everything but decoded pictures and a split."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from dcmq.core.errors import DcmqError
from dcmq.data.splits import Split


class StoredImages(Protocol):
    """Images that are not a file each: ``key`` identifies where they lie, ``rows`` which of them are meant."""

    key: str
    rows: np.ndarray

    def read(self, row: int) -> np.ndarray:
        """The image of ``row``, (H, W, 3) uint8."""


@dataclass(frozen=True)
class Source:
    """Samples with labels and texts, in row order, as read from ``root``.

    Attributes:
        population: which of several filters made the rows, empty where there is but one.
        files: (n,) picture files.
        captions, tags: raw texts, a tuple per row; one of the two is empty.
        bow, vocabulary: where the data set brings its own tag matrix; else words are counted on the training rows.
        any_language: whether words may hold letters beyond a-z; the recipe for captions in English has a-z only.
        counts: what was counted while reading, by name: compared with published counts.
        dropped: how many samples each filter left out.
        query, train: sizes of the published split, if there is one.
        choices: what else was decided, for the record and the fingerprint.
        recipe: how a split is drawn, ``random`` or ``per class``; ``given`` if ``split`` brings it.
        placeholders: whether a service may have answered with a picture of its own instead of one that is gone.
        filtered: whether others chose the rows, so that what was counted before is unknown.
        images: how to read pictures that are not a file each.
        hash_images: whether the fingerprint holds a hash of the decoded pictures.

    Raises:
        DcmqError: all samples are of one class.
    """

    name: str
    population: str
    root: Path
    ids: np.ndarray
    files: list[Path]
    classes: tuple[str, ...]
    labels: np.ndarray
    captions: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    counts: dict[str, int]
    dropped: dict[str, int]
    query: int | None = None
    train: int | None = None
    choices: dict = field(default_factory=dict)
    bow: csr_matrix | None = None
    vocabulary: tuple[str, ...] = ()
    any_language: bool = False
    recipe: str = "random"
    split: Split | None = None
    placeholders: bool = False
    filtered: bool = False
    images: "StoredImages | None" = None
    hash_images: bool = True

    def __post_init__(self):
        used = np.flatnonzero(self.labels.any(0))
        if len(used) == 1:
            raise DcmqError(
                f"{self.name}: one class only, {self.classes[used[0]]!r}, in {self.root}: every picture would be relevant "
                "to every query"
            )

    def rows(self, kept: np.ndarray, **changes) -> "Source":
        """The same source with the rows ``kept`` (sorted numbers) only."""
        numbers = np.full(len(self.ids), -1)
        numbers[kept] = np.arange(len(kept))
        parts = None
        if self.split is not None:
            split = (self.split.query, self.split.train, self.split.gallery, self.split.validation)
            parts = Split(*(numbers[part][numbers[part] >= 0] for part in split))
        return replace(
            self,
            ids=self.ids[kept],
            files=[self.files[i] for i in kept],
            images=replace(self.images, rows=self.images.rows[kept]) if self.images else None,
            labels=self.labels[kept],
            captions=tuple(self.captions[i] for i in kept) if self.captions else (),
            tags=tuple(self.tags[i] for i in kept) if self.tags else (),
            bow=None if self.bow is None else self.bow[kept],
            split=parts,
            **changes,
        )


def named(matrix: csr_matrix, vocabulary: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The words of each row of a 0/1 matrix, in column order."""
    words = np.array(vocabulary, object)[matrix.indices].tolist()
    return tuple(tuple(words[i:j]) for i, j in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True))

"""The samples that a reader of some layout hands over to be prepared: everything but decoded images and a split."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_matrix

from dcmq.core.errors import DcmqError
from dcmq.data.splits import Split


@runtime_checkable
class StoredImages(Protocol):
    """Images that are not a file each."""

    @property
    def key(self) -> str:
        """The name under which they lie in their file."""

    @property
    def rows(self) -> np.ndarray:
        """(n,) numbers there of the n images that are meant."""

    def read(self, row: int) -> np.ndarray:
        """The image of ``row``, one of 0 to n - 1, as (H, W, 3) uint8."""

    def only(self, kept: np.ndarray) -> "StoredImages":
        """The same images, of which only those of the rows ``kept`` are meant."""


@dataclass(frozen=True)
class Source:
    """Samples with labels and texts, in row order, as read from ``root``.

    Attributes:
        population: name of the filter that chose the rows, empty where there is but one.
        files: (n,) image files.
        captions, tags: raw texts, a tuple per row; one of the two is empty.
        bow, vocabulary: where the data set brings its own tag matrix; else words are counted on the training rows.
        any_language: True where words may hold letters beyond a-z; the recipe for captions in English has a-z only.
        counts: counts made while reading, by name, to be compared with the published ones.
        dropped: number of samples that each filter left out.
        query, train: sizes of the published split, if there is one.
        choices: other decisions, by name, for the record and the fingerprint.
        recipe: how a split is drawn, ``random`` or ``per class``; ``given`` if ``split`` brings it.
        placeholders: True where a service may have answered with an image of its own instead of one that is gone.
        filtered: True where others chose the rows, so that counts before their filters are unknown.
        images: a reader of images that are not a file each.
        hash_images: True where the fingerprint holds a hash of the decoded images, False where only of such as replaced others.

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
    images: StoredImages | None = None
    hash_images: bool = True

    def __post_init__(self):
        used = np.flatnonzero(self.labels.any(0))
        if len(used) == 1:
            raise DcmqError(
                f"{self.name}: one class only, {self.classes[used[0]]!r}, in {self.root}: every image would be relevant "
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
            images=self.images.only(kept) if self.images else None,
            labels=self.labels[kept],
            captions=tuple(self.captions[i] for i in kept) if self.captions else (),
            tags=tuple(self.tags[i] for i in kept) if self.tags else (),
            bow=None if self.bow is None else self.bow[kept],
            split=parts,
            **changes,
        )


def row_words(matrix: csr_matrix, vocabulary: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The words of each row of a (n, V) 0/1 matrix, in column order."""
    words = np.array(vocabulary, object)[matrix.indices].tolist()
    return tuple(tuple(words[i:j]) for i, j in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True))

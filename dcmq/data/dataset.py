"""A data set in memory: images, labels, texts, and a split with a hash."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_matrix

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.data.splits import Split
from dcmq.data.words import LATIN


@dataclass(frozen=True)
class RetrievalDataset:
    """A data set ready for training and retrieval; everything is in row order.

    Attributes:
        ids: (n,) names or numbers of the images.
        labels: (n, C) uint8 0/1, the true labels: relevance, and nothing else, uses them.
        train_labels: (n, C) uint8 0/1, the labels that annotators gave, perhaps incomplete: the teacher's sentences and
            the multi-hot target use them.
        images: (n, H, W, 3) uint8, perhaps memory-mapped.
        bow: (n, V) float32 0/1 sparse bags of words over ``vocabulary``: the student's text.
        captions, tags: the raw texts, a tuple per row; either may be empty.
        fingerprint: identifies content, split and every choice made.
        choices: those choices by name, for the record.
        word_pattern: what the words of ``vocabulary`` are, as :func:`dcmq.data.words.words` takes it; a search reads
            its text by the same.
        backgrounds: (n,) number of each image's background where that is known, else empty: what a ranking reaches that sees
            nothing else is measured by it.
        image_code: fingerprint of the code that made the images, where ``fingerprint`` knows nothing of their content.
    """

    name: str
    ids: np.ndarray
    classes: tuple[str, ...]
    labels: np.ndarray
    train_labels: np.ndarray
    images: np.ndarray
    bow: csr_matrix
    vocabulary: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    split: Split
    fingerprint: str
    choices: dict
    backgrounds: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    image_code: str = ""
    word_pattern: str = LATIN

    def __post_init__(self):
        n, shape = len(self.ids), (len(self.ids), len(self.classes))
        for name in ("labels", "train_labels"):
            labels = getattr(self, name)
            if labels.dtype != np.uint8 or labels.shape != shape:
                raise DcmqError(
                    f"{self.name}: {name} are {labels.dtype} {labels.shape}, not uint8 {shape}: ragged labels?"
                )
            empty = np.flatnonzero(labels.sum(1) == 0)
            if len(empty):
                raise DcmqError(
                    f"{self.name}: {len(empty)} samples have no label in {name} (first: {self.ids[empty[0]]}); drop them"
                )
        if self.images.shape[:1] + self.images.shape[3:] != (n, 3) or self.images.dtype != np.uint8:
            raise DcmqError(
                f"{self.name}: images are {self.images.dtype} {self.images.shape}, not uint8 ({n}, H, W, 3)"
            )
        if self.bow.shape != (n, len(self.vocabulary)):
            raise DcmqError(f"{self.name}: bag-of-words is {self.bow.shape}, not {(n, len(self.vocabulary))}")
        if (
            np.isin(self.split.query, self.split.gallery).any()
            or not np.isin(self.split.train, self.split.gallery).all()
        ):
            raise DcmqError(
                f"{self.name}: queries must lie outside the gallery and train inside it; draw the split again"
            )

    def label_sentences(self, rows: np.ndarray | None = None) -> list[str]:
        """The sentence of each row that the teacher reads: its annotated labels' names in class order, joined by spaces
        (§3.2)."""
        names = [c.replace("_", " ") for c in self.classes]
        labels = self.train_labels if rows is None else self.train_labels[rows]
        return [" ".join(names[c] for c in np.flatnonzero(row)) for row in labels]

    def text_of(self, row: int, kind: str) -> str | None:
        """The text of a row: its first caption (``caption``), or its tags joined by spaces (``tags``, ours). None where it
        has no caption, or where the data set has no tags."""
        texts = {"caption": self.captions, "tags": self.tags}[kind]
        if not texts:
            return None
        if kind == "tags":
            return " ".join(texts[row])
        return texts[row][0] if texts[row] else None

    def validation_view(self) -> "RetrievalDataset":
        """The same data with the validation cut of train as queries, which are in no gallery, to choose settings on.

        The rest of train is train, and the gallery is all that the real one has but the cut: choices are judged on items that
        are unseen. Where all of the gallery is trained on, train is a random half of its rest, so that the other half is unseen.
        """
        rest = np.setdiff1d(self.split.train, self.split.validation)
        gallery = np.setdiff1d(self.split.gallery, self.split.validation)
        if len(rest) == len(gallery):
            rest = np.sort(np.random.default_rng(0).permutation(rest)[: len(rest) // 2])
        split = Split(self.split.validation, rest, gallery, self.split.validation[:0])
        choices = self.choices | {"view": "validation"}
        return replace(self, split=split, choices=choices, fingerprint=digest(self.fingerprint, split.hash))

    def chance(self) -> float:
        """Mean share of the gallery that is relevant to a query: the mAP@all of a random ranking, nearly."""
        gallery = self.labels[self.split.gallery].astype(np.float32)
        chunks = np.array_split(self.labels[self.split.query].astype(np.float32), max(1, len(self.split.query) // 256))
        return float(np.mean(np.concatenate([(chunk @ gallery.T > 0).mean(1) for chunk in chunks])))

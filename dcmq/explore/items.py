"""The items that are explored: their ids, texts, images on demand, labels and splits."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.open_images import UNREADABLE, open_image
from dcmq.data.resize import rgb_image
from dcmq.data.words import LATIN
from dcmq.reporting.gallery import text_of
from dcmq.search.collection import Collection

KINDS = ("images", "texts")
_QUALITY = 90  # of JPEG: at thumbnails' sizes less shows
_LONGEST = 60  # words of a text that are shown


@dataclass(frozen=True)
class Items:
    """n items in row order; each has an image, a text, or both.

    Attributes:
        name: of the data set or collection.
        ids: (n,) text.
        text: a function of a row to its text; empty where it has none.
        image: a function of a row to its image, as large as it is kept; None where the file is gone or no image.
        splits: (n,) text: ``train`` and ``gallery`` are searched in, ``query`` is what is asked and measured.
        has: by kind of :data:`KINDS`, (n,) bool.
        labels: (n, C) bool, true labels; None where there are none.
        train_labels: (n, C) bool, those that targets may see; None where there are none.
        classes: C names.
        word_pattern: how class names and queries are cut into words.
    """

    name: str
    ids: np.ndarray
    text: Callable[[int], str]
    image: Callable[[int], Image.Image | None]
    splits: np.ndarray
    has: dict[str, np.ndarray]
    labels: np.ndarray | None = None
    train_labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    word_pattern: str = LATIN

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, names: Sequence) -> list[int]:
        """The rows of ids, or of row numbers, in their order. Raises DcmqError for one that is neither."""
        places = {name: row for row, name in enumerate(self.ids.tolist())}
        rows = []
        for name in names:
            number = isinstance(name, int | np.integer) and not isinstance(name, bool)
            row = int(name) if number else places.get(str(name), -1)
            if not 0 <= row < len(self):
                raise DcmqError(f"items: {name!r} is no id and no row from 0 to {len(self) - 1} of {self.name}")
            rows.append(row)
        return rows

    def gallery(self, kind: str) -> np.ndarray:
        """(g,) rows that are searched in. Raises DcmqError where no item has that kind."""
        rows = np.flatnonzero((self.splits != "query") & self.has[kind])
        if not len(rows):
            raise DcmqError(f"{self.name} holds no {kind}: choose another gallery")
        return rows

    def label_names(self, row: int) -> list[str]:
        """The names of a row's labels."""
        return [] if self.labels is None else [self.classes[c] for c in np.flatnonzero(self.labels[row])]

    def thumbnail(self, row: int, size: int) -> bytes:
        """The image of a row as JPEG, at most ``size`` pixels a side; a grey tile that says so where there is none."""
        image = self.image(row) or _grey_tile(size, "no image" if not self.has["images"][row] else "file is gone")
        image.thumbnail((size, size))  # which only makes smaller
        content = io.BytesIO()
        image.save(content, "JPEG", quality=_QUALITY)
        return content.getvalue()


def items_of_dataset(data: RetrievalDataset) -> Items:
    """The items of a data set, each with image and text."""
    n, splits = len(data.ids), np.full(len(data.ids), "unused", "U8")
    for name in ("gallery", "train", "query"):  # train is a part of the gallery
        splits[getattr(data.split, name)] = name
    every = np.ones(n, bool)

    def text(row: int) -> str:
        written = text_of(data, row, _LONGEST)
        return written or " ".join(data.vocabulary[column] for column in data.bow[row].indices)

    return Items(
        name=data.name,
        ids=data.ids.astype(str),
        text=text,
        image=lambda row: Image.fromarray(np.asarray(data.images[row])),
        splits=splits,
        has={"images": every & (splits != "unused"), "texts": every & (splits != "unused")},
        labels=np.asarray(data.labels, bool),
        train_labels=np.asarray(data.train_labels, bool),
        classes=data.classes,
        word_pattern=data.word_pattern,
    )


def items_of_collection(collection: Collection) -> Items:
    """The images of a collection, and then its texts; images are read from their folder when they are looked at."""
    images, texts = (collection.load_index(kind).ids.astype(str) for kind in KINDS)
    if not len(images) + len(texts):
        raise DcmqError(f"{collection.folder} is empty: fill it with dcmq search build --images or --texts")
    ids, is_image = np.concatenate([images, texts]), np.arange(len(images) + len(texts)) < len(images)
    return Items(
        name=collection.folder.name,
        ids=ids,
        text=lambda row: "" if is_image[row] else str(ids[row]),
        image=lambda row: _read(collection, str(ids[row])) if is_image[row] else None,
        splits=np.full(len(ids), "gallery", "U8"),
        has={"images": is_image, "texts": ~is_image},
        word_pattern=collection.model.word_pattern,
    )


def _read(collection: Collection, name: str, largest: int = 512) -> Image.Image | None:
    """One of the images, at most ``largest`` pixels a side; None if it is gone."""
    try:
        with open_image(io.BytesIO(collection.read_image(name))) as image:
            image.draft("RGB", (largest, largest))  # a JPEG is decoded at a fraction of its size: many times faster
            small = rgb_image(image)
            small.thumbnail((largest, largest))
            return small
    except UNREADABLE:
        return None


def _grey_tile(size: int, words: str) -> Image.Image:
    tile = Image.new("RGB", (size, size), "#cccccc")
    ImageDraw.Draw(tile).text((size / 2, size / 2), words, "#444444", ImageFont.load_default(12), anchor="mm")
    return tile

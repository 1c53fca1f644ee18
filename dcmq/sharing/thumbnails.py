"""Thumbnails of a collection's images, many at a time."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from tqdm.auto import tqdm

from dcmq.codes.ids import id_array
from dcmq.core.errors import DcmqError
from dcmq.search.collection import Collection
from dcmq.search.sources import read_images
from dcmq.search.thumbnails import make_thumbnail

_AT_ONCE = 64  # image files in memory


class CollectionThumbnails:
    """Makes thumbnails of the images of ``collection``, as :func:`dcmq.search.thumbnails.make_thumbnail` does.

    Attributes:
        missing: how many images were not there any more, or could not be read.

    Raises:
        DcmqError: the collection's images are no files.
    """

    def __init__(self, collection: Collection):
        self._listing = collection.image_listing()
        if not len(self._listing):
            raise DcmqError(f"{collection.folder} has no image files, so there are no thumbnails")
        self._sorted = np.argsort(self._listing.ids, kind="stable")
        self._bar = tqdm(total=len(self._listing), desc="thumbnails", unit="image", disable=len(self._listing) < 100)
        self.missing = 0

    def __call__(self, names: Sequence[str]) -> list[bytes | None]:
        """A JPEG for each of ``names``; None where the image is not there any more, or cannot be read.

        Raises:
            DcmqError: a tar or parquet file was changed or removed after it was listed.
        """
        rows = self._rows(names)
        order = np.argsort(rows)[(rows < 0).sum() :]  # read as they lie in tar and parquet files
        thumbnails, listed = [None] * len(names), self._listing.rows(rows[order])
        images = zip(order, read_images(listed), strict=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while chunk := list(islice(images, _AT_ONCE)):
                made = pool.map(_thumbnail, (content for _, content in chunk))
                for (place, _), thumbnail in zip(chunk, made, strict=True):
                    thumbnails[place] = thumbnail
                self._bar.update(len(chunk))
        if self._bar.n == self._bar.total:
            self._bar.close()
        self.missing += thumbnails.count(None)
        return thumbnails

    def _rows(self, names: Sequence[str]) -> np.ndarray:
        """(m,) row of each of ``names`` in the listing; -1 where it is not there."""
        ids, wanted = self._listing.ids, id_array(names)
        rows = self._sorted[np.searchsorted(ids, wanted, sorter=self._sorted).clip(max=len(ids) - 1)]
        return np.where(ids[rows] == wanted, rows, -1)


def _thumbnail(content: bytes | None) -> bytes | None:
    return make_thumbnail(content) if content else None

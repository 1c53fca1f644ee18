"""A collection held in memory for many searches, and read anew after a build has changed its files."""

import os
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.search.collection import KINDS, Collection
from dcmq.search.sources import read_images
from dcmq.search.thumbnails import make_thumbnail

_THUMBNAILS = 2000  # in memory, about 15 kB each


class CollectionInMemory(Collection):
    """A collection whose files are read once: to be searched, and not to be changed. Raises DcmqError as Collection does.

    Attributes:
        thumbnail: as :func:`make_thumbnail` of the image of an id; the last ones are kept. Raises FileNotFoundError where
            there is no such image, or it cannot be read any more.
    """

    def __init__(self, folder: Path | str):
        super().__init__(folder)
        self._indexes = {kind: Collection.load_index(self, kind) for kind in KINDS}
        names = self._image_files().listing.ids
        if any(os.path.isabs(os.fsdecode(name)) for name in names.tolist()):
            raise DcmqError(
                f"{folder}: names of images are absolute paths, which a server would tell: build a collection of a list whose "
                "paths are relative to it"
            )
        self.thumbnail = lru_cache(_THUMBNAILS)(self._thumbnail)

    def load_index(self, kind: str) -> CodeIndex:
        """The index of ``images`` or ``texts``, as it was when this object was made."""
        return self._indexes[kind]

    @property
    def has_image_files(self) -> bool:
        """True where the images can be shown: those of a data set have no files."""
        return len(self._image_files().listing) > 0

    def read_image(self, name: str) -> bytes:
        """The bytes of one of the images. Raises FileNotFoundError where there is no such image, it cannot be read any more,
        or it is a link that leads out of the folder of images."""
        listing, row = self._image_files().listing, self._rows.get(name)
        if row is not None and not (listing.volume[row] < 0 and _leads_out(listing.base, name)):
            with suppress(DcmqError):  # a tar or parquet file that was changed
                if content := next(read_images(listing.rows(np.array([row])))):
                    return content
        raise FileNotFoundError(name)

    def _thumbnail(self, name: str) -> bytes:
        small = make_thumbnail(self.read_image(name))
        if small is None:
            raise FileNotFoundError(name)
        return small

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name.decode(): row for row, name in enumerate(self._image_files().listing.ids.tolist())}


def _leads_out(base: Path, name: str) -> bool:
    """True where a file under ``base`` is a link to one that is not. A list may name files elsewhere: they are meant."""
    file = Path(os.path.normpath(base / name))
    return file.is_relative_to(base) and not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(base))


class HeldCollection:
    """The collection in ``folder`` as its files are now. Raises DcmqError as Collection does."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder).resolve()  # whole, so that it can be found in the text of an error
        self._lock, self._stamp = Lock(), None
        self.current()

    def current(self) -> CollectionInMemory:
        """The collection, read from disk only where a file of it is not that of the last call; for any thread.

        Raises:
            DcmqError: a file that is gone or damaged.
        """
        with self._lock:
            stamp = self._files()  # before they are read: what is written meanwhile is seen by the next call
            if stamp != self._stamp:
                self._collection, self._stamp = CollectionInMemory(self.folder), stamp
            return self._collection

    def without_folders(self, message: str) -> str:
        """``message`` without the folders of this machine that an error of the collection names."""
        for folder, name in ((self._collection.root, "the images"), (self.folder, "the collection")):
            message = message.replace(str(folder), name) if folder else message
        return message

    def _files(self) -> dict[str, tuple[int, int, int]]:
        """Inode, size and time of change of each file by name; files that are being written have names with a dot before."""
        found = {}
        for file in self.folder.glob("[!.]*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                if file.is_file():
                    status = file.stat()
                    found[file.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found

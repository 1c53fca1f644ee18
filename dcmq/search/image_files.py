"""What a collection notes of the images that it has: where each is, and what tells whether it was replaced."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcmq.codes.ids import positions
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.storage import CorruptFile, load_tensors, open_tensors, save_tensors
from dcmq.search.sources import Listing, read_images

_ARRAYS = ("volume", "place", "size", "time")
_HASHES = ("content", "look")


@dataclass(frozen=True)
class ImageFiles:
    """Images whose content is known.

    Attributes:
        listing: where they are.
        content: (n,) uint64, hash of the bytes of each.
        look: (n,) uint64, see :func:`dcmq.search.duplicates.look`.
    """

    listing: Listing
    content: np.ndarray
    look: np.ndarray

    @classmethod
    def load(cls, path: Path, base: Path) -> "ImageFiles":
        """Read what :meth:`save` wrote; nothing where there is no such file. Raises DcmqError where it is damaged.

        Args:
            base: the folder under which the images are now.
        """
        if not path.is_file():
            none, hashes = np.empty(0, np.int64), np.empty(0, np.uint64)
            return cls(Listing(base, np.empty(0, "S1"), none, none, none, none), hashes, hashes)
        try:
            tensors, meta = load_tensors(path)
            arrays = {name: tensors[name].numpy() for name in (*_ARRAYS, *_HASHES, "ids")}
            ids = arrays["ids"].view(f"S{arrays['ids'].shape[1]}")[:, 0]
            listing = Listing(
                base, ids, *(arrays[name] for name in _ARRAYS), volumes=tuple(json.loads(meta["volumes"]))
            )
        except (CorruptFile, KeyError, ValueError):
            raise _damaged(path) from None
        return cls(listing, *(arrays[name].view(np.uint64) for name in _HASHES))

    def save(self, path: Path, source: Path) -> None:
        """Write all to one file, and the ``source`` that was listed."""
        arrays = {name: getattr(self.listing, name) for name in _ARRAYS}
        arrays |= {
            "ids": self.listing.ids[:, None].view(np.uint8),
            **{name: getattr(self, name).view(np.int64) for name in _HASHES},
        }
        facts = {"source": json.dumps(str(source)), "source checksum": digest(str(source))}
        save_tensors(path, arrays, {"volumes": json.dumps(self.listing.volumes), **facts})

    def read(self, name: str) -> bytes:
        """The bytes of an image. Raises FileNotFoundError where it is not there any more, or never was."""
        row = self._row(name)
        content = None if row < 0 else next(read_images(self.listing.rows(np.array([row]))))
        if content is None:
            raise FileNotFoundError(f"{name} is gone")
        return content

    def content_of(self, name: str) -> int:
        """The hash of an image's bytes when it was encoded; 0 where there is no such image."""
        row = self._row(name)
        return 0 if row < 0 else int(self.content[row])

    def _row(self, name: str) -> int:
        return int(positions(self.listing.ids, np.array([name.encode()]))[0])


def noted_source(path: Path) -> Path | None:
    """The source in the file that :meth:`ImageFiles.save` wrote; None where there is no such file, or it was written when sources
    had a file of their own. Only that part of the file is read. Raises DcmqError where it is damaged."""
    if not path.is_file():
        return None
    try:
        meta = open_tensors(path)[1]
        if "source" not in meta:
            return None
        source = json.loads(meta["source"])
        if meta.get("source checksum") != digest(source):
            raise CorruptFile(str(path))
        return Path(source)
    except (CorruptFile, ValueError, TypeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> DcmqError:
    return DcmqError(f"{path} is damaged: delete it, and build again; all images are encoded anew")

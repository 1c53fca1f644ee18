"""What a collection notes of the images that it has: where each is, and what tells whether it was replaced."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcmq.codes.ids import positions
from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors
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
            raise DcmqError(f"{path} is damaged: delete it, and build again; all images are encoded anew") from None
        return cls(listing, *(arrays[name].view(np.uint64) for name in _HASHES))

    def save(self, path: Path) -> None:
        """Write all but the folder to one file."""
        arrays = {name: getattr(self.listing, name) for name in _ARRAYS}
        arrays |= {
            "ids": self.listing.ids[:, None].view(np.uint8),
            **{name: getattr(self, name).view(np.int64) for name in _HASHES},
        }
        save_tensors(path, arrays, {"volumes": json.dumps(self.listing.volumes)})

    def read(self, name: str) -> bytes:
        """The bytes of an image. Raises FileNotFoundError where it is not there any more, or never was."""
        row = positions(self.listing.ids, np.array([name.encode()]))
        content = next(read_images(self.listing.rows(row))) if row[0] >= 0 else None
        if content is None:
            raise FileNotFoundError(f"{name} is gone")
        return content

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


@dataclass(frozen=True)
class ImageFiles:
    """Images whose content is known.

    Attributes:
        listing: where they are.
        content: (n,) uint64, hash of the bytes of each.
    """

    listing: Listing
    content: np.ndarray

    @classmethod
    def load(cls, path: Path, base: Path) -> "ImageFiles":
        """Read what :meth:`save` wrote; nothing where there is no such file. Raises DcmqError where it is damaged.

        Args:
            base: the folder under which the images are now.
        """
        if not path.is_file():
            none = np.empty(0, np.int64)
            return cls(Listing(base, np.empty(0, "S1"), none, none, none, none), none.astype(np.uint64))
        try:
            tensors, meta = load_tensors(path)
            arrays = {name: tensors[name].numpy() for name in (*_ARRAYS, "ids", "content")}
            ids = arrays["ids"].view(f"S{arrays['ids'].shape[1]}")[:, 0]
            listing = Listing(
                base, ids, *(arrays[name] for name in _ARRAYS), volumes=tuple(json.loads(meta["volumes"]))
            )
        except (CorruptFile, KeyError, ValueError):
            raise DcmqError(f"{path} is damaged: delete it, and build again; all images are encoded anew") from None
        return cls(listing, arrays["content"].view(np.uint64))

    def save(self, path: Path) -> None:
        """Write all but the folder to one file."""
        arrays = {name: getattr(self.listing, name) for name in _ARRAYS}
        arrays |= {"ids": self.listing.ids[:, None].view(np.uint8), "content": self.content.view(np.int64)}
        save_tensors(path, arrays, {"volumes": json.dumps(self.listing.volumes)})

    def read(self, name: str) -> bytes:
        """The bytes of an image. Raises FileNotFoundError where it is not there any more, or never was."""
        row = positions(self.listing.ids, np.array([name.encode()]))
        content = next(read_images(self.listing.rows(row))) if row[0] >= 0 else None
        if content is None:
            raise FileNotFoundError(f"{name} is gone")
        return content

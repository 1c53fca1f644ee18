"""A folder that holds a student and what it has encoded: images, texts or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dcmq.codes.index import AUTO, CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.search.model import SearchModel

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm".split())
KINDS = ("images", "texts")


@dataclass(frozen=True)
class Hit:
    """A search result.

    Attributes:
        rank: from 1.
        score: mean of the M cosines, from -1 to 1.
        id: an image's path under the collection's root, or a text.
    """

    rank: int
    score: float
    id: str


class ImageUpdate(NamedTuple):
    """The numbers of images that were added and removed, and the files that are no readable images."""

    added: int
    removed: int
    unreadable: list[str]


class Collection:
    """Images and texts as one student's codes, on disk.

    Args:
        folder: with ``model.safetensors``, and ``images.safetensors`` or ``texts.safetensors`` or both.

    Raises:
        DcmqError: no such folder, or a file of it that is damaged.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not self._file("model").is_file():
            raise DcmqError(f"{self.folder} is no collection: build one with dcmq search build")
        self.model = SearchModel.load(self._file("model"))
        root = self.folder / "root.txt"
        self.root = Path(root.read_text(encoding="utf-8").strip()) if root.is_file() else None  # of the images

    @classmethod
    def create(cls, folder: Path | str, model: SearchModel, replace: bool = False) -> "Collection":
        """A new and empty collection, or the one that is in ``folder`` already if it has the same student.

        Args:
            replace: delete what is in ``folder``.

        Raises:
            DcmqError: the folder has another student.
        """
        folder = Path(folder)
        if replace:
            for name in ("model", *KINDS):
                (folder / f"{name}.safetensors").unlink(missing_ok=True)
        if not (folder / "model.safetensors").is_file():
            model.save(folder / "model.safetensors")
        collection = cls(folder)
        if not torch.equal(collection.model.codebooks, model.codebooks) or collection.model.config != model.config:
            raise DcmqError(
                f"{folder} was built with another student, whose codes mean other things: choose another folder"
            )
        return collection

    def load_index(self, kind: str) -> CodeIndex:
        """The index of ``images`` or ``texts``; empty where none were added."""
        path = self._file(kind)
        return CodeIndex.load(path) if path.is_file() else CodeIndex(self.model.codebooks)

    def save_index(self, kind: str, index: CodeIndex) -> None:
        """Write ``index`` as that of ``images`` or ``texts``. Raises DcmqError as :meth:`CodeIndex.save` does."""
        index.save(self._file(kind))

    def update_images(self, root: Path | str) -> ImageUpdate:
        """Make the images those under ``root``: add files that are new, remove those that are gone.

        Raises:
            DcmqError: no such folder, no image in it, or the collection holds the images under another folder.
        """
        root = Path(root).expanduser().resolve()
        if self.root and self.root != root:
            raise DcmqError(
                f"{self.folder} has the images under {self.root}: choose another folder for those under {root}"
            )
        files = {file.relative_to(root).as_posix(): file for file in image_files(root)}
        index = self.load_index("images")
        known = set(index.ids.tolist())
        new, gone = [name for name in files if name not in known], sorted(known - set(files))
        codes, unreadable = self.model.quantize_images([files[name] for name in new])
        readable = np.setdiff1d(np.arange(len(new)), unreadable)
        index.remove(gone)
        index.add(codes, [new[i] for i in readable])
        (self.folder / "root.txt").write_text(f"{root}\n", encoding="utf-8")
        self.root = root
        self.save_index("images", index)
        return ImageUpdate(len(readable), len(gone), [new[i] for i in unreadable])

    def add_texts(self, texts: Sequence[str]) -> tuple[int, list[str]]:
        """Add those of ``texts`` that are not in the collection yet.

        Returns:
            how many were added, and the texts left out because the student knows no word of them.
        """
        index = self.load_index("texts")
        unknown = [text for text in texts if not self.model.can_read(text)]
        present = {*index.ids.tolist(), *unknown}
        new = [text for text in dict.fromkeys(texts) if text not in present]
        if new:
            index.add(self.model.quantize_texts(new), new)
            self.save_index("texts", index)
        return len(new), unknown

    def search(
        self, kind: str, *, text: str = "", image: Path | None = None, k: int = 10, engine: str = AUTO
    ) -> list[Hit]:
        """The ``k`` nearest ``images`` or ``texts`` to a text or an image file, best first; fewer if there are not so many.

        Raises:
            DcmqError: none of that kind, an image that cannot be read, a text without a word that the student knows.
        """
        index = self.load_index(kind)
        if not len(index):
            raise DcmqError(f"{self.folder} holds no {kind}: add them with dcmq search build --{kind}")
        if image is None:
            query = self.model.encode_texts([text])
        else:
            query, unreadable = self.model.encode_images([image])
            if unreadable:
                raise DcmqError(f"{image} is no image that can be read")
        result = index.search(query, min(k, len(index)), engine)
        scores = result.scores[0] / index.num_codebooks
        ranking = zip(scores, result.ids[0], strict=True)
        return [Hit(rank, float(score), str(name)) for rank, (score, name) in enumerate(ranking, 1)]

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def image_files(root: Path) -> list[Path]:
    """All image files under ``root``, sorted. Raises DcmqError where there is none."""
    if not root.is_dir():
        raise DcmqError(f"there is no folder {root}")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise DcmqError(f"{root} holds no image ({', '.join(sorted(SUFFIXES))})")
    return files

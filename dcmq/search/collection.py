"""A folder that holds a student and what it has encoded: images, texts or both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dcmq.codes.index import AUTO, CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.core.storage import write_json
from dcmq.search.image_files import Signature, image_files
from dcmq.search.model import MODEL, SearchModel

KINDS = ("images", "texts")
_ROOT, _SIGNATURES = "root.txt", "files.json"  # where the images are, and what tells whether one was replaced


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
    """The numbers of images that were added, replaced and removed, and the files that are no readable images."""

    added: int
    replaced: int
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
        if not (self.folder / MODEL).is_file():
            raise DcmqError(f"{self.folder} is no collection: build one with dcmq search build")
        self.model = SearchModel.load(self.folder / MODEL)
        root = self.folder / _ROOT
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
            for name in (MODEL, *map(_file_name, KINDS), _SIGNATURES, _ROOT):
                (folder / name).unlink(missing_ok=True)
        if not (folder / MODEL).is_file():
            model.save(folder / MODEL)
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
        """Make the images those under ``root``: add files that are new, encode those with another content again, and remove
        those that are gone. Images that were moved are followed: the folder of before is gone, and some are under ``root``.

        Raises:
            DcmqError: no such folder, no image in it, or the collection holds the images under another folder.
        """
        root = Path(root).expanduser().resolve()
        moved = self.root not in (None, root)
        if moved and self.root.is_dir():
            raise DcmqError(
                f"{self.folder} has the images under {self.root}: name another collection for those in {root}"
            )
        files = image_files(root)
        index, before = self.load_index("images"), self._signatures()
        known = set(index.ids.tolist())
        if moved and not known & files.keys():
            raise DcmqError(
                f"{self.folder} has the images under {self.root}, which is gone, and none of them is in {root}: name the "
                "folder to which they were moved, or another collection"
            )
        now = {name: Signature.of(file, before.get(name)) for name, file in files.items()}
        # Where no content was noted, it is not known whether this is the image of before: it is encoded again.
        kept = {name for name in known & files.keys() & before.keys() if now[name].content == before[name].content}
        old_codes = {name: code for name, code in zip(index.ids.tolist(), index.codes, strict=True) if name not in kept}
        names = [name for name in files if name not in kept]
        codes, unreadable = self.model.quantize_images([files[name] for name in names])
        readable = np.delete(np.array(names, dtype=object), unreadable).tolist()
        encoded = dict(zip(readable, codes, strict=True))
        again = encoded.keys() & old_codes.keys()
        replaced = [name for name in again if name in before or (encoded[name] != old_codes[name]).any()]
        index.remove(list(old_codes))
        index.add(codes, readable)
        self.root = root
        self.save_index("images", index)
        write_json(self.folder / _SIGNATURES, {name: now[name] for name in index.ids.tolist()})
        (self.folder / _ROOT).write_text(f"{root}\n", encoding="utf-8")
        return ImageUpdate(
            len(encoded) - len(again), len(replaced), len(known - files.keys()), [names[i] for i in unreadable]
        )

    def _signatures(self) -> dict[str, Signature]:
        """Signatures of the image files by name; none in a collection of an earlier version."""
        path = self.folder / _SIGNATURES
        if not path.is_file():
            return {}
        try:
            return {name: Signature(*values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
        except (ValueError, TypeError, AttributeError):
            raise DcmqError(f"{path} is damaged: delete it, and build again; all images are encoded anew") from None

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

    def _file(self, kind: str) -> Path:
        return self.folder / _file_name(kind)


def _file_name(kind: str) -> str:
    return f"{kind}.safetensors"

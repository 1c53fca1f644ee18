"""A folder that holds a student and what it has encoded: pictures, texts or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.search.model import SearchModel

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm".split())
KINDS = ("pictures", "texts")


@dataclass(frozen=True)
class Hit:
    """``score`` is the mean of the M cosines, from -1 to 1; ``id`` a picture's path under its root, or a text."""

    rank: int
    score: float
    id: str


class Collection:
    """Pictures and texts of one student, on disk.

    Args:
        folder: with ``model.safetensors``, and ``pictures.safetensors`` or ``texts.safetensors`` or both.

    Raises:
        DcmqError: no such folder, or a file of it that is damaged.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not (self.folder / "model.safetensors").is_file():
            raise DcmqError(f"{self.folder} is no collection: build one with python -m dcmq.search build")
        self.model = SearchModel.load(self.folder / "model.safetensors")
        root = self.folder / "root.txt"
        self.root = Path(root.read_text(encoding="utf-8").strip()) if root.is_file() else None  # of the pictures

    @classmethod
    def create(cls, folder: Path | str, model: SearchModel, replace: bool = False) -> "Collection":
        """An empty one, or the one that is there if it has the same student.

        Args:
            replace: forget what is there.

        Raises:
            DcmqError: the folder has another student.
        """
        folder = Path(folder)
        if replace:
            for name in ("model", *KINDS):
                (folder / f"{name}.safetensors").unlink(missing_ok=True)
        if not (folder / "model.safetensors").is_file():
            model.save(folder / "model.safetensors")
        there = cls(folder)
        if not torch.equal(there.model.codebooks, model.codebooks) or there.model.config != model.config:
            raise DcmqError(
                f"{folder} was built with another student, whose codes mean other things: choose another folder"
            )
        return there

    def index(self, kind: str) -> CodeIndex:
        """Of ``pictures`` or ``texts``; empty where none were added."""
        path = self.folder / f"{kind}.safetensors"
        return CodeIndex.load(path) if path.is_file() else CodeIndex(self.model.codebooks)

    def put(self, kind: str, index: CodeIndex) -> None:
        """Write ``index`` as what the collection holds of ``kind``. Raises DcmqError as :meth:`CodeIndex.save` does."""
        index.save(self.folder / f"{kind}.safetensors")

    def update_images(self, root: Path | str) -> tuple[int, int, list[str]]:
        """Make the pictures those under ``root``: encode files that are new, forget those that are gone.

        Returns:
            how many were added, how many forgotten, and the files that are no readable pictures.

        Raises:
            DcmqError: no such folder, no picture in it, or other pictures than those under ``root`` are there already.
        """
        root = Path(root).expanduser().resolve()
        if self.root and self.root != root:
            raise DcmqError(
                f"{self.folder} has the pictures under {self.root}: choose another folder for those under {root}"
            )
        files = image_files(root)
        index, names = self.index("pictures"), [file.relative_to(root).as_posix() for file in files]
        there = set(index.ids.tolist())
        new = [i for i, name in enumerate(names) if name not in there]
        codes, broken = self.model.quantize_images([files[i] for i in new])
        good = np.setdiff1d(np.arange(len(new)), broken)
        gone = sorted(there - set(names))
        index.remove(gone)
        index.add(codes, [names[new[i]] for i in good])
        (self.folder / "root.txt").write_text(f"{root}\n", encoding="utf-8")
        self.root = root
        self.put("pictures", index)
        return len(good), len(gone), [names[new[i]] for i in broken]

    def add_texts(self, texts: Sequence[str]) -> tuple[int, list[str]]:
        """Encode those of ``texts`` that are not there yet.

        Returns:
            how many were added, and the texts left out, without a word that the student knows.
        """
        index = self.index("texts")
        there = set(index.ids.tolist())
        unread = [text for text in texts if not self.model.reads(text)]
        there.update(unread)
        new = [text for text in dict.fromkeys(texts) if text not in there]
        if new:
            index.add(self.model.quantize_texts(new), new)
            self.put("texts", index)
        return len(new), unread

    def find(
        self, kind: str, *, text: str = "", picture: Path | None = None, k: int = 10, engine: str = "auto"
    ) -> list[Hit]:
        """The first ``k`` pictures or texts for a text or a picture, fewer if there are not so many.

        Raises:
            DcmqError: none of that kind, a picture that cannot be read, a text without a word that the student knows.
        """
        index = self.index(kind)
        if not len(index):
            raise DcmqError(f"{self.folder} holds no {kind}: add them with python -m dcmq.search build --{kind}")
        if picture is None:
            query = self.model.encode_texts([text])
        else:
            query, broken = self.model.encode_images([picture])
            if broken:
                raise DcmqError(f"{picture} is no picture that can be read")
        found = index.search(query, min(k, len(index)), engine)
        scores = found.scores[0] / index.num_codebooks
        return [Hit(i + 1, float(s), str(name)) for i, (s, name) in enumerate(zip(scores, found.ids[0], strict=True))]


def image_files(root: Path) -> list[Path]:
    """All pictures under ``root``, sorted. Raises DcmqError where there is none."""
    if not root.is_dir():
        raise DcmqError(f"there is no folder {root}")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise DcmqError(f"{root} holds no picture ({', '.join(sorted(SUFFIXES))})")
    return files

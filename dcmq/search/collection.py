"""A folder that holds a student and what it has encoded: images, texts or both."""

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from filelock import Timeout

from dcmq.codes.ids import id_array, id_values, positions
from dcmq.codes.index import AUTO, CodeIndex
from dcmq.codes.pack import unpack
from dcmq.core.errors import DcmqError
from dcmq.core.storage import locked, sweep
from dcmq.data.open_images import reason_unread, too_large
from dcmq.search.duplicates import folded, same_codes
from dcmq.search.image_files import ImageFiles, noted_source
from dcmq.search.parts import ENCODED, UNREADABLE, encode_in_parts
from dcmq.search.pretrained import MODEL, PretrainedStudent
from dcmq.search.sources import Listing, absolute_source, base_of, content_hash, list_images, read_images, source_exists

KINDS = ("images", "texts")
_FILES = "files.safetensors"  # where the images are, and what tells whether one was replaced
_SOURCE = "root.txt"  # where they are, in collections that were built before
_TEXTS = 100_000  # encoded between two savings
_FOLDED = 100  # hits at least that are looked through for near duplicates
_PARTS, _LOCK = "parts", ".building.lock"  # of a build that goes on, or was ended


@dataclass(frozen=True)
class Hit:
    """A search result.

    Attributes:
        rank: from 1.
        score: mean of the M cosines, from -1 to 1.
        id: an image's name in the collection's source, such as its path in a folder; or a text.
        duplicates: ids of near duplicates further back, where they were asked to be folded.
    """

    rank: int
    score: float
    id: str
    duplicates: tuple[str, ...] = ()


class ImageUpdate(NamedTuple):
    """The outcome of an update.

    Attributes:
        added, replaced, removed: how many images were.
        unreadable: names of images that cannot be read.
        too_large: by the name of each image that has more pixels than are read, their number as text.
        damaged: by the name of each tar file, parquet file or folder that cannot be read, the reason.
        passed_over: by the reason, names of images that are left out without a look at them, such as hidden ones.
    """

    added: int
    replaced: int
    removed: int
    unreadable: list[str]
    too_large: dict[str, str]
    damaged: dict[str, str]
    passed_over: dict[str, list[str]]


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
        self.model = PretrainedStudent.load(self.folder / MODEL)
        self._files: ImageFiles | None = None  # read when it is needed first
        self.source = noted_source(self.folder / _FILES)  # of the images
        if self.source is None and (noted := self.folder / _SOURCE).is_file():
            self.source = Path(os.fsdecode(noted.read_bytes().rstrip(b"\r\n")))  # as it was written before

    @classmethod
    def create(cls, folder: Path | str, model: PretrainedStudent, replace: bool = False) -> "Collection":
        """A new and empty collection, or the one that is in ``folder`` already if it has the same student.

        Args:
            replace: delete what is in ``folder``.

        Raises:
            DcmqError: the folder has another student.
        """
        folder = Path(folder)
        if replace:
            for name in (MODEL, *map(_file_name, KINDS), _FILES, _SOURCE):
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder / _PARTS, ignore_errors=True)
        if not (folder / MODEL).is_file():
            with locked(folder / _LOCK):  # which nobody holds for long where there is no student
                sweep(folder, MODEL)
                if not (folder / MODEL).is_file():
                    model.save(folder / MODEL)
        collection = cls(folder)
        if not torch.equal(collection.model.codebooks, model.codebooks) or collection.model.config != model.config:
            raise DcmqError(
                f"{folder} was built with another student, whose codes mean other things: choose another folder"
            )
        return collection

    def load_index(self, kind: str) -> CodeIndex:
        """The index of ``images`` or ``texts``; empty where none were added. Raises DcmqError where it is damaged, or another student's."""
        path, codebooks = self._file(kind), self.model.codebooks
        if not path.is_file():
            return CodeIndex(codebooks)
        index = CodeIndex.load(path)
        if not torch.equal(index.codebooks, codebooks):
            raise DcmqError(f"{path} was made by another student than {MODEL} there: delete it, and build the collection again")
        return index

    def save_index(self, kind: str, index: CodeIndex) -> None:
        """Write ``index`` as that of ``images`` or ``texts``. Raises DcmqError as :meth:`CodeIndex.save` does."""
        index.save(self._file(kind))

    def update_images(self, source: Path | str, workers: int = 1, scheduler: str = "") -> ImageUpdate:
        """Make the images those of ``source``: encode those that are new or have another content, and remove those that are gone.

        Images that were moved are followed: the source of before is gone, and some are in this one. An update that was ended
        goes on where it was. Images of a tar or parquet file that cannot be read stay as they were.

        Args:
            source: a folder, a list, a tar or parquet file, or a pattern: see :func:`dcmq.search.sources.list_images`.
            workers, scheduler: see :func:`dcmq.search.parts.encode_in_parts`.

        Raises:
            DcmqError: no such source, no image in it, the collection has images of another source, or somebody else is building
                it; or as :func:`dcmq.search.parts.encode_in_parts`.
        """
        try:
            with locked(self.folder / _LOCK, timeout=0):
                sweep(self.folder, _FILES)
                return self._update_images(absolute_source(source), workers, scheduler)
        except Timeout:
            raise DcmqError(f"{self.folder}: somebody else is building it; wait for that, or stop it") from None

    def _update_images(self, source: Path, workers: int, scheduler: str) -> ImageUpdate:
        moved = self.source not in (None, source)
        if moved and source_exists(self.source):
            raise DcmqError(
                f"{self.folder} has the images under {self.source}: name another collection for those in {source}"
            )
        self._files = None  # somebody else may have built it since it was read
        listing, index, noted = list_images(source), self.load_index("images"), self._image_files()
        old = index.positions(id_values(listing.ids))  # of each image, its row in the index
        if moved and (old < 0).all():
            raise DcmqError(
                f"{self.folder} has the images under {self.source}, which is gone, and none of them is in {source}: name the "
                "folder to which they were moved, or another collection"
            )
        # Where no content was noted, it is not known whether this is the image of before: it is encoded again.
        known = np.where(old < 0, -1, positions(noted.listing.ids, listing.ids))
        content, look = (np.where(known < 0, 0, np.append(h, np.uint64(0))[known]) for h in (noted.content, noted.look))
        todo = np.flatnonzero((known < 0) | ~listing.unchanged(noted.listing, known))
        parts = self.folder / _PARTS
        made = encode_in_parts(
            self.folder / MODEL, index.code_size, listing.rows(todo), content[todo], parts, workers, scheduler
        )

        new, codes = todo[made.state == ENCODED], made.codes[made.state == ENCODED]
        again = old[new] >= 0
        replaced = (
            again & ((known[new] >= 0) | (codes != index.codes[np.where(again, old[new], 0)]).any(1))
            if len(index)
            else again
        )
        unreadable = todo[made.state == UNREADABLE]
        pixels = _too_large(listing.rows(unreadable))
        gone = np.ones(len(index), bool)
        gone[old[old >= 0]] = False
        for volume in listing.damaged if len(index) else ():
            gone &= ~np.array([name.startswith(f"{volume}/") for name in index.ids], bool)
        leaving = gone.copy()
        leaving[[row for row in (*old[new], *old[unreadable]) if row >= 0]] = True
        index.remove(index.ids[leaving])
        if len(new):
            index.add(codes, id_values(listing.ids[new]))
        self.save_index("images", index)
        content[todo], look[todo] = made.content, made.look
        readable = np.setdiff1d(np.arange(len(listing)), unreadable)
        ImageFiles(listing.rows(readable), content[readable], look[readable]).save(self.folder / _FILES, source)
        (self.folder / _SOURCE).unlink(missing_ok=True)
        self.source, self._files = source, None
        shutil.rmtree(parts, ignore_errors=True)
        counts = (int((~again).sum()), int(replaced.sum()), int(gone.sum()))
        names = [name for name in id_values(listing.ids[unreadable]).tolist() if name not in pixels]
        return ImageUpdate(*counts, names, pixels, listing.damaged, listing.passed_over)

    @property
    def root(self) -> Path | None:
        """The folder that the images' names are relative to; None before there are any."""
        return self.source and base_of(self.source)

    def read_image(self, name: str) -> bytes:
        """The bytes of one of the images. Raises FileNotFoundError where it is not there any more."""
        return self._image_files().read(name)

    def was_replaced(self, name: str, content: bytes) -> bool:
        """True where ``content``, read of the image ``name`` now, is another one than was encoded."""
        return self._image_files().content_of(name) != content_hash(content)

    def image_listing(self) -> Listing:
        """Where the images are, as of the last build; empty where they are no files."""
        return self._image_files().listing

    def _image_files(self) -> ImageFiles:
        if self._files is None:
            self._files = ImageFiles.load(self.folder / _FILES, self.root or Path())
        return self._files

    def add_texts(self, texts: Sequence[str]) -> tuple[int, list[str]]:
        """Add those of ``texts`` that are not in the collection yet.

        Returns:
            how many were added, and the texts left out because the student knows no word of them.
        """
        index = self.load_index("texts")
        unknown = [text for text in texts if not self.model.can_read(text)]
        present = {*index.ids.tolist(), *unknown}
        new = [text for text in dict.fromkeys(texts) if text not in present]
        for start in range(0, len(new), _TEXTS):
            part = new[start : start + _TEXTS]
            index.add(self.model.quantize_texts(part), part)
            self.save_index("texts", index)  # so that an end in the middle keeps what is encoded
        return len(new), unknown

    def search(
        self,
        kind: str,
        *,
        text: str = "",
        image: Path | BinaryIO | None = None,
        k: int = 10,
        engine: str = AUTO,
        among: Sequence[str] | None = None,
        threshold: float = -1.0,
        fold: bool = False,
    ) -> list[Hit]:
        """The ``k`` nearest ``images`` or ``texts`` to a text or an image file, best first; fewer if there are not so many.

        Args:
            among: ids to search among; all where it is None.
            threshold: a score from which on an item is a hit, from -1 to 1; :meth:`threshold` gives the student's.
            fold: count near duplicates of a hit with it, not as hits of their own: images that look the same
                (:func:`dcmq.search.duplicates.folded`), or texts with the same code. Those among the next hits are found: 4 ``k``
                of them or more.

        Raises:
            DcmqError: none of that kind, an id that is not there, an image that cannot be read, a text without a word that the
                student knows.
        """
        index = self.load_index(kind)
        if not len(index):
            raise DcmqError(f"{self.folder} holds no {kind}: add them with dcmq search build --{kind}")
        if among is not None:
            index = index.subset(among)
        if image is None:
            query = self.model.encode_texts([text])
        else:
            query, unreadable = self.model.encode_images([image])
            if unreadable:
                name = image if isinstance(image, Path) else "the file"
                raise DcmqError(f"{name} {reason_unread(image)}")
        wanted = min(max(4 * k, _FOLDED) if fold else k, len(index))
        while True:
            scores, ids = (part[0] for part in index.search(query, wanted, engine))
            scores = scores / index.num_codebooks
            ids = ids[: int((scores >= threshold).sum())].tolist()
            groups = self._groups(kind, index, ids, k) if fold else [[place] for place in range(len(ids))]
            if not fold or len(groups) >= k or wanted == len(index) or len(ids) < wanted:
                break
            wanted = min(2 * wanted, len(index))
        return [
            Hit(rank, float(scores[head]), str(ids[head]), tuple(str(ids[place]) for place in others))
            for rank, (head, *others) in enumerate(groups, 1)
        ]

    def threshold(self, kind: str, asks: str) -> dict[str, float] | None:
        """The threshold that the student's training chose for queries by ``asks``, ``texts`` or ``images``, among ``kind``; None
        where there is none, as among its own kind.

        Its ``value`` is a score from -1 to 1. It was chosen for a ``precision aimed at`` on the validation cut of the student's
        data; ``precision`` and ``recall`` are what it reaches there on items not trained on. Other data has others.
        """
        return self.model.thresholds.get(f"{asks[0]}2{kind[0]}")

    def _groups(self, kind: str, index: CodeIndex, ids: list, k: int) -> list[list[int]]:
        """The places of ``ids``, a ranking, in groups of near duplicates."""
        if not ids:
            return []
        codes = unpack(index.codes[index.positions(ids)], index.num_codebooks, index.num_codewords)
        if kind == "texts":
            return same_codes(codes, k)
        files = self._image_files()
        rows = positions(files.listing.ids, id_array(ids))
        return folded(np.where(rows < 0, 0, np.append(files.look, np.uint64(0))[rows]), codes, k)

    def _file(self, kind: str) -> Path:
        return self.folder / _file_name(kind)


def _too_large(listing: Listing) -> dict[str, str]:
    """The number of pixels as text, by the name of each image of ``listing`` that has too many."""
    contents = zip(id_values(listing.ids).tolist(), read_images(listing), strict=True)
    reasons = {name: too_large(io.BytesIO(content)) for name, content in contents if content is not None}
    return {name: reason for name, reason in reasons.items() if reason}


def _file_name(kind: str) -> str:
    return f"{kind}.safetensors"

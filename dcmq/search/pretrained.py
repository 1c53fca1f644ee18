"""A trained student with all it must know to read images and texts that it was not trained on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dcmq.codes.quantize import quantize
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors
from dcmq.data.open_images import UNREADABLE, open_image
from dcmq.data.resize import image_array
from dcmq.data.words import folded, words
from dcmq.methods.dcmq.student import Student, load_student
from dcmq.networks.clip import clip_tokenizer
from dcmq.search.hub import HUB, fetch

MODEL = "model.safetensors"  # the file's name in a collection, and in a folder that dcmq push wrote
_FORMAT = "1"  # of the file; one without a format is of this one
_IMAGE_BATCH, _TEXT_BATCH = 64, 1024
_WEIGHTS = "model."
_LOOKED_UP = 5  # unknown words for which a near one is looked for: it takes milliseconds each


class PretrainedStudent:
    """A student that embeds image files and sentences.

    Args:
        config: how ``student`` was trained.
        vocabulary: the words of its bags of words.
        dataset_image_size: pixels a side that images of its data set were squashed to, before they were resized for it.
        word_pattern: how texts of its data set were cut into words.
        thresholds: by direction, ``t2i`` or ``i2t``, see :meth:`dcmq.search.collection.Collection.threshold`.

    Raises:
        DcmqError: the student has codebooks of its own for each modality.
    """

    def __init__(
        self,
        student: Student,
        config: TrainConfig,
        vocabulary: Sequence[str],
        dataset_image_size: int,
        word_pattern: str,
        thresholds: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    ):
        self.student, self.config, self._quantizer = student.eval(), config, student.quantizer
        self.vocabulary, self.dataset_image_size = tuple(vocabulary), dataset_image_size
        self.word_pattern, self.thresholds = word_pattern, thresholds
        self._column = {folded(word): i for i, word in enumerate(self.vocabulary)}  # as words of texts are
        self._takes_bags = config.student.text_input == "bow"

    @property
    def codebooks(self) -> Tensor:
        """The student's codebooks, (M, K, D / M)."""
        return self._quantizer.codebooks.detach()

    def save(self, path: Path) -> None:
        """Write all of it to one file."""
        weights = {f"{_WEIGHTS}{name}": value for name, value in self.student.state_dict().items()}
        meta = {
            "format": _FORMAT,
            "config": self.config.model_dump_json(),
            "vocabulary": json.dumps(self.vocabulary),
            "dataset_image_size": str(self.dataset_image_size),
            "word_pattern": self.word_pattern,
            "thresholds": json.dumps({direction: dict(values) for direction, values in self.thresholds.items()}),
        }
        save_tensors(path, weights, meta)

    @classmethod
    def load(cls, path: Path, remedy: str = "build the collection anew") -> "PretrainedStudent":
        """Read what :meth:`save` wrote.

        Args:
            remedy: what to do where it cannot be read.

        Raises:
            DcmqError: it is missing, damaged, something else, or of a format that this version does not know.
        """
        try:
            meta = load_tensors(path)[1]
            if (written := meta.get("format", _FORMAT)) != _FORMAT:
                raise DcmqError(f"{path} has format {written}, and this version of dcmq reads {_FORMAT}: update dcmq")
            config, vocabulary = TrainConfig.model_validate_json(meta["config"]), json.loads(meta["vocabulary"])
            student = load_student(config, len(vocabulary), path)
            thresholds = json.loads(meta.get("thresholds", "{}"))
            return cls(student, config, vocabulary, int(meta["dataset_image_size"]), meta["word_pattern"], thresholds)
        except (CorruptFile, KeyError, ValueError, RuntimeError):  # of pydantic the third, of torch the last
            raise DcmqError(f"{path} is missing, damaged, or of another version: {remedy}") from None

    @classmethod
    def from_pretrained(cls, source: Path | str, revision: str | None = None) -> "PretrainedStudent":
        """Read the student that ``dcmq push`` put into a folder, or into a repository of the Hugging Face hub.

        The hub's own settings count: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``, and the token of ``hf auth login``.

        Args:
            source: a folder, or else the repository ``user/name``; ``hub:user/name`` never means a folder.
            revision: a branch, a tag or a commit of the repository.

        Raises:
            DcmqError: no such folder or repository, no connection or permission, or a file as :meth:`load` refuses it.
        """
        folder, repository = Path(source).expanduser(), str(source).removeprefix(HUB)
        if folder.is_dir():
            if revision is not None:
                raise DcmqError(f"{source} is a folder, which has no revisions: write {HUB}{source} for the repository")
            return cls.load(folder / MODEL, "write the folder anew with dcmq push")
        if repository.count("/") != 1 or not all(repository.split("/")) or folder.is_absolute():
            raise DcmqError(f"there is no folder {source}, and it is no repository of the hub: write user/name for one")
        path = fetch(repository, MODEL, revision)
        return cls.load(path, "delete the file, and it is fetched again")

    def words(self, text: str) -> list[str]:
        """The distinct words of ``text``, cut as those of the student's data set were."""
        return list(dict.fromkeys(words(text, self.word_pattern)))

    def unknown_words(self, text: str) -> list[str]:
        """The distinct words of ``text`` that the student does not know; none for a student that reads any text."""
        return [word for word in self.words(text) if word not in self._column] if self._takes_bags else []

    def can_read(self, text: str) -> bool:
        """True where the student knows a word of ``text``."""
        return not self._takes_bags or any(word in self._column for word in self.words(text))

    def near_words(self, text: str) -> dict[str, str]:
        """The unknown words of ``text``, each of the first few with the known word that is spelt most like it; with an empty text
        where there is none, and for all further ones."""
        unknown = self.unknown_words(text)
        near = {word: get_close_matches(word, self.vocabulary, 1) for word in unknown[:_LOOKED_UP]}
        return {word: next(iter(near.get(word, ())), "") for word in unknown}

    def require_known(self, text: str) -> None:
        """Raise DcmqError where the student knows no word of ``text``."""
        if not self.can_read(text):
            near = ", ".join(filter(None, self.near_words(text).values()))
            advice = f"; did you mean {near}?" if near else ""
            raise DcmqError(
                f"{text!r} has no word that the student knows, such as {', '.join(self.vocabulary[:12])}{advice}"
            )

    def bags(self, texts: Sequence[str]) -> Tensor:
        """(n, V) float32 0/1 bags of words."""
        bags = torch.zeros(len(texts), len(self.vocabulary))
        for bag, text in zip(bags, texts, strict=True):
            bag[[self._column[word] for word in self.words(text) if word in self._column]] = 1
        return bags

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """(n, D) float32 embeddings.

        Raises:
            DcmqError: a text without any word that the student knows.
        """
        for text in texts:
            self.require_known(text)
        read = self.bags if self._takes_bags else clip_tokenizer(self.student.config.text_encoder)
        batches = (texts[start : start + _TEXT_BATCH] for start in range(0, len(texts), _TEXT_BATCH))
        return torch.cat([self.student.encode_texts(read(list(batch))) for batch in batches])

    @torch.no_grad()
    def encode_images(self, files: Sequence[Path | BinaryIO]) -> tuple[Tensor, list[int]]:
        """(m, D) float32 embeddings of the files that are readable images, and the positions of those that are not."""
        config = self.student.config
        embeddings, unreadable = [torch.empty(0, config.num_codebooks * config.subvector_dim)], []
        for start, images in self._read_batches(files):
            readable = [image for image in images if image is not None]
            if readable:
                embeddings.append(self.student.encode_images(torch.from_numpy(np.stack(readable))))
            unreadable += [start + i for i, image in enumerate(images) if image is None]
        return torch.cat(embeddings), unreadable

    def quantize_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, code size) packed codes. Raises DcmqError as :meth:`encode_texts` does."""
        return quantize(self.encode_texts(texts), self.codebooks)

    def quantize_images(self, files: Sequence[Path | BinaryIO]) -> tuple[np.ndarray, list[int]]:
        """(m, code size) packed codes of the files that are readable images, and the positions of those that are not."""
        embeddings, unreadable = self.encode_images(files)
        return quantize(embeddings, self.codebooks), unreadable

    def _read_batches(self, files: Sequence[Path | BinaryIO]) -> Iterator[tuple[int, list[np.ndarray | None]]]:
        """Batches of :meth:`_read_image` of the files, each with the position of its first."""
        with (
            ThreadPoolExecutor(2) as pool,
            tqdm(total=len(files), desc="images", unit="image", disable=len(files) < 100) as bar,
        ):
            for start in range(0, len(files), _IMAGE_BATCH):
                images = list(pool.map(self._read_image, files[start : start + _IMAGE_BATCH]))
                yield start, images
                bar.update(len(images))

    def _read_image(self, file: Path | BinaryIO) -> np.ndarray | None:
        """(size, size, 3) uint8, squashed as the data set's images were; None if the file is no readable image."""
        try:
            with open_image(file) as image:
                return image_array(image, self.dataset_image_size)
        except UNREADABLE:
            return None

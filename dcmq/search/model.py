"""A trained student with all it must know to read pictures and texts that it was not trained on."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor
from tqdm.auto import tqdm

from dcmq.codes.quantize import quantize
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors
from dcmq.data.decode import UNREADABLE
from dcmq.data.resize import image_array
from dcmq.methods.dcmq.student import Student, load_student
from dcmq.networks.clip import clip_tokenizer

_BATCH = 64
_WEIGHTS = "model."


class SearchModel:
    """Embeds pictures and texts.

    Args:
        config: how ``student`` was trained.
        vocabulary: the words its bags of words are made of.
        dataset_image_size: pixels a side that pictures of its data set were squashed to, before they were resized for it.
    """

    def __init__(self, student: Student, config: TrainConfig, vocabulary: Sequence[str], dataset_image_size: int):
        self.student, self.config = student.eval(), config
        self.vocabulary, self.dataset_image_size = tuple(vocabulary), dataset_image_size
        self._number = {word: i for i, word in enumerate(self.vocabulary)}
        self._reads_words = config.student.text_input == "bow"

    @property
    def codebooks(self) -> Tensor:
        """(M, K, D / M)."""
        return self.student.quantizer.codebooks.detach()

    def save(self, path: Path) -> None:
        """Write all to one file."""
        tensors = {f"{_WEIGHTS}{name}": value for name, value in self.student.state_dict().items()}
        about = {"vocabulary": json.dumps(self.vocabulary), "dataset_image_size": str(self.dataset_image_size)}
        save_tensors(path, tensors, {"config": self.config.model_dump_json(), **about})

    @classmethod
    def load(cls, path: Path) -> "SearchModel":
        """Read what :meth:`save` wrote. Raises DcmqError if it is missing, damaged or something else."""
        try:
            about = load_tensors(path)[1]
            config, vocabulary = TrainConfig.model_validate_json(about["config"]), json.loads(about["vocabulary"])
            return cls(
                load_student(config, len(vocabulary), path), config, vocabulary, int(about["dataset_image_size"])
            )
        except (CorruptFile, KeyError, ValueError, ValidationError):
            raise DcmqError(f"{path} is missing, damaged, or of another version: build the collection anew") from None

    def reads(self, text: str) -> bool:
        """Whether there is a word in ``text`` that the student knows."""
        return not self._reads_words or len(self.unread(text)) < len(words(text))

    def unread(self, text: str) -> list[str]:
        """The words of ``text`` that the student does not know."""
        return [word for word in words(text) if word not in self._number] if self._reads_words else []

    def bags(self, texts: Sequence[str]) -> Tensor:
        """(n, V) 0/1 bags of words."""
        bags = torch.zeros(len(texts), len(self.vocabulary))
        for bag, text in zip(bags, texts, strict=True):
            bag[[self._number[word] for word in words(text) if word in self._number]] = 1
        return bags

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """(n, D) float32.

        Raises:
            DcmqError: a text without any word that the student knows.
        """
        parts = []
        for start in range(0, len(texts), 1024):
            part = list(texts[start : start + 1024])
            if self._reads_words:
                for text in part:
                    if not self.reads(text):
                        known = ", ".join(self.vocabulary[:12])
                        raise DcmqError(f"{text!r} has no word that the student knows, such as {known}")
                inputs = self.bags(part)
            else:
                inputs = clip_tokenizer(self.student.config.text_encoder)(part)
            parts.append(self.student.encode_texts(inputs))
        return torch.cat(parts)

    @torch.no_grad()
    def encode_images(self, files: Sequence[Path]) -> tuple[Tensor, list[int]]:
        """(m, D) float32 of the pictures that can be read, and the numbers of those that cannot."""
        parts, broken = [torch.empty(0, self.student.config.num_codebooks * self.student.config.subvector_dim)], []
        for numbers, pictures, bad in self._decoded(files):
            broken += bad
            if len(numbers):
                parts.append(self.student.encode_images(torch.from_numpy(pictures)))
        return torch.cat(parts), broken

    def quantize_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, width) packed codes. Raises DcmqError as :meth:`encode_texts` does."""
        return quantize(self.encode_texts(texts), self.codebooks)

    def quantize_images(self, files: Sequence[Path]) -> tuple[np.ndarray, list[int]]:
        """(m, width) packed codes of the pictures that can be read, and the numbers of those that cannot."""
        embeddings, broken = self.encode_images(files)
        return quantize(embeddings, self.codebooks), broken

    def _decoded(self, files: Sequence[Path]) -> Iterator[tuple[list[int], np.ndarray, list[int]]]:
        with (
            ThreadPoolExecutor(2) as pool,
            tqdm(total=len(files), desc="pictures", unit="picture", disable=len(files) < 100) as bar,
        ):
            for start in range(0, len(files), _BATCH):
                numbers = range(start, min(start + _BATCH, len(files)))
                made = list(pool.map(self._image, (files[i] for i in numbers)))
                good = [picture for picture in made if picture is not None]
                bad = [i for i, picture in zip(numbers, made, strict=True) if picture is None]
                yield [i for i in numbers if i not in bad], np.stack(good) if good else np.empty(0), bad
                bar.update(len(made))

    def _image(self, file: Path) -> np.ndarray | None:
        """(size, size, 3) uint8, squashed as the data set's were; None if the file is no picture."""
        try:
            with Image.open(file) as picture:
                return image_array(picture, self.dataset_image_size)
        except UNREADABLE:
            return None


def words(text: str) -> list[str]:
    """Distinct words in lower case, of two letters or digits or more, in any language."""
    return list(dict.fromkeys(re.findall(r"\w\w+", text.lower())))

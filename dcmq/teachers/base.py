"""What a teacher is: something that embeds every picture and label sentence of a data set."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from dcmq.core.registry import Registry
from dcmq.data.dataset import RetrievalDataset


@dataclass(frozen=True)
class TeacherEmbeddings:
    """What a teacher makes of a data set.

    Attributes:
        image, text: (n, d) float32 unit vectors of every row's image and label sentence.
        name: as asked for. description: what that turned out to be.
        parameters: a count. fingerprint: a hash of weights and preprocessing.
        code: fingerprint of the code that made the vectors.
        reads_any_text: whether the teacher itself can be asked for other texts' vectors.
    """

    image: Tensor
    text: Tensor
    name: str
    description: str
    parameters: int
    fingerprint: str
    code: str = ""
    reads_any_text: bool = False


@dataclass(frozen=True)
class TeacherKind:
    """How a teacher is asked for.

    Attributes:
        forms: as a user writes it, such as ``declip-rn50:FILE``.
        make: the teacher, from what the user wrote and the name of the data set.
    """

    forms: tuple[str, ...]
    make: "Callable[[str, str], Teacher]"


TEACHERS: Registry[TeacherKind] = Registry("teacher")  # by what stands before the first colon


def register_teacher(*forms: str) -> Callable:
    """Registers a function of (what the user wrote, name of the data set) that makes a teacher, for these ``forms`` of names.

    All of ``forms`` begin alike, up to the first colon.
    """

    def register(make: "Callable[[str, str], Teacher]"):
        TEACHERS.register(forms[0].partition(":")[0], TeacherKind(forms, make))
        return make

    return register


class Teacher(ABC):
    """Attributes: ``name`` as asked for; ``resolved``, what that turned out to be; ``parameters``, a count;
    ``fingerprint``, a hash of weights and preprocessing; ``stored``, the precision embeddings are kept in."""

    name: str
    description: str
    parameters: int
    fingerprint: str
    stored = torch.float32  # the precision in which embeddings are kept
    reads_any_text = False

    @abstractmethod
    def embed_dataset(self, dataset: RetrievalDataset, progress: bool = True) -> tuple[Tensor, Tensor]:
        """Unit vectors (n, d) of the pictures and of the label sentences, in row order."""


class Encoder(Teacher):
    """A teacher that runs a model. Subclasses say how a batch is encoded."""

    reads_any_text = True

    @abstractmethod
    def encode_images(self, images: np.ndarray) -> Tensor:
        """(b, H, W, 3) uint8 pictures to (b, d) unit vectors."""

    @abstractmethod
    def encode_texts(self, texts: list[str]) -> Tensor:
        """Sentences to (b, d) unit vectors."""

    def truncated(self, texts: list[str]) -> int:
        """How many of ``texts`` are longer than the model reads, so that their ends are cut off. 0 where nobody counts."""
        return 0

    def embed_dataset(self, dataset, progress=True, batch: int = 128):
        """Every picture once, and each distinct label sentence once. Warns of sentences that are cut."""
        parts = np.array_split(np.arange(len(dataset.ids)), max(1, -(-len(dataset.ids) // batch)))
        bar = tqdm(parts, desc=f"teacher {self.name}", unit="batch", disable=not progress)
        images = torch.cat([self.encode_images(np.asarray(dataset.images[rows])) for rows in bar])
        sentences = dataset.label_sentences()
        distinct = sorted(set(sentences))
        if cut := self.truncated(distinct):
            warnings.warn(
                f"teacher {self.name}: {cut} of {len(distinct)} distinct label sentences are longer than it reads and were cut",
                stacklevel=2,
            )
        texts = torch.cat([self.encode_texts(distinct[i : i + batch]) for i in range(0, len(distinct), batch)])
        number = {sentence: i for i, sentence in enumerate(distinct)}
        return images, texts[[number[s] for s in sentences]]


def l2_normalize(x: Tensor) -> Tensor:
    """Rows scaled to length 1, float32."""
    return F.normalize(x.float(), dim=-1)

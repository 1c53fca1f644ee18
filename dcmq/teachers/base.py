"""What a teacher is: something that embeds every image and every label sentence of a data set."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import parent_process

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from dcmq.core.registry import Registry
from dcmq.data.dataset import RetrievalDataset


@dataclass(frozen=True)
class TeacherEmbeddings:
    """A teacher's embeddings of a data set, made when they are first looked at.

    Attributes:
        vectors: makes (n, d) float32 unit vectors of every row's image, and of its label sentence.
        name: the teacher's name as the user wrote it.
        description: the model and checkpoint behind that name.
        parameters: how many weights it has; 0 where that is not known.
        fingerprint: a hash of weights and preprocessing.
        code: fingerprint of the code that made the vectors.
        encode_texts: encodes b sentences to (b, d) unit vectors; None where the teacher cannot embed other texts.
    """

    vectors: Callable[[], tuple[Tensor, Tensor]]
    name: str
    description: str
    parameters: int
    fingerprint: str
    code: str = ""
    encode_texts: Callable[[list[str]], Tensor] | None = None

    @cached_property
    def _vectors(self) -> tuple[Tensor, Tensor]:
        return self.vectors()

    @property
    def image(self) -> Tensor:
        """(n, d) float32 unit vectors of the images."""
        return self._vectors[0]

    @property
    def text(self) -> Tensor:
        """(n, d) float32 unit vectors of the label sentences."""
        return self._vectors[1]

    @property
    def reads_any_text(self) -> bool:
        """True where the teacher itself can embed other texts than label sentences."""
        return self.encode_texts is not None


@dataclass(frozen=True)
class TeacherFacts:
    """Facts that a user wants to know before choosing a teacher, as texts for tables and messages.

    Attributes:
        source: where its weights come from.
        size: number of weights, and bytes in float32.
        licence: of the weights.
        embedding: length of its vectors.
        checked: how this package's loading of it was checked.
    """

    source: str
    size: str = ""
    licence: str = ""
    embedding: str = ""
    checked: str = ""


@dataclass(frozen=True)
class TeacherKind:
    """A kind of teacher: how a user names it, what it needs, how one is made, and facts about it.

    Attributes:
        forms: the ways to write its name, such as ``declip-rn50:FILE``.
        make: a function of (name as written, name of the data set) to the teacher.
        description: facts about it.
        package: an optional package that it needs. extra: ``pip install 'dcmq[EXTRA]'`` brings it.
    """

    forms: tuple[str, ...]
    make: "Callable[[str, str], Teacher]"
    description: TeacherFacts
    package: str = ""
    extra: str = ""

    @property
    def origin(self) -> "Callable[[str, str], Teacher]":
        """The function whose module tells whether the kind is the package's own."""
        return self.make

    def accepts(self, argument: str) -> bool:
        """True where a name with ``argument`` behind its first colon, "" for none, has one of the forms."""
        return any((":" in form) == bool(argument) for form in self.forms)


TEACHERS: Registry[TeacherKind] = Registry("teacher")  # by what stands before the first colon
_OWN = TeacherFacts("your own")


def register_teacher(*forms: str, description: TeacherFacts = _OWN, package: str = "", extra: str = "") -> Callable:
    """Register a function of (name as written, name of the data set) that makes a teacher, under ``forms`` of names.

    All of ``forms`` begin alike, up to the first colon; the other arguments are those of :class:`TeacherKind`.
    """

    def register(make: "Callable[[str, str], Teacher]"):
        TEACHERS.register(forms[0].partition(":")[0], TeacherKind(forms, make, description, package, extra))
        return make

    return register


class Teacher(ABC):
    """A frozen model, or its embeddings.

    Attributes:
        name: as the user wrote it.
        description: the model and checkpoint behind that name.
        parameters: how many weights it has; 0 where that is not known.
        fingerprint: a hash of weights and preprocessing.
        stored: the precision in which its embeddings are kept.
        reads_any_text: whether it can embed texts other than the data set's label sentences.
    """

    name: str
    description: str
    parameters: int
    fingerprint: str
    stored = torch.float32
    reads_any_text = False

    @property
    def network(self) -> nn.Module | None:
        """The torch model that it runs; None where embeddings were made elsewhere."""
        return None

    @property
    def training_seconds(self) -> float | None:
        """Seconds that its own training took; None where its file does not say so."""
        return None

    @abstractmethod
    def embed_dataset(self, dataset: RetrievalDataset, progress: bool = True) -> tuple[Tensor, Tensor]:
        """Unit vectors (n, d) of the images and of the label sentences, in row order."""


class Encoder(Teacher):
    """A teacher that runs a model. Subclasses say how a batch is encoded."""

    reads_any_text = True

    @abstractmethod
    def encode_images(self, images: np.ndarray) -> Tensor:
        """Encode (b, H, W, 3) uint8 images to (b, d) unit vectors."""

    @abstractmethod
    def encode_texts(self, texts: list[str]) -> Tensor:
        """Encode b sentences to (b, d) unit vectors."""

    def truncated(self, texts: list[str]) -> int:
        """The number of ``texts`` that are longer than the model reads, so that their ends are cut off; 0 if
        unknown."""
        return 0

    def embed_dataset(self, dataset, progress=True, batch: int = 128):
        """Encode every image once, and each distinct label sentence once. Warns of sentences that are cut."""
        parts = np.array_split(np.arange(len(dataset.ids)), max(1, -(-len(dataset.ids) // batch)))
        bar = tqdm(parts, desc=f"teacher {self.name}", unit="batch", disable=not progress or parent_process() is not None)
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
    """The rows of ``x`` (n, d) at length 1, float32."""
    return F.normalize(x.float(), dim=-1)

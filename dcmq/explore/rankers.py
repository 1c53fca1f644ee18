"""Rankers: what scores items for a query, with the embeddings and codes that it has of them."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.index import CodeIndex
from dcmq.codes.pack import unpack
from dcmq.codes.score import scores
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.runs import trained_student
from dcmq.explore.items import KINDS
from dcmq.networks.features import embed
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.runs import model_of
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.teachers.registry import resolve_teacher

_CHUNK = 8192  # items whose cosines with all codewords are in memory at a time


@dataclass(frozen=True)
class Ranker:
    """A student, which scores codes, or a teacher, which scores embeddings by their cosine.

    Attributes:
        name: as it is chosen by.
        description: a line on what it is.
        embeddings: by kind of item, (n, D) float32; rows without that kind are zero.
        read: a function of a text to its (D,) embedding, which raises DcmqError where it cannot be read.
        unknown: a function of a text to those of its words that are not understood.
        codebooks: (M, K, D / M), or None where embeddings are not quantized.
        encode: a function of (kind, row) to the (D,) embedding of an item, where ``embeddings`` are decoded codes.
    """

    name: str
    description: str
    embeddings: Mapping[str, Tensor]
    read: Callable[[str], Tensor]
    unknown: Callable[[str], list[str]] = lambda text: []
    codebooks: Tensor | None = None
    encode: Callable[[str, int], Tensor] | None = None

    @cached_property
    def codes(self) -> dict[str, Tensor]:
        """The (n, M) int64 codeword numbers by kind of item. Raises DcmqError where embeddings are not quantized."""
        if self.codebooks is None:
            raise DcmqError(f"{self.name} has no codes: choose a student")
        parts = {kind: self.embeddings[kind].split(_CHUNK) for kind in KINDS}
        return {kind: torch.cat([assign(part, self.codebooks) for part in parts[kind]]) for kind in KINDS}

    @property
    def scale(self) -> int:
        """The largest score: M for sums of M cosines, 1 for a cosine."""
        return 1 if self.codebooks is None else len(self.codebooks)

    def embedding(self, kind: str, row: int) -> Tensor:
        """(1, D): the embedding of the image or the text of a row."""
        return (self.encode(kind, row) if self.encode else self.embeddings[kind][row])[None]

    def scorer(self, kind: str, rows) -> Callable[[Tensor], Tensor]:
        """A function of (q, D) query embeddings to their (q, g) scores of the ``rows`` of a kind, higher is nearer.

        It is the package's own scoring: asymmetric (§3.5) where there are codes, so that a query is not compressed.
        """
        rows = torch.as_tensor(rows)
        if self.codebooks is None:
            items = F.normalize(self.embeddings[kind][rows], dim=1)
            return lambda queries: F.normalize(queries, dim=1) @ items.T
        codes = self.codes[kind][rows]
        return lambda queries: scores(lookup_tables(queries, self.codebooks), codes)


def ranker_of_run(
    name: str, run: TrainConfig | Path | str, data: RetrievalDataset, embeddings: TeacherEmbeddings
) -> Ranker:
    """The student of a run of DCMQ: of a configuration, trained now if need be, or of a finished run's folder.

    Raises:
        DcmqError: a run of another method, a folder that is no finished run, or one whose student reads other words.
    """
    if isinstance(run, Path | str):
        model = model_of(Path(run))
        if model.vocabulary != data.vocabulary:
            raise DcmqError(
                f"{run} was trained on other words than those of {data.name}: load the data set of that run"
            )
    elif isinstance(run, TrainConfig):
        student = trained_student(run, data, embeddings)
        model = PretrainedStudent(student, run, data.vocabulary, data.images.shape[1], data.word_pattern)
    else:
        raise DcmqError(f"{name}: only students of DCMQ can be explored, not a run of {getattr(run, 'method', run)}")
    every = torch.arange(len(data.ids)).numpy()
    image, text = embed(model.student, data, every)
    config = model.config.student
    return Ranker(
        name=name,
        description=f"student, {config.bits} bits = {config.num_codebooks} codebooks x {config.num_codewords} codewords",
        embeddings={"images": image, "texts": text},
        read=lambda words: model.encode_texts([words])[0],
        unknown=model.unknown_words,
        codebooks=model.codebooks,
    )


def ranker_of_teacher(embeddings: TeacherEmbeddings, data: RetrievalDataset) -> Ranker:
    """The teacher of a data set, whose texts are label sentences; it is loaded when it must read other words."""

    def read(text: str) -> Tensor:
        if not embeddings.reads_any_text:
            raise DcmqError(f"teacher {embeddings.name} is known by its embeddings alone: it reads no other words")
        return resolve_teacher(embeddings.name, data.name).encode_texts([text])[0]

    return Ranker(
        name=f"teacher {embeddings.name}",
        description="teacher, not quantized; its texts are the names of the labels",
        embeddings={"images": embeddings.image, "texts": embeddings.text},
        read=read,
    )


def ranker_of_collection(collection: Collection) -> Ranker:
    """The student of a collection: items by their codes, queries encoded anew from the image file or the text."""
    model, config = collection.model, collection.model.config.student
    indexes = [collection.load_index(kind) for kind in KINDS]
    codes = [_codes(index) for index in indexes]
    (images, texts), names = codes, indexes[0].ids
    sentences = indexes[1].ids

    def encode(kind: str, row: int) -> Tensor:
        if kind == "texts":
            return model.encode_texts([str(sentences[row - len(images)])])[0]
        try:
            encoded, unreadable = model.encode_images([io.BytesIO(collection.read_image(str(names[row])))])
        except FileNotFoundError:
            unreadable = [0]
        if unreadable:
            raise DcmqError(f"{names[row]} is gone or no image: run dcmq search build again")
        return encoded[0]

    absent = {"images": (0, len(texts)), "texts": (len(images), 0)}  # rows before and after that have no such thing
    decoded = {
        kind: F.pad(_decoded(own, model.codebooks), (0, 0, *absent[kind]))
        for kind, own in zip(KINDS, codes, strict=True)
    }
    ranker = Ranker(
        name="student",
        description=f"student, {config.bits} bits = {config.num_codebooks} codebooks x {config.num_codewords} codewords",
        embeddings=decoded,
        read=lambda words: model.encode_texts([words])[0],
        unknown=model.unknown_words,
        codebooks=model.codebooks,
        encode=encode,
    )
    return ranker


def _codes(index: CodeIndex) -> Tensor:
    """(n, M) int64 codeword numbers of the items of an index, which may hold none."""
    if not len(index):
        return torch.empty(0, index.num_codebooks, dtype=torch.long)
    return torch.from_numpy(unpack(index.codes, index.num_codebooks, index.num_codewords))


def _decoded(codes: Tensor, codebooks: Tensor) -> Tensor:
    """(n, D): the codewords that (n, M) codes name, side by side."""
    return codebooks[torch.arange(len(codebooks)), codes].flatten(1)

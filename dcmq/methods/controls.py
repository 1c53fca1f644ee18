"""Controls: a frozen teacher without any student, as it is (the upper line) and compressed without training.

The teacher reads label sentences (which tell it the annotated classes, of queries too), captions, or tags; the students
read bags of words. A row's name says which, and rows that read different things are different tasks.
"""

import time
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.bits import codebooks_for_bits
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.methods.base import CONTROL, FitResult, FitTask, register_method
from dcmq.methods.hashing import signs
from dcmq.methods.product_quantization import NUM_CODEWORDS, train_codebooks
from dcmq.retrieval.retriever import Retriever
from dcmq.teachers.registry import resolve_teacher

TEXTS = ("labels", "captions", "tags")


def teacher_texts(task: FitTask, text: str, batch: int = 128) -> Tensor:
    """(n, d) unit vectors of every row's label sentence, first caption, or tags joined by spaces.

    Raises:
        DcmqError: the data set has no such texts, or the teacher's embeddings came from a file.
    """
    if text == "labels":
        return task.teacher.text
    if not task.teacher.reads_any_text:
        raise DcmqError(f"methods: {task.teacher.name} cannot read {text}; choose the methods that end in -labels")
    teacher = resolve_teacher(task.teacher.name, task.dataset.name)
    kind = "caption" if text == "captions" else text
    words = [task.dataset.text_of(row, kind) for row in range(len(task.dataset.ids))]
    if None in words:
        raise DcmqError(
            f"methods: not every sample of {task.dataset.name} has {text}; choose the methods that end in -labels"
        )
    distinct = sorted(set(words))
    found = torch.cat([teacher.encode_texts(distinct[i : i + batch]) for i in range(0, len(distinct), batch)])
    place = {word: i for i, word in enumerate(distinct)}
    return found[[place[word] for word in words]]


class TeacherRetriever(Retriever):
    """The teacher's unit vectors as they are, ranked by cosine, 4 bytes a number."""

    def __init__(self, task: FitTask, text: str):
        self.image, self.text = task.teacher.image, teacher_texts(task, text)
        self.train = task.dataset.split.train
        self.bytes_per_item = 4 * self.image.shape[1]

    def learnt_numbers(self) -> int:
        """The count of numbers that were fitted to the training set."""
        return 0

    def embed(self, rows):
        """The teacher's unit vectors, each (len(rows), d) float32."""
        return self.image[rows], self.text[rows]

    def codes(self, embeddings):
        """The embeddings themselves."""
        return embeddings

    def queries(self, embeddings):
        """The embeddings themselves."""
        return embeddings

    def scores(self, queries, codes):
        """Cosines."""
        return queries @ codes.T


class TeacherOpq(TeacherRetriever):
    """OPQ of the teacher's vectors, both modalities together; queries stay as they are, by dot product."""

    def __init__(self, task: FitTask, text: str):
        super().__init__(task, text)
        num_codebooks = codebooks_for_bits(task.config.student.bits, NUM_CODEWORDS)
        self.codec = train_codebooks(
            torch.cat(self.embed(self.train)), num_codebooks, rotate=True, seed=task.config.seed
        )
        self.codebooks = self.codec.codebooks
        self.bytes_per_item = task.config.student.bits / 8

    def learnt_numbers(self):
        """Those of the rotation and the codewords."""
        return self.codec.numbers()

    def codes(self, embeddings):
        """(n, M) indices of the nearest codewords."""
        return self.codec.assign(embeddings)

    def queries(self, embeddings):
        """(q, M, K) dot products of sub-vectors and codewords."""
        return torch.einsum(
            "nmd,mkd->nmk", self.codec.rotated(embeddings).unflatten(1, (len(self.codebooks), -1)), self.codebooks
        )

    def scores(self, queries, codes):
        """Dot products with what the codes say."""
        return scores(queries, codes)


class TeacherSigns(TeacherRetriever):
    """Signs of random projections (Charikar, STOC 2002), each modality centred on its mean over train.

    Without the centring all vectors of a narrow cone would share most signs.
    """

    def __init__(self, task: FitTask, text: str):
        super().__init__(task, text)
        self.radius = task.config.student.bits
        generator = torch.Generator().manual_seed(task.config.seed)
        self.directions = torch.randn(self.image.shape[1], self.radius, generator=generator)
        rows = torch.from_numpy(np.asarray(self.train))
        self.image = self.image - self.image[rows].mean(0)
        self.text = self.text - self.text[rows].mean(0)
        self.bytes_per_item = self.radius / 8

    def codes(self, embeddings):
        """(n, c) signs."""
        return signs(embeddings @ self.directions)

    def queries(self, embeddings):
        """(q, c) signs."""
        return signs(embeddings @ self.directions)

    def scores(self, queries, codes):
        """Minus the Hamming distance."""
        return (queries @ codes.T - self.radius) / 2


def _register(kind: str, retriever: type[TeacherRetriever], what: str, reference: str) -> None:
    """Registers a row for each kind of text that a teacher reads."""
    for text in TEXTS:
        register_method(
            f"{kind}-{text}",
            reference=reference,
            fidelity=CONTROL,
            note=f"frozen teacher, {what}; reads {text} where the students read bags of words",
            origin=fit,
            text_input=text,
        )(partial(fit, retriever=retriever, text=text))


def fit(task: FitTask, retriever: type[TeacherRetriever], text: str) -> FitResult:
    """The teacher's ``retriever`` of this kind of ``text``; nothing but OPQ's codebooks is learnt."""
    start = time.perf_counter()
    made = retriever(task, text)
    return FitResult(made, made.learnt_numbers(), time.perf_counter() - start)


_register("teacher", TeacherRetriever, "float cosine: the upper line", "the notebook's teacher")
_register("teacher-OPQ", TeacherOpq, "OPQ at equal bits, no training", "Ge, He, Ke, Sun, TPAMI 2014")
_register("teacher-signs", TeacherSigns, "signs of random projections, no training", "Charikar, STOC 2002")

"""Controls: a frozen teacher without any student, as it is (the upper line) and compressed without training.

The teacher reads label sentences (which tell it the annotated classes, of queries too), captions, or tags; the students
read bags of words. A row's name says which, and rows that read different things are different tasks.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from dcmq.codes.bits import codebooks_for_bits
from dcmq.codes.score import scores
from dcmq.methods.base import CONTROL, FitResult, FitTask, register_method
from dcmq.methods.hashing import signs
from dcmq.methods.product_quantization import NUM_CODEWORDS, train_codebooks
from dcmq.retrieval.retriever import Retriever
from dcmq.teachers.texts import text_vectors

TEXTS = ("labels", "captions", "tags")


class TeacherRetriever(Retriever):
    """The teacher's unit vectors as they are, ranked by cosine, 4 bytes a number."""

    def __init__(self, task: FitTask, text: str):
        self.image, self.text = task.teacher.image, text_vectors(task.teacher, task.dataset, text)
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
    """OPQ of the teacher's vectors; queries stay as they are, by dot product.

    Args:
        trained_on: the modalities whose training vectors the rotation and the codebooks are fitted to. One set of codebooks
            serves both in any case: fitted to one, it has to store and to answer the other across the modality gap.
    """

    def __init__(self, task: FitTask, text: str, trained_on: tuple[str, ...] = ("images", "texts")):
        super().__init__(task, text)
        num_codebooks = codebooks_for_bits(task.config.student.bits, NUM_CODEWORDS)
        vectors = dict(zip(("images", "texts"), self.embed(self.train), strict=True))
        self.codec = train_codebooks(
            torch.cat([vectors[modality] for modality in trained_on]), num_codebooks, rotate=True, seed=task.config.seed
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


class TeacherRabitq(TeacherRetriever):
    """RaBitQ (Gao and Long, SIGMOD 2024): a bit per number of a randomly rotated vector, whatever ``bits`` a run asks for.

    A vector o less the mean c of all training vectors, at length 1 and rotated, is stored as its signs s / sqrt(d). With q the
    query less the mean and rotated, <s, q> / <s, o> is an estimate of <o, q> without bias over rotations (Theorem 3.2). Two
    floats are stored with the signs, as in the paper: the length ``|o - c|``, and its share <s, o>. They also give the part of
    the cosine that lies along c, as all vectors have length 1. Queries are not quantised, where the paper has 4 bits a number.
    """

    def __init__(self, task: FitTask, text: str):
        super().__init__(task, text)
        dimension = self.image.shape[1]
        generator = torch.Generator().manual_seed(task.config.seed)
        self.rotation = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator))[0]
        self.mean = torch.cat(self.embed(self.train)).mean(0)
        self.bytes_per_item = dimension / 8 + 2 * 4

    def learnt_numbers(self):
        """Those of the mean."""
        return self.mean.numel()

    def codes(self, embeddings):
        """(n, d + 2): d signs, the length of the residual, and the cosine between it and its signs."""
        residual = (embeddings - self.mean) @ self.rotation
        bits, length = signs(residual), residual.norm(dim=1, keepdim=True)
        cosine = (residual * bits).sum(1, keepdim=True) / length.clamp_min(1e-12) / residual.shape[1] ** 0.5
        return torch.cat([bits, length, cosine], 1)

    def queries(self, embeddings):
        """(q, d + 1): the rotated residual, and the query's product with the mean."""
        return torch.cat([(embeddings - self.mean) @ self.rotation, (embeddings @ self.mean)[:, None]], 1)

    def scores(self, queries, codes):
        """Estimated cosines: <o - c, q - c> by the signs, + <o, c> + <q, c> - <c, c>."""
        residual, with_mean = queries[:, :-1], queries[:, -1:]
        bits, length, cosine = codes[:, :-2], codes[:, -2], codes[:, -1]
        estimate = residual @ bits.T * (length / cosine.clamp_min(1e-12) / bits.shape[1] ** 0.5)
        square = self.mean @ self.mean
        return estimate + (1 + square - length**2) / 2 + with_mean - square


def _register(kind: str, retriever: Callable[..., TeacherRetriever], what: str, reference: str) -> None:
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


def fit(task: FitTask, retriever: Callable[..., TeacherRetriever], text: str) -> FitResult:
    """The teacher's ``retriever`` of this kind of ``text``; nothing but OPQ's codebooks is learnt."""
    start = time.perf_counter()
    made = retriever(task, text)
    return FitResult(made, made.learnt_numbers(), time.perf_counter() - start)


_register("teacher", TeacherRetriever, "float cosine: the upper line", "the notebook's teacher")
_register("teacher-OPQ", TeacherOpq, "OPQ at equal bits, no training", "Ge, He, Ke, Sun, TPAMI 2014")
for _modality in ("images", "texts"):
    _register(
        f"teacher-OPQ({_modality})",
        partial(TeacherOpq, trained_on=(_modality,)),
        f"OPQ at equal bits that is fitted to {_modality} alone",
        "Ge, He, Ke, Sun, TPAMI 2014",
    )
_register("teacher-RaBitQ", TeacherRabitq, "a bit per number and two floats, no training", "Gao, Long, SIGMOD 2024")
_register("teacher-signs", TeacherSigns, "signs of random projections, no training", "Charikar, STOC 2002")

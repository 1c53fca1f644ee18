"""What a frozen teacher does without any student: the upper line, and what plain compression leaves of it.

The teacher reads label sentences (which tell it the annotated classes, of queries too), captions, or tags; the students
read bags of words. A row's name says which, and rows that read different things are different tasks.
"""

import time

import numpy as np
import torch
from torch import Tensor

from dcmq.codes import codebooks_for_bits, scores
from dcmq.codewords import codeword_statistics
from dcmq.core.errors import DcmqError
from dcmq.methods.base import CONTROL, Fitted, Job, Method
from dcmq.methods.product_quantization import train_codebooks, WORDS
from dcmq.retrieval import Retriever, signs
from dcmq.teachers import resolve_teacher
from dcmq.teachers.base import Encoder

TEXTS = ("labels", "captions", "tags")


def teacher_texts(job: Job, text: str, batch: int = 128) -> Tensor:
    """(n, d) unit vectors of every row's label sentence, first caption, or tags joined by spaces.

    Raises:
        DcmqError: the data set has no such texts, or the teacher's embeddings came from a file.
    """
    if text == "labels":
        return job.teacher.text
    if job.teacher.name.startswith("precomputed"):
        raise DcmqError(f"methods: a precomputed teacher cannot read {text}; choose the methods that end in -labels")
    teacher = resolve_teacher(job.teacher.name, job.dataset.name)
    assert isinstance(teacher, Encoder)
    if text == "captions":
        words = [captions[0] for captions in job.dataset.captions if captions]
    else:
        words = [" ".join(tags) for tags in job.dataset.tags]
    if len(words) != len(job.dataset.ids):
        raise DcmqError(
            f"methods: not every sample of {job.dataset.name} has {text}; choose the methods that end in -labels"
        )
    distinct = sorted(set(words))
    found = torch.cat([teacher.encode_texts(distinct[i : i + batch]) for i in range(0, len(distinct), batch)])
    place = {word: i for i, word in enumerate(distinct)}
    return found[[place[word] for word in words]]


class TeacherRetriever(Retriever):
    """The teacher's unit vectors as they are, ranked by cosine, 4 bytes a number."""

    def __init__(self, job: Job, text: str):
        self.image, self.text = job.teacher.image, teacher_texts(job, text)
        self.train = job.dataset.split.train
        self.bytes_per_item = 4 * self.image.shape[1]

    def embed(self, rows):
        """See :class:`dcmq.retrieval.Retriever`."""
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

    def __init__(self, job: Job, text: str):
        super().__init__(job, text)
        books = codebooks_for_bits(job.config.student.bits, WORDS)
        self.codebooks = train_codebooks(torch.cat(self.embed(self.train)), books, rotate=True, seed=job.config.seed)
        self.bytes_per_item = job.config.student.bits / 8

    def codes(self, embeddings):
        """(n, M) indices of the nearest codewords."""
        return self.codebooks.assign(embeddings)

    def queries(self, embeddings):
        """(q, M, K) dot products of sub-vectors and codewords."""
        words = self.codebooks.words
        return torch.einsum("nmd,mkd->nmk", self.codebooks.rotated(embeddings).unflatten(1, (len(words), -1)), words)

    def scores(self, queries, codes):
        """Dot products with what the codes say."""
        return scores(queries, codes)

    def statistics(self, codes):
        """See :class:`dcmq.retrieval.Retriever`."""
        return codeword_statistics(codes, self.codebooks.words)


class TeacherSigns(TeacherRetriever):
    """Signs of random projections (Charikar, STOC 2002), each modality centred on its mean over train.

    Without the centring all vectors of a narrow cone would share most signs.
    """

    def __init__(self, job: Job, text: str):
        super().__init__(job, text)
        self.radius = job.config.student.bits
        generator = torch.Generator().manual_seed(job.config.seed)
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


def _rows(kind: str, retriever: type[TeacherRetriever], what: str, reference: str) -> list[Method]:
    def row(text: str) -> Method:
        def fit(job: Job) -> Fitted:
            start = time.perf_counter()
            found = retriever(job, text)
            learnt = found.codebooks.numbers() if isinstance(found, TeacherOpq) else 0
            return Fitted(found, learnt, time.perf_counter() - start)

        return Method(
            name=f"{kind}-{text}",
            reference=reference,
            fidelity=CONTROL,
            note=f"frozen teacher, {what}; reads {text} where the students read bags of words",
            fit=fit,
            sources=("controls.py", "product_quantization.py"),
            reads=text,
        )

    return [row(text) for text in TEXTS]


ROWS = (
    *_rows("teacher", TeacherRetriever, "float cosine: the upper line", "the notebook's teacher"),
    *_rows("teacher-OPQ", TeacherOpq, "OPQ at equal bits, no training", "Ge, He, Ke, Sun, TPAMI 2014"),
    *_rows("teacher-signs", TeacherSigns, "signs of random projections, no training", "Charikar, STOC 2002"),
)

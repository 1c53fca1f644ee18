"""The ranking by DCMQ's student (§3.5): items are codes, queries are look-up tables."""

from functools import cached_property

from torch import Tensor

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.score import scores
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.dcmq.student import Student
from dcmq.networks.features import embed
from dcmq.retrieval.retriever import Retriever


class QuantizedRetriever(Retriever):
    """DCMQ's (§3.5): items are codeword indices, queries tables of cosines.

    Args:
        modality: of the gallery, ``image`` or ``text``, where the student has a set of codebooks for each (ours): its items are
            coded with that set, and a query of either modality makes its table with it. With shared codebooks it says nothing.
    """

    def __init__(self, student: Student, dataset: RetrievalDataset, modality: str = ""):
        self.student, self.dataset, self.modality = student, dataset, modality
        self.bytes_per_item = student.config.bits / 8

    @cached_property
    def codebooks(self) -> Tensor:
        """(M, K, D / M) codewords. Raises DcmqError where each modality has its own set and the gallery's is not said."""
        quantizer = self.student.quantizer_of(self.modality) if self.modality else self.student.quantizer
        return quantizer.codebooks.detach().cpu()

    def toward(self, modality: str) -> "QuantizedRetriever":
        """The retriever of a gallery of ``modality``, ``image`` or ``text``: itself, where the codebooks are shared."""
        shared = self.student.config.codebooks == "shared"
        return self if shared else QuantizedRetriever(self.student, self.dataset, modality)

    def embed(self, rows):
        """The student's continuous embeddings."""
        return embed(self.student, self.dataset, rows)

    def codes(self, embeddings):
        """(n, M) indices."""
        return assign(embeddings, self.codebooks)

    def queries(self, embeddings):
        """(q, M, K) cosines."""
        return lookup_tables(embeddings, self.codebooks)

    def scores(self, queries, codes):
        """Sum of the cosines that the codes point to."""
        return scores(queries, codes)

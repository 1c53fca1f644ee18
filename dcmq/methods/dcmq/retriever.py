"""The ranking by DCMQ's student (§3.5): items are codes, queries are look-up tables."""

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.score import scores
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.dcmq.student import Student
from dcmq.networks.features import embed
from dcmq.retrieval.retriever import Retriever


class QuantizedRetriever(Retriever):
    """DCMQ's (§3.5): items are codeword indices, queries tables of cosines."""

    def __init__(self, student: Student, dataset: RetrievalDataset):
        self.student, self.dataset = student, dataset
        self.codebooks = student.quantizer.codebooks.detach().cpu()
        self.bytes_per_item = student.config.bits / 8

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

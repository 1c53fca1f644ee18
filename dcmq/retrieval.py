"""How a trained method ranks: what it makes of an item, what it stores of it, and how a query scores what is stored."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from dcmq.codes import assign, lookup_tables, scores
from dcmq.codewords import codeword_statistics
from dcmq.data.dataset import RetrievalDataset
from dcmq.inputs import image_inputs, text_inputs
from dcmq.models import DualEncoder, Student


class Retriever(ABC):
    """A trained method on one data set.

    Attributes:
        bytes_per_item: what the gallery stores of an item.
        radius: the largest Hamming distance of two codes, where that is what ranks; else 0.
    """

    bytes_per_item: float
    radius: int = 0

    @abstractmethod
    def embed(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Embeddings of the pictures and of the texts of ``rows``, each (len(rows), D) float32, not compressed."""

    @abstractmethod
    def codes(self, embeddings: Tensor) -> Tensor:
        """What a gallery holds of (n, D) embeddings: (n, M)."""

    @abstractmethod
    def queries(self, embeddings: Tensor) -> Tensor:
        """What scores codes, made once of (q, D) embeddings: (q, ...)."""

    @abstractmethod
    def scores(self, queries: Tensor, codes: Tensor) -> Tensor:
        """(q, n): higher is nearer; equal codes have equal scores, to the bit."""

    def statistics(self, codes: Tensor) -> dict:
        """Use of the codewords, see :func:`dcmq.codewords.codeword_statistics`; empty where there are none."""
        return {}


@torch.no_grad()
def embed(network: DualEncoder, dataset: RetrievalDataset, rows: np.ndarray, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Image and text embeddings of ``rows``, each (len(rows), D) float32, in evaluation mode."""
    network.eval()
    device = network.mean.device
    pictures, words = image_inputs(network, dataset), text_inputs(network, dataset)
    images, texts = [], []
    for part in _parts(rows, batch):
        images.append(network.embed_images(torch.from_numpy(pictures[part]).to(device)).cpu())
        texts.append(network.embed_texts(words(part).to(device)).cpu())
    return torch.cat(images), torch.cat(texts)


@torch.no_grad()
def image_features(network: DualEncoder, dataset: RetrievalDataset, batch: int = 256) -> Tensor:
    """(n, F) float32 of all pictures: what the image encoder computes before its last layer, in evaluation mode."""
    network.eval()
    device, pictures = network.mean.device, image_inputs(network, dataset)
    parts = _parts(np.arange(len(dataset.ids)), batch)
    return torch.cat([network.image_features(torch.from_numpy(pictures[p]).to(device)).cpu() for p in parts])


def _parts(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    return np.array_split(rows, max(1, -(-len(rows) // batch)))


class QuantisedRetriever(Retriever):
    """DCMQ's (§3.5): items are codeword indices, queries tables of cosines."""

    def __init__(self, student: Student, dataset: RetrievalDataset):
        self.student, self.dataset = student, dataset
        self.codebooks = student.quantizer.codebooks.detach().cpu()
        self.bytes_per_item = student.config.bits / 8

    def embed(self, rows):
        """See :class:`Retriever`."""
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

    def statistics(self, codes):
        """See :class:`Retriever`."""
        return codeword_statistics(codes, self.codebooks)


def signs(embeddings: Tensor) -> Tensor:
    """(n, c) of -1 and 1, float32; zero counts as positive, so that there is no third symbol."""
    return torch.where(embeddings >= 0, 1.0, -1.0)


class SignRetriever(Retriever):
    """A hashing method's: signs of c outputs, ranked by Hamming distance.

    Args:
        network: trained encoders whose outputs' signs are the bits.
    """

    def __init__(self, network: DualEncoder, dataset: RetrievalDataset):
        self.network, self.dataset = network, dataset
        self.radius = network.config.bits
        self.bytes_per_item = network.config.bits / 8

    def embed(self, rows):
        """See :class:`Retriever`."""
        return embed(self.network, self.dataset, rows)

    def codes(self, embeddings):
        """(n, c) signs."""
        return signs(embeddings)

    def queries(self, embeddings):
        """(q, c) signs."""
        return signs(embeddings)

    def scores(self, queries, codes):
        """Minus the Hamming distance, a whole number."""
        return (queries @ codes.T - queries.shape[1]) / 2

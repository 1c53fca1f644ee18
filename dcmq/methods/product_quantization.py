"""PQ and OPQ without any alignment of the modalities: the floor that cross-modal methods stand on.

Images are the pooled features of the backbone without its new layer, texts bags of words; a PCA of each modality, fitted
on train, gives both the same length, and one set of codebooks is trained on both. faiss does the clustering.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dcmq.codes.bits import bits_per_codeword, codebooks_for_bits
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.methods.base import AS_PUBLISHED, FitResult, FitTask, register_method
from dcmq.networks.features import image_features
from dcmq.retrieval.retriever import Retriever
from dcmq.training.seeds import make_encoders

NUM_CODEWORDS = 16  # K: 4 bits per codebook, as DCMQ's
BLAS_THREADS = 2  # a PCA's last bits depend on their number, which would otherwise be that of the machine's cores
LONGEST = 512  # the paper's image features have that many numbers


def faiss():
    """The faiss module. Raises DcmqError where it is not installed."""
    try:
        import faiss as module
    except ImportError:
        raise DcmqError("PQ and OPQ need faiss: pip install 'dcmq[faiss]', or leave these methods out") from None
    return module


@dataclass(frozen=True)
class Codec:
    """A rotation and the codewords behind it.

    Attributes:
        rotation: (D, D) orthogonal, or None; rows of x become ``x @ rotation.T``.
        codebooks: (M, K, D / M).
    """

    rotation: Tensor | None
    codebooks: Tensor

    def numbers(self) -> int:
        """The count of numbers that it holds."""
        return self.codebooks.numel() + (0 if self.rotation is None else self.rotation.numel())

    def rotated(self, x: Tensor) -> Tensor:
        """(n, D) as the codewords see it."""
        return x if self.rotation is None else x @ self.rotation.T

    def assign(self, x: Tensor) -> Tensor:
        """(n, M) int64: the nearest codeword of each sub-vector of (n, D)."""
        return squared_distances(self.rotated(x), self.codebooks).argmin(2)

    def reconstructed(self, codes: Tensor) -> Tensor:
        """(n, D), rotated, from (n, M) indices."""
        return torch.cat([book[column] for book, column in zip(self.codebooks, codes.T, strict=True)], 1)

    def distortion(self, x: Tensor) -> float:
        """Mean squared distance of (n, D) rows from what their codes say."""
        return (self.rotated(x) - self.reconstructed(self.assign(x))).square().sum(1).mean().item()


def squared_distances(x: Tensor, codebooks: Tensor) -> Tensor:
    """(n, M, K) from every sub-vector of (n, D) to every codeword of its book (M, K, D / M)."""
    parts = x.unflatten(1, (len(codebooks), -1))
    return (
        torch.cdist(parts.transpose(0, 1), codebooks, compute_mode="donot_use_mm_for_euclid_dist")
        .square()
        .transpose(0, 1)
    )


def train_codebooks(
    x: Tensor, num_codebooks: int, num_codewords: int = NUM_CODEWORDS, rotate: bool = False, seed: int = 0
) -> Codec:
    """faiss' product quantizer of all rows of (n, D), after its OPQ rotation where ``rotate``.

    Raises:
        DcmqError: fewer rows than codewords, D not a multiple of ``num_codebooks``, or no faiss.
    """
    if len(x) < num_codewords:
        raise DcmqError(
            f"{len(x)} training vectors cannot fill {num_codewords} codewords: train on more, or take a smaller K"
        )
    dimension = x.shape[1]
    if dimension % num_codebooks:
        raise DcmqError(f"vectors of {dimension} numbers cannot be cut into {num_codebooks} equal parts")
    engine, points = faiss(), np.ascontiguousarray(x.numpy(), np.float32)
    engine.omp_set_num_threads(torch.get_num_threads())
    rotation = None
    if rotate:
        opq = engine.OPQMatrix(dimension, num_codebooks)
        inner = _quantizer(engine, dimension, num_codebooks, num_codewords, len(x), seed)
        opq.pq = inner  # its own would have 256 codewords whatever K is
        opq.max_train_points = max(opq.max_train_points, len(x))
        # Of fewer rows than numbers faiss writes beyond its memory. All rows as often again have the same best codewords.
        opq.train(np.tile(points, (-(-dimension // len(x)), 1)))
        rotation = torch.from_numpy(engine.vector_to_array(opq.A).reshape(dimension, dimension).copy())
        points = opq.apply(points)
    quantizer = _quantizer(engine, dimension, num_codebooks, num_codewords, len(x), seed)
    quantizer.train(points)
    centroids = engine.vector_to_array(quantizer.centroids).reshape(num_codebooks, num_codewords, -1)
    return Codec(rotation, torch.from_numpy(centroids.copy()))


def _quantizer(engine, dimension: int, num_codebooks: int, num_codewords: int, points: int, seed: int):
    quantizer = engine.ProductQuantizer(dimension, num_codebooks, bits_per_codeword(num_codewords))
    quantizer.cp.seed = seed
    quantizer.cp.max_points_per_centroid = points  # all of them, not a sample of 256 each
    quantizer.cp.min_points_per_centroid = 1
    return quantizer


class PcaRetriever(Retriever):
    """Both modalities by their own PCA, one quantizer, asymmetric squared distances."""

    def __init__(self, task: FitTask, rotate: bool):
        from sklearn.decomposition import PCA  # takes seconds

        self.dataset, split = task.dataset, task.dataset.split
        num_codebooks = codebooks_for_bits(task.config.student.bits, NUM_CODEWORDS)
        texts = self.dataset.bow
        network = make_encoders(task.config, texts.shape[1], task.config.student.bits)  # its head is not used
        self.image_features = image_features(network, self.dataset).numpy()
        limit = min(self.image_features.shape[1], texts.shape[1], len(split.train), LONGEST)
        dimension = limit // num_codebooks * num_codebooks
        if not dimension:
            raise DcmqError(
                f"bits: {task.config.student.bits} need {num_codebooks} sub-vectors, the features have {limit} numbers"
            )
        with threadpool_limits(BLAS_THREADS, "blas"):
            self.pca = [
                PCA(dimension, random_state=0).fit(part)
                for part in (self.image_features[split.train], texts[split.train].toarray())
            ]
        self.codec = train_codebooks(
            torch.cat(self.embed(split.train)), num_codebooks, rotate=rotate, seed=task.config.seed
        )
        self.codebooks = self.codec.codebooks
        self.bytes_per_item = task.config.student.bits / 8

    def embed(self, rows):
        """The principal components of image features and of bags of words, each (len(rows), D) float32."""
        images, texts = self.image_features[rows], self.dataset.bow[rows].toarray()
        with threadpool_limits(BLAS_THREADS, "blas"):
            components = [pca.transform(part) for pca, part in zip(self.pca, (images, texts), strict=True)]
        return tuple(torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in components)

    def codes(self, embeddings):
        """(n, M) indices of the nearest codewords."""
        return self.codec.assign(embeddings)

    def queries(self, embeddings):
        """(q, M, K) squared distances, with a minus."""
        return -squared_distances(self.codec.rotated(embeddings), self.codebooks)

    def scores(self, queries, codes):
        """Minus the asymmetric distance (ADC)."""
        return scores(queries, codes)


def fit(task: FitTask, rotate: bool) -> FitResult:
    """PCA of each modality and codebooks, see :class:`PcaRetriever`; OPQ where ``rotate``."""
    start = time.perf_counter()
    retriever = PcaRetriever(task, rotate)
    numbers = sum(part.components_.size + part.mean_.size for part in retriever.pca)
    numbers += retriever.codec.numbers()
    return FitResult(retriever, numbers, time.perf_counter() - start)


NOTE = "image features are those of the backbone's starting weights, which are random where none were given"
register_method("PQ", reference="Jegou, Douze, Schmid, TPAMI 2011", fidelity=AS_PUBLISHED, note=NOTE, origin=fit)(
    partial(fit, rotate=False)
)
register_method("OPQ", reference="Ge, He, Ke, Sun, TPAMI 2014", fidelity=AS_PUBLISHED, note=NOTE, origin=fit)(
    partial(fit, rotate=True)
)

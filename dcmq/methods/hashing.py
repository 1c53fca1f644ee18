"""The common ground of the hashing methods: encoders whose outputs' signs are the bits, trained on batches of pairs."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.base import METHODS, FitResult, FitTask, fit_network, register_method
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.networks.features import embed
from dcmq.networks.inputs import image_inputs, text_inputs
from dcmq.retrieval.retriever import Retriever
from dcmq.training.batches import augment, epoch_batches
from dcmq.training.loop import EpochTrainer
from dcmq.training.optimizer import adam
from dcmq.training.seeds import make_encoders, random_stream


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
        """The outputs before their signs are taken, each (len(rows), c)."""
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


def pair_likelihood_loss(theta: Tensor, similar: Tensor) -> Tensor:
    """Sum over pairs of ``log(1 + exp(theta)) - similar * theta``, the negative log-likelihood of 0/1 ``similar``."""
    return (F.softplus(theta) - similar * theta).sum()


def share_a_label(labels: Tensor, others: Tensor) -> Tensor:
    """(a, b) float32: 1 where a row of (a, C) and one of (b, C) have a class in common, else 0."""
    return (labels.float() @ others.float().T > 0).float()


class HashTrainer(EpochTrainer):
    """A run of a hashing method. Subclasses give the loss of a batch, and more to learn if need be.

    Args:
        task: what to train on.
        options: the method's hyper-parameters.
    """

    def __init__(self, task: FitTask, options: Mapping[str, float]):
        super().__init__(task.config, task.dataset, task.teacher, task.checkpoint, task.key)
        self.options = options
        network = self.make_network().to(memory_format=torch.channels_last)
        self.images, self.texts = image_inputs(network.eval(), self.dataset), text_inputs(network, self.dataset)
        self.labels = torch.from_numpy(np.asarray(self.dataset.train_labels)).to(self.fabric.device)
        self.network = network.to(self.fabric.device)
        self.state: nn.Module = self.network
        self.optimizers: list[torch.optim.Optimizer] = []
        self.prepare()
        self.optimizers = [self.fabric.setup_optimizers(optimizer) for optimizer in self.optimizers]

    def make_network(self) -> DualEncoder:
        """Encoders with one output per bit."""
        return make_encoders(self.config, self.dataset.bow.shape[1], self.config.student.bits)

    def prepare(self) -> None:
        """Make one optimizer over the network; a subclass may set ``state`` and ``optimizers`` otherwise."""
        self.optimizers = [adam(self.network, self.config)]

    def loss(self, rows: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The terms of the loss of a batch of pairs, from outputs (b, c); their sum is minimised."""
        raise NotImplementedError

    def epoch(self, number: int) -> dict[str, float]:
        """One pass over train, both encoders at once."""
        self.network.train()

        def terms(rows: Tensor, images: Tensor) -> dict[str, Tensor]:
            return self.loss(rows, *self.in_parts(self._encode, images, self.text_batch(rows)))

        return self.each_batch(number, 0, self.optimizers[0], terms)

    def _encode(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.encode_images(images), self.network.encode_texts(texts)

    def each_batch(self, number: int, part: int, optimizer, terms) -> dict[str, float]:
        """Take an optimizer step for each batch of the shuffled training samples; returns the mean of each term over samples.

        Args:
            part: of the epoch, so that each has its own order.
            terms: a function of (rows, images) of a batch to the terms of the loss, see :meth:`in_parts`.
        """
        order, changes = (random_stream(self.config.seed, number, 10 + 2 * part + i) for i in range(2))
        sums, seen = {}, 0
        for rows in epoch_batches(self.dataset.split.train, self.config.batch_size, order, self.fabric.world_size):
            images = torch.from_numpy(self.images[rows.numpy()])
            images = augment(images, self.config.augment, changes)
            found = terms(rows, images)
            self.minimize(found, optimizer)
            seen += len(rows)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(rows)
        return {name: value / seen for name, value in sums.items()}

    def text_batch(self, rows: Tensor) -> Tensor:
        """The text encoder's input of ``rows``."""
        return self.texts(rows.numpy())

    def similar(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """S of ``rows`` and ``others`` (default: the same), made when it is needed: never n x n at once."""
        labels = self.labels[rows.to(self.labels.device)]
        return share_a_label(labels, labels if others is None else self.labels[others.to(self.labels.device)])


class TanhEncoder(DualEncoder):
    """Encoders whose outputs are squashed to (-1, 1)."""

    def encode_images(self, images: Tensor) -> Tensor:
        """(b, H, W, 3) uint8 images to (b, c) in (-1, 1)."""
        return torch.tanh(super().encode_images(images))

    def encode_texts(self, texts: Tensor) -> Tensor:
        """(b, V) 0/1 bags of words, or (b, L) tokens, to (b, c) in (-1, 1)."""
        return torch.tanh(super().encode_texts(texts))


def register_hashing(given: type[HashTrainer] | str | None = None, **about) -> Callable:
    """Registers a hashing method, by its trainer: ``@register_hashing`` under the name of the class,
    ``@register_hashing("name", note="...")`` under another, with further fields of :class:`dcmq.methods.base.Method`."""

    def register(trainer: type[HashTrainer]) -> type[HashTrainer]:
        name = given if isinstance(given, str) else trainer.__name__

        def fit(task: FitTask) -> FitResult:
            options = METHODS[name].chosen_options(task.config)
            return fit_network(trainer(task, options), SignRetriever, task.on_epoch_end)

        register_method(name, origin=trainer, **about)(fit)
        return trainer

    return register(given) if isinstance(given, type) else register

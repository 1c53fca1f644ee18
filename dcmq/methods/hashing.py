"""What the hashing methods share: encoders whose outputs' signs are the bits, trained on batches of pairs."""

from collections.abc import Mapping

import numpy as np
import torch
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn import functional as F

from dcmq.epochs import adam, augmented, batches, epoch_generator, EpochTrainer, make_encoders
from dcmq.core.errors import DcmqError
from dcmq.inputs import image_inputs, text_inputs
from dcmq.methods.base import Fitted, Job, Method, trained
from dcmq.models import DualEncoder
from dcmq.retrieval import SignRetriever


def pair_likelihood_loss(theta: Tensor, similar: Tensor) -> Tensor:
    """Sum over pairs of ``log(1 + exp(theta)) - similar * theta``, the negative log-likelihood of 0/1 ``similar``."""
    return (F.softplus(theta) - similar * theta).sum()


def share_a_label(labels: Tensor, others: Tensor) -> Tensor:
    """(a, b) float32: 1 where a row of (a, C) and one of (b, C) have a class in common, else 0."""
    return (labels.float() @ others.float().T > 0).float()


class HashTrainer(EpochTrainer):
    """A run of a hashing method, in one process. Subclasses give the loss of a batch, and more to learn if need be.

    Args:
        job: what to train on.
        options: the method's hyper-parameters.
    """

    def __init__(self, job: Job, options: Mapping[str, float]):
        super().__init__(job.config, job.dataset, job.teacher, job.checkpoint, job.key)
        self.options = options
        network = self.make_network().to(memory_format=torch.channels_last)
        self.images, self.texts = image_inputs(network.eval(), self.dataset), text_inputs(network, self.dataset)
        self.labels = torch.from_numpy(np.asarray(self.dataset.train_labels)).to(self.fabric.device)
        self.network = network.to(self.fabric.device)
        self.state: nn.Module = self.network
        self.optimisers: list[torch.optim.Optimizer] = []
        self.prepare()

    def strategy(self) -> DDPStrategy:
        """See :class:`EpochTrainer`."""
        raise DcmqError(f"{self.config.method} trains in one process: run it without torchrun")

    def make_network(self) -> DualEncoder:
        """Encoders with one output per bit."""
        return make_encoders(self.config, self.dataset.bow.shape[1], self.config.student.bits)

    def prepare(self) -> None:
        """One optimiser over the network; a subclass may set ``state`` and ``optimisers`` otherwise."""
        self.optimisers = [adam(self.network, self.config)]

    def loss(self, rows: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The terms of the loss of a batch of pairs, from outputs (b, c); their sum is minimised."""
        raise NotImplementedError

    def epoch(self, number: int) -> dict[str, float]:
        """One pass over train, both encoders at once."""
        self.network.train()

        def terms(rows: Tensor, images: Tensor) -> dict[str, Tensor]:
            with self.fabric.autocast():
                image, text = self.network.embed_images(images), self.network.embed_texts(self.words(rows))
            return self.loss(rows, image.float(), text.float())

        return self.each_batch(number, 0, self.optimisers[0], terms)

    def each_batch(self, number: int, part: int, optimiser, terms) -> dict[str, float]:
        """An optimiser step for each batch of a shuffled train; returns the mean of each term over samples.

        Args:
            part: of the epoch, so that each has its own order.
            terms: of (rows, pictures) to the terms of the loss.
        """
        order, changes = (epoch_generator(self.config.seed, number, 10 + 2 * part + i) for i in range(2))
        sums, seen = {}, 0
        for rows in batches(self.dataset.split.train, self.config.batch_size, order):
            images = torch.from_numpy(self.images[rows.numpy()])
            images = augmented(images, changes) if self.config.augment else images
            found = terms(rows, images.to(self.fabric.device))
            optimiser.zero_grad()
            self.checked(sum(found.values())).backward()
            optimiser.step()
            seen += len(rows)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(rows)
        return {name: value / seen for name, value in sums.items()}

    def words(self, rows: Tensor) -> Tensor:
        """The text encoder's input of ``rows``."""
        return self.texts(rows.numpy()).to(self.fabric.device)

    def similar(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """S of ``rows`` and ``others`` (default: the same), made when it is needed: never n x n at once."""
        labels = self.labels[rows.to(self.labels.device)]
        return share_a_label(labels, labels if others is None else self.labels[others.to(self.labels.device)])


class TanhEncoder(DualEncoder):
    """Encoders whose outputs are squashed to (-1, 1)."""

    def embed_images(self, images: Tensor) -> Tensor:
        """See :class:`dcmq.models.DualEncoder`."""
        return torch.tanh(super().embed_images(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        """See :class:`dcmq.models.DualEncoder`."""
        return torch.tanh(super().embed_texts(texts))


def hashing(trainer: type[HashTrainer], **about) -> Method:
    """The row of a hashing method."""

    def fit(job: Job) -> Fitted:
        return trained(trainer(job, row.chosen(job.config)), SignRetriever, job.report)

    row = Method(fit=fit, **about)
    return row

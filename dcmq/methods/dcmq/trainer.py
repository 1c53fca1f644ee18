"""Training of DCMQ's student (§3.3-3.4)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.dcmq.losses import LossInputs, loss_terms
from dcmq.methods.dcmq.quantizer import gumbel_noise
from dcmq.methods.dcmq.student import Student, make_student
from dcmq.methods.dcmq.targets import asks_for_bounds, dataset_bounds, target_matrix
from dcmq.networks.inputs import image_inputs, text_inputs
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.teachers.texts import text_vectors
from dcmq.training.batches import augment, epoch_batches
from dcmq.training.loop import EpochTrainer
from dcmq.training.optimizer import adam
from dcmq.training.seeds import random_stream


class Trainer(EpochTrainer):
    """A run of DCMQ in one or several processes (``torchrun``).

    A subclass may override what the student should learn of a batch (:meth:`target`) and how it is told (:meth:`losses`).
    """

    config: TrainConfig
    network: Student

    def __init__(
        self, config: TrainConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, checkpoint: Path, key: str
    ):
        super().__init__(config, dataset, teacher, checkpoint, key)
        network = make_student(config, dataset.bow.shape[1]).to(memory_format=torch.channels_last)
        self.images, self.texts = image_inputs(network.eval(), dataset), text_inputs(network, dataset)
        self.state = self.network = network.to(self.fabric.device)
        self.optimizers = [self.fabric.setup_optimizers(adam(network, config))]
        self.rows = dataset.split.train if config.train_on == "train" else dataset.split.gallery
        self.teacher_text = text_vectors(teacher, dataset, config.teacher_text)
        self.labels = self._labels()
        self.bounds = self._bounds()

    @property
    def part(self) -> str:
        """The part that this epoch trains: ``all``, or in separate training first ``encoders``, then ``codebooks``."""
        if self.config.schedule == "joint":
            return "all"
        return "encoders" if len(self.history) < self.config.epochs else "codebooks"

    def epoch(self, number: int) -> dict[str, float]:
        """One pass over the training samples, see :class:`EpochTrainer`."""
        self.network.train()
        if self.part == "codebooks":  # no batch statistics move either
            self.network.image_encoder.eval()
            self.network.text_encoder.eval()
        order, noise, changes = (random_stream(self.config.seed, number, stream) for stream in range(3))
        sums, seen = {}, 0
        for rows in epoch_batches(self.rows, self.config.batch_size, order, self.fabric.world_size):
            terms = self.step(rows, noise, changes)
            seen += len(rows)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value * len(rows)
        return {name: value / seen for name, value in sums.items()}

    def step(self, rows: Tensor, noise: torch.Generator, changes: torch.Generator) -> dict[str, float]:
        """One optimizer step on the global batch ``rows``; every process sees the whole similarity matrix.

        Returns:
            each term of the loss.
        """
        embeddings = self.embed(rows, noise, changes)
        terms = self.losses(rows, *embeddings, self.target(rows))
        self.minimize(terms, self.optimizers[0])
        return {name: value.item() for name, value in terms.items()}

    def embed(self, rows: Tensor, noise: torch.Generator, changes: torch.Generator) -> tuple[Tensor, ...]:
        """Continuous and quantized embeddings of the global batch, image then text, each (b, D) float32.

        Args:
            noise: stream of the Gumbel noise (Eq. 5). changes: stream of the augmentation.
        """
        config = self.config.student
        shape = (len(rows), config.num_codebooks, config.num_codewords)
        noises = [gumbel_noise(shape, noise) for _ in range(2)]  # drawn in any case: what follows in the stream stays
        images = torch.from_numpy(self.images[rows.numpy()])
        images = augment(images, self.config.augment, changes)
        used = (
            drawn if config.gumbel_on in ("both", name) else None
            for name, drawn in zip(("image", "text"), noises, strict=True)
        )
        return self.in_parts(partial(self.network, part=self.part), images, self.texts(rows.numpy()), *used)

    def target(self, rows: Tensor) -> Tensor:
        """``S_hat`` (b, b) of the global batch ``rows``: what the registered target makes of similarities and labels."""
        device = self.fabric.device
        similarity = (self.teacher.image[rows] @ self.teacher_text[rows].T).to(device)
        labels = self.labels[rows].to(device)
        return target_matrix(self.config.target, similarity, labels, self.config.npc_scope, self.bounds)

    def losses(
        self, rows: Tensor, image: Tensor, image_quantized: Tensor, text: Tensor, text_quantized: Tensor, target: Tensor
    ) -> dict[str, Tensor]:
        """The terms of the loss, whose sum is minimized: what the registered loss makes of embeddings (b, D) and target."""
        device = self.fabric.device
        return loss_terms(
            self.config.loss,
            LossInputs(
                image=image,
                image_quantized=image_quantized,
                text=text,
                text_quantized=text_quantized,
                target=target,
                tau=self.config.tau,
                tau_target=self.config.tau_target or self.config.tau,
                teacher_image=self.teacher.image[rows].to(device),
                teacher_text=self.teacher_text[rows].to(device),
                labels=self.labels[rows].to(device),
                codebooks=self.network.codebooks,
            ),
        )

    def _labels(self) -> Tensor:
        """(n, C) labels of the rows; on the gallery, whose labels nobody is to know, no numbers, so that none can be read.

        Raises:
            DcmqError: the gallery is trained on, and the target reads labels.
        """
        labels = torch.from_numpy(np.asarray(self.dataset.train_labels))
        if self.config.train_on == "train":
            return labels
        unread, name = torch.tensor(torch.nan).expand(labels.shape), self.config.target
        try:
            target_matrix(name, torch.eye(2), unread[:2], self.config.npc_scope, (0.0, 1.0))
        except DcmqError:
            raise DcmqError(
                f"train_on: target {name} gives no numbers without labels, and nobody may know the gallery's; choose another "
                "target, or train_on=train"
            ) from None
        return unread

    def _bounds(self) -> tuple[float, float] | None:
        """The extremes of the teacher's similarities over train, where the target is stretched by them."""
        if self.config.npc_scope != "dataset" or not asks_for_bounds(self.config.target):
            return None
        rows = torch.from_numpy(self.rows)
        return dataset_bounds(self.teacher.image[rows], self.teacher_text[rows])

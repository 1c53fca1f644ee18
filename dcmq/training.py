"""Train DCMQ's student."""

from pathlib import Path

import numpy as np
import torch
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from dcmq.config import TrainConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.epochs import adam, augmented, batches, epoch_generator, EpochTrainer, seeded, under
from dcmq.inputs import image_inputs, text_inputs
from dcmq.losses import distillation_losses
from dcmq.models import Student
from dcmq.quantizer import gumbel_noise
from dcmq.core.storage import load_tensors
from dcmq.targets import dataset_bounds, TARGETS
from dcmq.teachers.base import TeacherEmbeddings


def make_student(config: TrainConfig, words: int) -> Student:
    """DCMQ's student before training; its weights depend on ``config.seed`` only."""
    return seeded(config.seed, lambda: Student(config.student, words))


class Trainer(EpochTrainer):
    """A run of DCMQ in one or several processes (``torchrun``)."""

    config: TrainConfig
    network: Student

    def __init__(
        self, config: TrainConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, checkpoint: Path, key: str
    ):
        super().__init__(config, dataset, teacher, checkpoint, key)
        self.network = make_student(config, dataset.bow.shape[1]).to(memory_format=torch.channels_last)
        self.images, self.texts = image_inputs(self.network.eval(), dataset), text_inputs(self.network, dataset)
        self.module, optimiser = self.fabric.setup(self.network, adam(self.network, config))
        self.state, self.optimisers = self.network, [optimiser]
        self.labels = torch.from_numpy(np.asarray(dataset.train_labels))
        self.bounds = None
        if config.target == "npc" and config.npc_scope == "dataset":
            rows = torch.from_numpy(dataset.split.train)
            self.bounds = dataset_bounds(teacher.image[rows], teacher.text[rows])

    def strategy(self) -> DDPStrategy:
        """Trained separately, each phase leaves one part without gradients."""
        return DDPStrategy(find_unused_parameters=self.config.schedule == "separate")

    @property
    def part(self) -> str:
        """What this epoch trains: ``all``, or in separate training first ``encoders``, then ``codebooks``."""
        if self.config.schedule == "joint":
            return "all"
        return "encoders" if len(self.history) < self.config.epochs else "codebooks"

    def epoch(self, number: int) -> dict[str, float]:
        """See :class:`EpochTrainer`."""
        self.module.train()
        if self.part == "codebooks":  # no batch statistics move either
            self.network.image_encoder.eval()
            self.network.text_encoder.eval()
        order, noise, changes = (epoch_generator(self.config.seed, number, stream) for stream in range(3))
        sums, seen = {}, 0
        for rows in batches(self.dataset.split.train, self.config.batch_size, order, self.fabric.world_size):
            terms = self.step(rows, noise, changes)
            seen += len(rows)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value * len(rows)
        return {name: value / seen for name, value in sums.items()}

    def step(self, rows: Tensor, noise: torch.Generator, changes: torch.Generator) -> dict[str, float]:
        """One optimiser step on the global batch ``rows``; every process sees the whole similarity matrix."""
        config, device = self.config.student, self.fabric.device
        shape = (len(rows), config.books, config.codewords)
        noises = [gumbel_noise(shape, noise) for _ in range(2)]  # drawn in any case: what follows in the stream stays
        images = torch.from_numpy(self.images[rows.numpy()])
        if self.config.augment:
            images = augmented(images, changes)
        images, texts, image_noise, text_noise = (
            part.chunk(self.fabric.world_size)[self.fabric.global_rank].to(device)
            for part in (images, self.texts(rows.numpy()), *noises)
        )
        embeddings = self.module(
            images,
            texts,
            image_noise if config.gumbel_on in ("both", "image") else None,
            text_noise if config.gumbel_on in ("both", "text") else None,
            self.part,
        )
        if self.fabric.world_size > 1:
            embeddings = [self.fabric.all_gather(e, sync_grads=True).flatten(0, 1) for e in embeddings]
        similarity = (self.teacher.image[rows] @ self.teacher.text[rows].T).to(device)
        target = TARGETS[self.config.target](similarity, self.labels[rows].to(device), **self._npc_options())
        image, image_quantised, text, text_quantised = embeddings
        terms = distillation_losses(image, image_quantised, text, text_quantised, target, self.config.tau)
        loss = self.checked(sum(terms.values()))
        (optimiser,) = self.optimisers
        optimiser.zero_grad()
        self.fabric.backward(loss)
        optimiser.step()
        return {name: value.item() for name, value in terms.items()}

    def _npc_options(self) -> dict:
        return {"scope": self.config.npc_scope, "bounds": self.bounds} if self.config.target == "npc" else {}


def load_student(config: TrainConfig, words: int, checkpoint: Path) -> Student:
    """The trained student of a finished run, in eval mode."""
    student = Student(config.student.model_copy(update={"backbone_weights": "", "text_weights": ""}), words)
    student.load_state_dict(under(load_tensors(checkpoint)[0], "model."))
    return student.eval()

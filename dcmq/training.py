"""Train a student: batches, one optimiser step, checkpoints from which a run continues to the same result."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from dcmq.config import TrainConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.errors import DcmqError
from dcmq.inputs import image_inputs, text_inputs
from dcmq.losses import distillation_losses
from dcmq.models import Student
from dcmq.quantizer import gumbel_noise
from dcmq.storage import load_tensors, save_tensors
from dcmq.targets import TARGETS, dataset_bounds
from dcmq.teachers.base import TeacherEmbeddings


@dataclass(frozen=True)
class Progress:
    """Told after each epoch: how many are done of how many, and the mean of each loss term."""

    epoch: int
    epochs: int
    losses: dict[str, float]


def epoch_generator(seed: int, epoch: int, stream: int) -> torch.Generator:
    """The source of one kind of randomness in one epoch; independent of what was drawn before, so runs can resume."""
    mixed = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) & (2**63 - 1))


def batches(rows: np.ndarray, size: int, generator: torch.Generator, parts: int = 1) -> Iterator[Tensor]:
    """Global batches of shuffled ``rows``: as few as ``size`` allows and of nearly equal length, so none is a remainder.

    With ``parts`` processes each batch is cut to a multiple of ``parts``.
    """
    order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)]
    for batch in torch.tensor_split(order, -(-len(order) // size)):
        yield batch[: len(batch) // parts * parts]


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each (H, W, 3) picture mirrored with chance 1/2 and shifted by up to an eighth, edges repeated (ours)."""
    n, height, width, _ = images.shape
    reach = height // 8
    down, right = (torch.randint(-reach, reach + 1, (n, 1), generator=generator) for _ in range(2))
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    y = (torch.arange(height) + down).clamp(0, height - 1)
    x = (torch.arange(width) + right).clamp(0, width - 1)
    x = torch.where(mirror, width - 1 - x, x)
    return images[torch.arange(n)[:, None, None], y[:, :, None], x[:, None, :]]


def make_student(config: TrainConfig, words: int) -> Student:
    """The student before training; its weights depend on ``config.seed`` only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Student(config.student, words)


class Trainer:
    """One run in one or several processes (``torchrun``), each epoch ending in a checkpoint.

    Args:
        config: the run's settings.
        dataset: rows ``dataset.split.train`` are trained on.
        teacher: embeddings of every row's picture and label sentence.
        checkpoint: file of the full state; if it is there, the run goes on from it.
        key: identifies the run; a checkpoint with another key is refused.
    """

    def __init__(
        self, config: TrainConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, checkpoint: Path, key: str
    ):
        processes = int(os.environ.get("WORLD_SIZE", 1))
        self.fabric = Fabric(
            devices=processes if processes > 1 else 1,
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            # Trained separately, each phase leaves one part without gradients.
            strategy=DDPStrategy(find_unused_parameters=config.schedule == "separate") if processes > 1 else "auto",
            precision=config.precision,
        )
        self.fabric.launch()
        self.config, self.dataset, self.teacher = config, dataset, teacher
        self.checkpoint, self.key = Path(checkpoint), key
        self.student = make_student(config, dataset.bow.shape[1]).to(memory_format=torch.channels_last)
        self.images, self.texts = image_inputs(self.student.eval(), dataset), text_inputs(self.student, dataset)
        trained = {n: p for n, p in self.student.named_parameters() if p.requires_grad}
        new = [p for n, p in trained.items() if not self._is_backbone(n)]
        old = [p for n, p in trained.items() if self._is_backbone(n)]
        groups = [{"params": new, "rate": 1.0}, {"params": old, "rate": config.backbone_rate}]
        self.optimiser = torch.optim.Adam([g for g in groups if g["params"]], lr=config.learning_rate)
        self.module, self.optimiser = self.fabric.setup(self.student, self.optimiser)
        self.labels = torch.from_numpy(np.asarray(dataset.train_labels))
        self.bounds = None
        if config.target == "npc" and config.npc_scope == "dataset":
            rows = torch.from_numpy(dataset.split.train)
            self.bounds = dataset_bounds(teacher.image[rows], teacher.text[rows])
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0

    def _is_backbone(self, name: str) -> bool:
        student = self.config.student
        return (bool(student.backbone_weights) and name.startswith("image_encoder.backbone.")) or (
            bool(student.text_weights) and name.startswith("text_encoder.backbone.")
        )

    @property
    def part(self) -> str:
        """What this epoch trains: ``all``, or in separate training first ``encoders``, then ``codebooks``."""
        if self.config.schedule == "joint":
            return "all"
        return "encoders" if len(self.history) < self.config.epochs else "codebooks"

    def run(self, report: Callable[[Progress], None] | None = None) -> Student:
        """Train to the last epoch and return the student in eval mode.

        Raises:
            DcmqError: the loss is not finite, or the checkpoint is of another run.
        """
        self._resume()
        epochs = self.config.total_epochs
        for epoch in range(len(self.history), epochs):
            start = time.perf_counter()
            early = epoch % self.config.epochs < self.config.epochs / 2
            for group in self.optimiser.param_groups:
                group["lr"] = self.config.learning_rate * group["rate"] * (1.0 if early else 0.1)
            losses = self._epoch(epoch)
            self.seconds += time.perf_counter() - start
            self.history.append(losses)
            self._save()
            if report:
                report(Progress(epoch + 1, epochs, losses))
        return self.student.eval()

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.module.train()
        if self.part == "codebooks":  # no batch statistics move either
            self.student.image_encoder.eval()
            self.student.text_encoder.eval()
        order, noise, changes = (epoch_generator(self.config.seed, epoch, stream) for stream in range(3))
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
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            raise DcmqError(
                f"the loss is {loss.item()} in epoch {len(self.history) + 1}: lower learning_rate or raise tau"
            )
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        self.optimiser.step()
        return {name: value.item() for name, value in terms.items()}

    def _npc_options(self) -> dict:
        return {"scope": self.config.npc_scope, "bounds": self.bounds} if self.config.target == "npc" else {}

    def _save(self) -> None:
        """Weights, Adam's moments and the loss history; the random streams are functions of the epoch."""
        if self.fabric.global_rank:
            return
        tensors = {f"student.{k}": v for k, v in self.student.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": v for k, v in state.items()}
        tensors["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        for name in self.history[0]:
            tensors[f"history.{name}"] = torch.tensor([h[name] for h in self.history], dtype=torch.float64)
        save_tensors(self.checkpoint, tensors, {"key": self.key})

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            return
        tensors, meta = load_tensors(self.checkpoint)
        if meta.get("key") != self.key:
            raise DcmqError(
                f"{self.checkpoint} belongs to run {meta.get('key')}, not to {self.key}: move it away, or use its settings"
            )
        self.student.load_state_dict(_under(tensors, "student."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "adam.").items():
            number, _, kind = name.partition(".")
            state.setdefault(int(number), {})[kind] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        history = {name: value.tolist() for name, value in _under(tensors, "history.").items()}
        self.history = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
        self.seconds = tensors["seconds"].item()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_student(config: TrainConfig, words: int, checkpoint: Path) -> Student:
    """The trained student of a finished run, in eval mode."""
    student = Student(config.student.model_copy(update={"backbone_weights": "", "text_weights": ""}), words)
    student.load_state_dict(_under(load_tensors(checkpoint)[0], "student."))
    return student.eval()

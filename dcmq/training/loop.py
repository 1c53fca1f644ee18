"""The loop over epochs that any method trains in, with checkpoints from which a run goes on to the same result."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dcmq.config import RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors, under
from dcmq.data.dataset import RetrievalDataset
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.optimizer import lr_factor
from dcmq.training.seeds import global_randomness


@dataclass(frozen=True)
class Progress:
    """The state of a run after an epoch.

    Attributes:
        epoch: how many are done. epochs: how many there are to be. losses: mean of each term over the samples of the epoch.
    """

    epoch: int
    epochs: int
    losses: dict[str, float]


class EpochTrainer(ABC):
    """One run of a method: it trains epoch by epoch, and keeps a checkpoint of the full state after each.

    Subclasses make ``network``, ``state`` (all that is learnt, the network in it) and ``optimizers``, and train an epoch.

    Args:
        config: the run's settings.
        dataset: rows ``dataset.split.train`` are trained on.
        teacher: embeddings of every row's image and label sentence.
        checkpoint: file of the full state; if it is there, the run goes on from it.
        key: identifies the run; a checkpoint with another key is refused.
    """

    network: DualEncoder
    state: nn.Module
    optimizers: list[torch.optim.Optimizer]

    def __init__(
        self, config: RunConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, checkpoint: Path, key: str
    ):
        self.config, self.dataset, self.teacher = config, dataset, teacher
        self.checkpoint, self.key = Path(checkpoint), key
        from lightning_fabric import Fabric  # takes seconds, which those whose runs are finished need not wait

        processes = int(os.environ.get("WORLD_SIZE", 1))
        self.fabric = Fabric(
            devices=processes if processes > 1 else 1,
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            strategy=self.strategy() if processes > 1 else "auto",
            precision=config.precision,
        )
        self.fabric.launch()
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0

    @abstractmethod
    def strategy(self):
        """The strategy of lightning_fabric by which several processes work together. Raises DcmqError where they cannot."""

    @abstractmethod
    def epoch(self, number: int) -> dict[str, float]:
        """Train one epoch, counted from 0, and return the mean of each loss term."""

    def run(self, on_epoch_end: Callable[[Progress], None] | None = None) -> DualEncoder:
        """Train to the last epoch and return the network in eval mode.

        Raises:
            DcmqError: the loss is not finite, or the checkpoint is of another run.
        """
        self._resume()
        epochs = self.config.total_epochs
        for number in range(len(self.history), epochs):
            start = time.perf_counter()
            config = self.config
            factor = lr_factor(number % config.epochs, config.epochs, config.lr_schedule, config.warmup_epochs)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * group["lr_factor"] * factor
            with global_randomness(config.seed, number, self.fabric.global_rank):
                losses = self.epoch(number)
            self.seconds += time.perf_counter() - start
            self.history.append(losses)
            self._save()
            if on_epoch_end:
                on_epoch_end(Progress(number + 1, epochs, losses))
        return self.network.eval()

    def require_finite(self, loss: Tensor) -> Tensor:
        """The ``loss`` itself. Raises DcmqError if it is not finite."""
        if not torch.isfinite(loss):
            raise DcmqError(
                f"the loss is {loss.item()} in epoch {len(self.history) + 1}: lower learning_rate or raise tau"
            )
        return loss

    def _save(self) -> None:
        """Weights, Adam's moments and the loss history; the random streams are functions of the epoch."""
        if self.fabric.global_rank:
            return
        tensors = {f"model.{k}": v for k, v in self.state.state_dict().items()}
        for place, optimizer in enumerate(self.optimizers):
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"adam.{place}.{number}.{k}": v for k, v in state.items()}
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
        self.state.load_state_dict(under(tensors, "model."))
        for place, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in under(tensors, f"adam.{place}.").items():
                number, _, kind = name.partition(".")
                state.setdefault(int(number), {})[kind] = value
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
        history = {name: value.tolist() for name, value in under(tensors, "history.").items()}
        self.history = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
        self.seconds = tensors["seconds"].item()

"""The loop over epochs that any method trains in, with checkpoints from which a run goes on to the same result."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dcmq.config import RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors, under
from dcmq.data.dataset import RetrievalDataset
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.optimizer import lr_factor
from dcmq.training.processes import open_fabric
from dcmq.training.seeds import global_randomness

T = TypeVar("T")  # of encoders' outputs


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
        self.fabric = open_fabric(config.precision)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0

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
            self._share_statistics()
            self.seconds += time.perf_counter() - start
            self.history.append(losses)
            self._save()
            if on_epoch_end:
                on_epoch_end(Progress(number + 1, epochs, losses))
        return self.network.eval()

    def in_parts(self, encode: Callable[..., T], *inputs: Tensor | None) -> T:
        """The outputs (b, ...) of ``encode`` for a batch, float32, in the run's precision. Of several processes each computes a
        part of the rows, and all get the whole, so that a loss sees every pair of the batch.

        Args:
            encode: gives a tensor or a tuple of them; gradients go through it.
            inputs: (b, ...) each, the same in all processes, or None.
        """
        fabric = self.fabric
        parts = (x if x is None else x.chunk(fabric.world_size)[fabric.global_rank].to(fabric.device) for x in inputs)
        with fabric.autocast():
            outputs = encode(*parts)
        return tuple(map(self._whole, outputs)) if isinstance(outputs, tuple) else self._whole(outputs)

    def _whole(self, part: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return part.float()
        return self.fabric.all_gather(part.float(), sync_grads=torch.is_grad_enabled()).flatten(0, 1)

    def minimize(self, terms: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Take a step of ``optimizer`` down the gradient of the sum of ``terms``. Raises DcmqError if it is not finite."""
        loss = self.require_finite(sum(terms.values()))
        optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.fabric.world_size > 1:  # of what was encoded in parts, each has the gradient of its rows times their number
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            mean = self.fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
            for gradient, values in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(values.view_as(gradient))
        optimizer.step()

    def _share_statistics(self) -> None:
        """Let all processes have the mean of their batch statistics, as each has seen other images."""
        if self.fabric.world_size > 1:
            for buffer in self.network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.fabric.all_reduce(buffer, reduce_op="mean"))

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

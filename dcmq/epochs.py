"""What training any method takes: batches, epochs, and checkpoints from which a run continues to the same result."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn

from dcmq.config import RunConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.core.errors import DcmqError
from dcmq.models import DualEncoder
from dcmq.core.storage import load_tensors, save_tensors
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


def make_encoders(config: RunConfig, words: int, dimension: int) -> DualEncoder:
    """The encoders of any other method before training; their weights depend on ``config.seed`` only."""
    return seeded(config.seed, lambda: DualEncoder(config.student, words, dimension))


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What ``make`` makes, its random weights drawn from ``seed``; other streams of random numbers stay where they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


class EpochTrainer(ABC):
    """One run of any method, epoch by epoch, each ending in a checkpoint of the full state.

    Subclasses make ``network``, ``state`` (all that is learnt, the network in it) and ``optimisers``, and train an epoch.

    Args:
        config: the run's settings.
        dataset: rows ``dataset.split.train`` are trained on.
        teacher: embeddings of every row's picture and label sentence.
        checkpoint: file of the full state; if it is there, the run goes on from it.
        key: identifies the run; a checkpoint with another key is refused.
    """

    network: DualEncoder
    state: nn.Module
    optimisers: list[torch.optim.Optimizer]

    def __init__(
        self, config: RunConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings, checkpoint: Path, key: str
    ):
        self.config, self.dataset, self.teacher = config, dataset, teacher
        self.checkpoint, self.key = Path(checkpoint), key
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
    def strategy(self) -> DDPStrategy:
        """How several processes work together. Raises DcmqError where they cannot."""

    @abstractmethod
    def epoch(self, number: int) -> dict[str, float]:
        """Train one epoch, counted from 0, and return the mean of each loss term."""

    def run(self, report: Callable[[Progress], None] | None = None) -> DualEncoder:
        """Train to the last epoch and return the network in eval mode.

        Raises:
            DcmqError: the loss is not finite, or the checkpoint is of another run.
        """
        self._resume()
        epochs = self.config.total_epochs
        for number in range(len(self.history), epochs):
            start = time.perf_counter()
            early = number % self.config.epochs < self.config.epochs / 2
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * group["rate"] * (1.0 if early else 0.1)
            losses = self.epoch(number)
            self.seconds += time.perf_counter() - start
            self.history.append(losses)
            self._save()
            if report:
                report(Progress(number + 1, epochs, losses))
        return self.network.eval()

    def checked(self, loss: Tensor) -> Tensor:
        """``loss``. Raises DcmqError if it is not finite."""
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
        for place, optimiser in enumerate(self.optimisers):
            for number, state in optimiser.state_dict()["state"].items():
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
        for place, optimiser in enumerate(self.optimisers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in under(tensors, f"adam.{place}.").items():
                number, _, kind = name.partition(".")
                state.setdefault(int(number), {})[kind] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
        history = {name: value.tolist() for name, value in under(tensors, "history.").items()}
        self.history = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
        self.seconds = tensors["seconds"].item()


def adam(
    network: DualEncoder, config: RunConfig, more: Iterable[nn.Parameter] = (), part: str = ""
) -> torch.optim.Adam:
    """Adam over what ``network`` learns and ``more``; pretrained layers at ``config.backbone_rate`` of the rate.

    Args:
        part: only parameters whose names begin so.
    """
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad and name.startswith(part)}
    new = [p for name, p in learnt.items() if not network.is_pretrained(name)] + list(more)
    old = [p for name, p in learnt.items() if network.is_pretrained(name)]
    groups = [{"params": new, "rate": 1.0}, {"params": old, "rate": config.backbone_rate}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=config.learning_rate)


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

"""The interface of a method of cross-modal retrieval: a name with its source, and a way to fit a training set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from dcmq.config import MethodConfig, RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry
from dcmq.data.dataset import RetrievalDataset
from dcmq.retrieval.retriever import Retriever
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.loop import EpochTrainer, Progress

AS_PUBLISHED, RECONSTRUCTION, INSPIRED, CONTROL = "as published", "reconstruction", "inspired by", "control"
OWN = "own"


@dataclass(frozen=True)
class FitTask:
    """The task of a method: its settings, the data, the teacher's embeddings, and where its checkpoint goes."""

    config: RunConfig
    dataset: RetrievalDataset
    teacher: TeacherEmbeddings
    checkpoint: Path
    key: str
    on_epoch_end: Callable[[Progress], None] | None = None


@dataclass(frozen=True)
class FitResult:
    """The result of training: something that ranks, how many numbers were learnt, and how the training went."""

    retriever: Retriever
    parameters: int
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)
    device: str = "cpu"


@dataclass(frozen=True)
class Method:
    """A row of the main results.

    Attributes:
        name: as the tables and the notebooks' ``methods`` parameter have it.
        fit: trains it.
        reference: authors, place and year.
        fidelity: one of the words above.
        note: what is uncertain in it, and what differs from its source.
        origin: the class or function whose code decides its results: what its runs are keyed by, with all that it imports.
        text_input: what of a text it sees, where that is not the student's input.
        algorithm: by what name its runs go; DCMQ's rows are runs of one algorithm.
        settings_type: the settings that it has.
        named_parts: settings that name something registered, with the registry.
        settings: what the row changes in the settings of a run.
        options: hyper-parameters of its own with their values, see :meth:`chosen_options`.
    """

    name: str
    fit: Callable[[FitTask], FitResult]
    origin: Callable
    reference: str = "none"
    fidelity: str = OWN
    note: str = ""
    text_input: str = "bag-of-words"
    algorithm: str = ""
    settings_type: type[RunConfig] = MethodConfig
    named_parts: Mapping[str, Registry] = field(default_factory=dict)
    settings: Mapping = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)

    def chosen_options(self, config: MethodConfig) -> dict[str, float]:
        """The method's options with those of ``config`` in their place. Raises DcmqError for a name it does not have."""
        for name in config.options:
            if name not in self.options:
                known = ", ".join(self.options) or "it has none"
                raise DcmqError(f"settings: {self.name}.{name} is no option of {self.name} (known: {known})")
        return dict(self.options) | config.options


METHODS: Registry[Method] = Registry("method")


def register_method(given: Callable | str | None = None, **about) -> Callable:
    """Registers a method, by the function that fits it: ``@register_method`` under the function's name,
    ``@register_method("name", note="...")`` under another, with further fields of :class:`Method`.

    Where ``origin`` is not among them, it is the function.
    """

    def register(fit: Callable[[FitTask], FitResult]) -> Callable[[FitTask], FitResult]:
        name = given if isinstance(given, str) else fit.__name__
        METHODS.register(name, Method(**{"name": name, "fit": fit, "origin": fit} | about))
        return fit

    return register(given) if callable(given) else register


def count_parameters(module: nn.Module) -> int:
    """The number of parameters in ``module``, frozen ones included; batch statistics are not among them."""
    return sum(p.numel() for p in module.parameters())


def fit_network(
    trainer: EpochTrainer,
    retriever: Callable[..., Retriever],
    on_epoch_end: Callable[[Progress], None] | None,
) -> FitResult:
    """Run ``trainer`` to its end; ``retriever`` takes the network and the data set."""
    network = trainer.run(on_epoch_end)
    return FitResult(
        retriever(network, trainer.dataset),
        count_parameters(network),
        trainer.seconds,
        trainer.history,
        f"{trainer.fabric.world_size} x {trainer.fabric.device}" if trainer.fabric.world_size > 1 else str(trainer.fabric.device),
    )

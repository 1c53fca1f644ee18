"""What a method of cross-modal retrieval is: a name with its source, and a way to fit a training set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from dcmq.config import MethodConfig, RunConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.epochs import EpochTrainer
from dcmq.core.errors import DcmqError
from dcmq.retrieval import Retriever
from dcmq.teachers.base import TeacherEmbeddings

AS_PUBLISHED, RECONSTRUCTION, INSPIRED, CONTROL = "as published", "reconstruction", "inspired by", "control"


@dataclass(frozen=True)
class Job:
    """What a method is given: its settings, the data, the teacher's embeddings, and where its checkpoint goes."""

    config: RunConfig
    dataset: RetrievalDataset
    teacher: TeacherEmbeddings
    checkpoint: Path
    key: str
    report: Callable | None = None


@dataclass(frozen=True)
class Fitted:
    """What is left after training: something that ranks, how many numbers it learnt, and how the training went."""

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
        reference: authors, place and year.
        fidelity: one of the four words above.
        note: what is uncertain in it, and what differs from its source.
        reads: what of a text it sees, where that is not the student's input.
        fit: trains it.
        sources: files of ``dcmq/methods`` whose change makes its runs anew.
        algorithm: by what name its runs go; DCMQ's rows are runs of one algorithm.
        settings: what the row changes in the settings of a run.
        options: hyper-parameters of its own with their values, see :meth:`chosen`.
        rate, longer: factors on the profile's learning rate and epochs, chosen on the validation cut of train by
            ``scripts/choose_method_options.py``, as are the options whose values no paper states.
    """

    name: str
    reference: str
    fidelity: str
    note: str
    fit: Callable[[Job], Fitted]
    sources: tuple[str, ...]
    reads: str = "bag-of-words"
    algorithm: str = ""
    settings: Mapping = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)
    rate: float = 1.0
    longer: int = 1

    def chosen(self, config: MethodConfig) -> dict[str, float]:
        """The method's options with those of ``config`` in their place. Raises DcmqError for a name it does not have."""
        for name in config.options:
            if name not in self.options:
                known = ", ".join(self.options) or "it has none"
                raise DcmqError(f"settings: {self.name}.{name} is no option of {self.name} (known: {known})")
        return dict(self.options) | config.options


def parameters(module: nn.Module) -> int:
    """How many numbers ``module`` holds as parameters."""
    return sum(p.numel() for p in module.parameters())


def trained(trainer: EpochTrainer, retriever: Callable[..., Retriever], report: Callable | None) -> Fitted:
    """Run ``trainer`` to its end; ``retriever`` takes the network and the data set."""
    network = trainer.run(report)
    return Fitted(
        retriever(network, trainer.dataset),
        parameters(network),
        trainer.seconds,
        trainer.history,
        str(trainer.fabric.device),
    )

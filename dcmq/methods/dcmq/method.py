"""DCMQ among the compared methods, and its two rows that need no teacher."""

from dcmq.config import TrainConfig
from dcmq.methods.base import AS_PUBLISHED, CONTROL, FitResult, FitTask, fit_network, register_method
from dcmq.methods.dcmq.losses import LOSSES
from dcmq.methods.dcmq.quantizer import QUANTIZERS
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.targets import TARGETS
from dcmq.methods.dcmq.trainer import Trainer


def fit(task: FitTask) -> FitResult:
    """Train the student, see :class:`dcmq.methods.dcmq.trainer.Trainer`."""
    trainer = Trainer(task.config, task.dataset, task.teacher, task.checkpoint, task.key)
    return fit_network(trainer, QuantizedRetriever, task.on_epoch_end)


def _register(name: str, target: str, fidelity: str, note: str, epoch_factor: int = 1) -> None:
    register_method(
        name,
        reference="arXiv 2405.14726, 2024",
        fidelity=fidelity,
        note=note,
        algorithm="DCMQ",
        settings_type=TrainConfig,
        named_parts={"target": TARGETS, "loss": LOSSES, "quantizer": QUANTIZERS},
        settings={"target": target},
        epoch_factor=epoch_factor,
    )(fit)


_register("DCMQ", "npc", AS_PUBLISHED, "what the paper does not state is inferred or ours, see dcmq/config.py", 3)
_register(
    "DCMQ-multihot", "multihot", CONTROL, "target: cosine of the multi-hot labels, so supervised and no teacher", 3
)
_register("DCMQ-identity", "identity", CONTROL, "target: the identity matrix, so no teacher and no labels")

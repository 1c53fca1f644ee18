"""DCMQ among the compared methods, its rows that need no teacher or no NPC, and rows of our own."""

from dcmq.config import TrainConfig
from dcmq.methods.base import AS_PUBLISHED, CONTROL, OWN, FitResult, FitTask, fit_network, register_method
from dcmq.methods.dcmq.losses import LOSSES
from dcmq.methods.dcmq.quantizer import QUANTIZERS
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.targets import TARGETS
from dcmq.methods.dcmq.trainer import Trainer


def fit(task: FitTask) -> FitResult:
    """Train the student, see :class:`dcmq.methods.dcmq.trainer.Trainer`."""
    trainer = Trainer(task.config, task.dataset, task.teacher, task.checkpoint, task.key)
    return fit_network(trainer, QuantizedRetriever, task.on_epoch_end)


def _register(name: str, target: str, fidelity: str, note: str, **settings) -> None:
    register_method(
        name,
        reference="arXiv 2405.14726, 2024",
        fidelity=fidelity,
        note=note,
        algorithm="DCMQ",
        settings_type=TrainConfig,
        named_parts={"target": TARGETS, "loss": LOSSES, "quantizer": QUANTIZERS},
        settings={"target": target} | settings,
    )(fit)


_register("DCMQ", "npc", AS_PUBLISHED, "what the paper does not state is inferred or ours, see dcmq/config.py")
_register("DCMQ-raw", "raw", CONTROL, "target: the teacher's similarities as they are, without NPC")
_register("DCMQ-multihot", "multihot", CONTROL, "target: cosine of the multi-hot labels, so supervised and no teacher")
_register("DCMQ-identity", "identity", CONTROL, "target: the identity matrix, so no teacher and no labels")
_register("DCMQ-shared", "npc_multihot", OWN, "ours; target: the mean of NPC and of the multi-hot labels' cosines")
_register(
    "DCMQ-best",
    "npc_multihot",
    OWN,
    "ours; as DCMQ-shared, with terms within each modality, taught by the teacher, and straight-through assignment",
    loss="distillation_intra",
    quantizer="straight_through",
)

"""DCMQ itself, as one method among the others, and its two rows that need no teacher."""

from dcmq.methods.base import AS_PUBLISHED, CONTROL, Fitted, Job, Method, trained
from dcmq.retrieval import QuantisedRetriever
from dcmq.training import Trainer


def fit(job: Job) -> Fitted:
    """Train the student, see :class:`dcmq.training.Trainer`."""
    trainer = Trainer(job.config, job.dataset, job.teacher, job.checkpoint, job.key)
    return trained(trainer, QuantisedRetriever, job.report)


def _row(name: str, target: str, fidelity: str, note: str, longer: int = 1) -> Method:
    return Method(
        name=name,
        reference="arXiv 2405.14726, 2024",
        fidelity=fidelity,
        note=note,
        fit=fit,
        sources=("dcmq.py",),
        algorithm="DCMQ",
        settings={"target": target},
        longer=longer,
    )


ROWS = (
    _row("DCMQ", "npc", AS_PUBLISHED, "stripped settings are inferred, see dcmq/config.py", 3),
    _row(
        "DCMQ-multihot", "multihot", CONTROL, "target: cosine of the multi-hot labels, so supervised and no teacher", 3
    ),
    _row("DCMQ-identity", "identity", CONTROL, "target: the identity matrix, so no teacher and no labels"),
)

"""The targets: what a teacher's similarities of a batch become as the settings of DCMQ move."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request
from dcmq.explore.weights import Seed, Temperature, effective_number
from dcmq.methods.dcmq.quantizer import GUMBEL_FORMS
from dcmq.methods.dcmq.targets import SCOPES, TARGETS, dataset_bounds, target_matrix

BINS = 80
_BARS = 60  # shares of a row that are drawn, the largest


@dataclass(frozen=True)
class Batch:
    """A batch of training samples as a target sees it.

    Attributes:
        rows: (b,) row numbers.
        similarity: (b, b) the teacher's cosines, rows images, columns texts.
        labels: (b, C) 0/1 training labels.
        relevant: (b, b) booleans: which pairs share a true label.
    """

    rows: np.ndarray
    similarity: Tensor
    labels: Tensor
    relevant: Tensor


def draw_rows(train: np.ndarray, size: int, seed: int) -> np.ndarray:
    """(b,) distinct rows of ``train`` in a random order that ``seed`` decides; b is ``size``, or all there are."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).numpy()
    return train[order[:size]]


def target_of(batch: Batch, name: str, scope: str, bounds: tuple[float, float]) -> Tensor:
    """(b, b) ``S_hat`` of the target registered as ``name``, with those of ``scope`` and ``bounds`` that it asks for.

    Raises:
        DcmqError: no such target, it fails, or what it gives is no (b, b) matrix of finite numbers.
    """
    try:
        return target_matrix(name, batch.similarity, batch.labels, scope, bounds).float()
    except DcmqError:
        raise
    except Exception as error:  # of a user's own function, perhaps half written
        said = " ".join(str(error).split())
        raise DcmqError(f"target: {name!r} fails with {type(error).__name__}: {said}") from None


def histograms(matrix: Tensor, relevant: Tensor, low: float, high: float, bins: int = BINS) -> Tensor:
    """(2, bins) float32: shares of the relevant and of the irrelevant pairs of a (b, b) matrix in equal bins.

    Own pairs, on the diagonal, are left out. A row sums to 1, or to 0 where there is no such pair.

    Args:
        relevant: (b, b) booleans.
        low, high: ends of the bins; values outside fall into the last bin on their side.
    """
    bin_of = ((matrix - low) * (bins / (high - low))).long().clamp_(0, bins - 1)
    bin_of = bin_of + bins * (~relevant).long()
    counts = torch.bincount(bin_of.flatten(), minlength=2 * bins)
    counts -= torch.bincount(bin_of.diagonal(), minlength=2 * bins)
    counts = counts.view(2, bins).float()
    return counts / counts.sum(1, keepdim=True).clamp_min(1)


def teacher_of(bench: Bench) -> Ranker:
    """The teacher shown, or the first there is. Raises DcmqError where there is none, or no labelled training items."""
    teachers = [ranker for ranker in (*bench.shown_rankers, *bench.rankers.values()) if ranker.codebooks is None]
    if not teachers:
        raise DcmqError("targets: no teacher is explored here, and targets are made of a teacher's similarities")
    if bench.items.labels is None or (bench.items.splits == "train").sum() < 2:
        raise DcmqError(f"targets: {bench.items.name} has no labelled training items to make a batch of")
    return teachers[0]


def batch_of(bench: Bench, teacher: Ranker, size: int, seed: int) -> Batch:
    """A batch of training rows as ``teacher`` sees it; the one asked for last is kept, so that a slider is quick."""
    last = bench.cached("the last batch", dict)
    key = (teacher.name, size, seed)
    if key not in last:
        rows = draw_rows(np.flatnonzero(bench.items.splits == "train"), size, seed)
        images, texts = (F.normalize(teacher.embeddings[kind][rows], dim=1) for kind in ("images", "texts"))
        labels = torch.from_numpy(bench.items.labels[rows]).float()
        last.clear()
        last[key] = Batch(
            rows,
            images @ texts.T,
            torch.from_numpy(bench.items.train_labels[rows]).to(torch.uint8),
            labels @ labels.T > 0,
        )
    return last[key]


def bounds_of(bench: Bench, teacher: Ranker) -> tuple[float, float]:
    """The lowest and highest of the teacher's similarities of training items, for NPC of scope ``dataset``."""

    def compute() -> tuple[float, float]:
        rows = torch.from_numpy(np.flatnonzero(bench.items.splits == "train"))
        return dataset_bounds(*(F.normalize(teacher.embeddings[kind][rows], dim=1) for kind in ("images", "texts")))

    return bench.cached(("bounds", teacher.name), compute)


@register_request
def target_options(bench: Bench) -> Answer:
    """The names that can be chosen, those of a user's own targets too, and the method's default settings.

    Raises:
        DcmqError: as :func:`teacher_of` does.
    """
    teacher_of(bench)
    run, student = TrainConfig(), StudentConfig()
    return {
        "targets": list(TARGETS),
        "scopes": list(SCOPES),
        "forms": list(GUMBEL_FORMS),
        "defaults": {
            "target": run.target,
            "scope": run.npc_scope,
            "tau": run.tau,
            "size": run.batch_size,
            "tau_q": student.tau_q,
            "tau_g": student.tau_g,
            "gumbel_weight": student.gumbel_weight,
            "form": student.gumbel_form,
        },
        "largest": int((bench.items.splits == "train").sum()),
    }, []


@register_request
def targets(
    bench: Bench,
    size: Annotated[int, Field(ge=2, le=2048)] = 128,
    seed: Seed = 0,
    place: Annotated[int, Field(ge=0)] = 0,
    target: str = "npc",
    scope: Literal[SCOPES] = "batch",
    tau: Temperature = 0.2,
) -> Answer:
    """A batch before the target function and after it.

    Returns:
        ``low``, ``high``: ends of the bins. ``row``: the item whose target is shown, the ``place``-th of the batch.
        ``bars``: its largest shares after, each with ``row``, ``after``, ``before``, ``relevant`` and ``own``.
        ``effective``: numbers of texts that the targets of this row and, on average, of all are spread over, before and after.
        Buffer: histograms, float32 (2, 2, bins): before and after; relevant and irrelevant pairs.

    Raises:
        DcmqError: no teacher, no training items, or a target that fails.
    """
    teacher = teacher_of(bench)
    batch = batch_of(bench, teacher, size, seed)
    bounds = bounds_of(bench, teacher) if scope == "dataset" else None
    after = target_of(batch, target, scope, bounds)
    low, high = min(-1.0, after.min().item()), max(1.0, after.max().item())
    shares = [torch.softmax(matrix / tau, dim=1) for matrix in (batch.similarity, after)]
    numbers = [effective_number(share) for share in shares]
    place = min(place, len(batch.rows) - 1)
    largest = shares[1][place].argsort(descending=True, stable=True)[:_BARS].tolist()
    bars = [
        {
            "row": int(batch.rows[i]),
            "after": shares[1][place, i].item(),
            "before": shares[0][place, i].item(),
            "relevant": bool(batch.relevant[place, i]),
            "own": i == place,
        }
        for i in largest
    ]
    pairs = [histograms(matrix, batch.relevant, low, high) for matrix in (batch.similarity, after)]
    return {
        "teacher": teacher.name,
        "size": len(batch.rows),
        "low": low,
        "high": high,
        "bins": BINS,
        "place": place,
        "row": int(batch.rows[place]),
        "bars": bars,
        "effective": {
            "row": [number[place].item() for number in numbers],
            "mean": [number.mean().item() for number in numbers],
        },
        "relevant": (shares[1] * batch.relevant).sum(1).mean().item(),
    }, [torch.stack(pairs).numpy().tobytes()]

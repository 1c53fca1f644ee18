"""The method on one page: figures of what each step does to a batch, and the comparison of the page with the trainer."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import Normalize, PowerNorm
from pydantic import Field
from torch import Tensor

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.settings import PROFILES
from dcmq.experiments.study import Study, register_study
from dcmq.methods.dcmq.quantizer import gumbel_assignment, gumbel_noise, soft_assignment
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.reporting import plots
from dcmq.reporting.gallery import labels_of
from dcmq.reporting.verdicts import Verdict
from dcmq.teachers.base import TeacherEmbeddings

TEXTS = 12  # of a target that are shown one by one
COSINES = dict(cmap="RdBu_r", norm=Normalize(-1, 1))  # one scale for all cosines
TOLERANCE = 1e-4  # of two losses that are the same but for rounding
# Where there is a GPU the trainer uses it, and the page does not. The two round otherwise, and Adam makes more of it at each step.
ON_GPU = {"batches": 1, "tolerance": 1e-2}
STEPS = {  # symbol of a tensor: what it is, where the paper has it, and who says so
    "S": ("cosines of the teacher", "§3.2", "stated"),
    "S_hat": ("cosines after NPC", "Alg. 1", "stated; that the extremes are the batch's is inferred"),
    "x": ("embeddings of the images by the student", "§3.3", "stated; their length is ours"),
    "s": ("cosines of sub-vectors and codewords", "Eq. 2-5", "stated; K is inferred"),
    "soft": ("soft assignment", "Eq. 4", "stated; tau_q is inferred"),
    "gumbel": ("assignment with noise", "Eq. 5", "stated; tau_g is inferred"),
    "z": ("soft-quantized embeddings of the images", "Eq. 2", "stated, lambda for the paper's data sets"),
    "codes": ("codeword numbers of the gallery", "§3.5", "stated"),
    "packed": ("bytes of the gallery", "§3.5", "stated"),
    "tables": ("look-up tables of the queries", "§3.5", "stated"),
    "score": ("sums of table entries", "§3.5", "stated; no cosine of whole embeddings"),
}


@register_study
class Parameters(Study):
    """The parameters of the notebook; one student, so one seed."""

    notebook: ClassVar[str] = "method"
    item: ClassVar[str] = "§3"
    title: ClassVar[str] = "How does DCMQ work, step by step?"
    claim: ClassVar[str] = (
        "None of the paper's results, but its method: every step in sight, and the same losses as the trainer's."
    )

    seeds: ClassVar[str] = ""
    seed: int = Field(0, ge=0)
    bits: int = Field(64, gt=0)
    batch_size: int = Field(32, ge=4)
    epochs: int = Field(4, ge=1)
    tau: float = Field(0.2, gt=0)
    tau_q: float = Field(0.2, gt=0)
    tau_g: float = Field(1.0, gt=0)
    gumbel_weight: float = Field(1.0, ge=0)

    @property
    def seed_list(self) -> list[int]:
        """The one seed."""
        return [self.seed]

    def name_words(self) -> dict[str, str]:
        """As other studies have them, and the bits."""
        return super().name_words() | {"bits": f"{self.bits}bits"}

    @property
    def config(self) -> TrainConfig:
        """The settings of the trainer that mean what the page does: the profile ``demo`` with the page's parameters.

        Raises:
            DcmqError: bits that no whole number of codebooks has.
        """
        values = PROFILES["demo"] | self.model_dump()
        student = {name: value for name, value in values.items() if name in StudentConfig.model_fields}
        fields = {name: value for name, value in values.items() if name in TrainConfig.model_fields}
        return TrainConfig(student=StudentConfig(**student), **fields)


def relevance(data: RetrievalDataset, rows: Tensor) -> Tensor:
    """(b, b) booleans: the pairs of samples ``rows`` (b,) that share a true label."""
    labels = torch.from_numpy(np.asarray(data.labels)[rows.numpy()]).float()
    return labels @ labels.T > 0


def texts_in_target(target: Tensor) -> float:
    """The number of texts, 1 to b, that a target (b,) is spread over: exp of its entropy."""
    return torch.special.entr(target).sum().exp().item()


def similarity_figure(data: RetrievalDataset, rows: Tensor, before: Tensor, after: Tensor) -> plt.Figure:
    """Heat maps of (b, b) cosines before and after NPC, on one color scale; relevant pairs have a dot.

    Samples are sorted by their labels, so that relevant pairs stand together.
    """
    order = np.lexsort(np.asarray(data.labels)[rows.numpy()].T[::-1])[::-1].copy()
    relevant = relevance(data, rows)[order][:, order].numpy()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    for axis, matrix, title in zip(axes, (before, after), ("teacher's cosines S", "after NPC"), strict=True):
        shown = matrix[order][:, order]
        drawn = axis.imshow(shown, **COSINES)
        axis.scatter(*np.nonzero(relevant)[::-1], s=(90 / len(rows)) ** 2, color="black", lw=0)
        axis.set(title=f"{title}: {shown.min():.2f} to {shown.max():.2f}", xlabel="text of the batch")
        axis.set(xticks=[], yticks=[])
    axes[0].set_ylabel("image of the batch")
    figure.colorbar(drawn, ax=axes, label="cosine before, target after (one scale)", shrink=0.85)
    figure.suptitle("a dot: image and text share a true label; on the diagonal, each with its own text", fontsize=9)
    return figure


def target_figure(
    data: RetrievalDataset, rows: Tensor, before: Tensor, after: Tensor, *, image: int, tau: float
) -> plt.Figure:
    """The target of one image, ``softmax(row / tau)`` over the texts of the batch, without NPC and with it.

    The texts with the largest cosines are shown one by one, the own text first, all others as a sum. Hollow marks show
    the target at a quarter of ``tau`` and at four times of it.

    Args:
        before, after: (b, b) cosines before and after NPC.
        image: number in the batch, 0 to b - 1.
    """
    order, relevant = target_order(before[image], image), relevance(data, rows)[image]
    sentences, rest = data.label_sentences(rows.numpy()), len(rows) - TEXTS
    names = [sentences[i] for i in order[:TEXTS]] + ([f"the other {rest} texts"] if rest > 0 else [])
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 4.2), width_ratios=(0.8, 1, 1), sharey=False, layout="constrained"
    )  # fmt: skip
    _image(axes[0], data, int(rows[image]), f"image {image} of the batch\n{labels_of(data, int(rows[image]))}")
    colors = [plots.colors()[0] if relevant[i] else plots.colors()[1] for i in order[:TEXTS]] + ["0.75"] * (rest > 0)
    for axis, row, title in zip(axes[1:], (before[image], after[image]), ("without NPC", "with NPC"), strict=True):
        axis.barh(range(len(names)), target_shares(row, order, tau), color=colors)
        for mark, factor in (("o", 1 / 4), ("D", 4)):
            shares = target_shares(row, order, factor * tau)
            axis.plot(shares, range(len(names)), mark, mfc="none", color="black", ms=5, label=f"tau {factor * tau:.3g}")
        spread = texts_in_target(torch.softmax(row / tau, 0))
        axis.set(title=f"{title}: as if over {spread:.1f} of {len(rows)} texts", xlim=(0, 1), xlabel="share of target")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
    axes[1].set_yticks(range(len(names)), [plots.wrapped(name, 40) for name in names], fontsize=8)
    axes[2].set_yticks(range(len(names)), [])
    axes[2].legend(fontsize=8, loc="lower right")
    figure.suptitle(f"tau {tau:.3g}; blue: shares a true label; orange: shares none; own text first", fontsize=9)
    return figure


def target_order(row: Tensor, own: int) -> list[int]:
    """Numbers of the b texts of a row (b,) of cosines: the own one, then by falling cosine."""
    return [own, *(i for i in row.argsort(descending=True, stable=True).tolist() if i != own)]


def target_shares(row: Tensor, order: list[int], tau: float) -> list[float]:
    """Shares of ``softmax(row / tau)``, row (b,), of the first texts in ``order``, and of all others in sum; they sum to 1."""
    target = torch.softmax(row / tau, 0)[order]
    return [*target[:TEXTS].tolist(), *([target[TEXTS:].sum().item()] if len(order) > TEXTS else [])]


def codeword_figure(
    cosines: Tensor, *, image: int, tau_q: float, tau_g: float, gumbel_weight: float, draw: int
) -> plt.Figure:
    """The weights of the codewords in the soft-quantized embedding of one image (Eq. 2): without noise, the noisy term, and
    their sum; a ring marks the largest of each row without noise, a cross the largest of each row in sum.

    Args:
        cosines: (b, M, K) of sub-vectors and codewords.
        image: number in the batch. draw: number of the draw of noise.
    """
    s = cosines[image]
    soft = soft_assignment(s, tau_q)
    gumbel = gumbel_assignment(s, gumbel_noise(tuple(s.shape), torch.Generator().manual_seed(draw)), tau_g, tau_q)
    mixed = (soft + gumbel_weight * gumbel) / (1 + gumbel_weight)
    panels = (
        (s, "cosines s", COSINES),
        (soft, f"soft (Eq. 4), tau_q {tau_q:.3g}", {}),
        (gumbel, f"with noise (Eq. 5), tau_g {tau_g:.3g}", {}),
        (mixed, f"sum (Eq. 2), lambda {gumbel_weight:.3g}", {}),
    )
    figure, axes = plt.subplots(1, 4, figsize=(12.5, 3.9), sharey=True, layout="constrained")
    rows = range(len(s))
    for axis, (matrix, title, scale) in zip(axes, panels, strict=True):
        scale = scale or dict(cmap="Greys", norm=PowerNorm(0.5, 0, 1))  # small weights are to be seen too
        drawn = axis.imshow(matrix, aspect="auto", **scale)
        ring = "black" if axis is axes[0] else plots.colors()[0]
        axis.plot(s.argmax(1), rows, "o", mfc="none", mec=ring, ms=8, mew=1.6)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="codeword", xticks=range(0, s.shape[1], max(1, s.shape[1] // 4)), yticks=[])
        axis.grid(visible=False)
        if axis in (axes[0], axes[3]):
            label = "cosine" if axis is axes[0] else "weight; of the sum: divided by 1 + lambda"
            figure.colorbar(drawn, ax=axis, label=label)
    axes[3].plot(mixed.argmax(1), rows, "x", color=plots.colors()[1], ms=7, mew=2)
    axes[0].set_ylabel("sub-vector (codebook)")
    moved = int((mixed.argmax(1) != s.argmax(1)).sum())
    figure.suptitle(
        f"image {image}, draw {draw}: noise moves {moved} of {len(s)} sub-vectors to another codeword "
        "(ring: largest without noise, cross: largest with it)",
        fontsize=9,
    )
    return figure


def score_figure(
    data: RetrievalDataset,
    tables: Tensor,
    codes: Tensor,
    score: Tensor,
    *,
    query: int,
    place: int,
    other: int,
) -> plt.Figure:
    """The look-up table of one text query with the entries that the codes of two images point to, and the sums that rank them.

    Args:
        tables: (q, M, K) cosines of the rows ``data.split.query``.
        codes: (n, M) codeword numbers of the rows ``data.split.gallery``.
        score: (q, n), the sums.
        query: 0 to q - 1. place, other: places of the two images in the ranking, from 1.
    """
    ranking = score[query].argsort(descending=True, stable=True)
    table, row = tables[query], int(data.split.query[query])
    figure, axes = plt.subplots(1, 4, figsize=(12.5, 4), width_ratios=(1.5, 1.1, 0.8, 0.8), layout="constrained")
    drawn = axes[0].imshow(table, aspect="auto", **COSINES)
    figure.colorbar(drawn, ax=axes[0], label="cosine")
    books = np.arange(len(table))
    for i, (number, mark, name) in enumerate(((place, "o", "circles"), (other, "s", "squares"))):
        item = int(ranking[number - 1])
        entries = table[books, codes[item]]
        color = plots.colors()[i]
        axes[0].plot(codes[item], books, mark, mfc="none", mec="black", ms=7 + 4 * i, mew=1.4)
        axes[1].barh(books + 0.4 * (i - 0.5), entries, 0.4, color=color)
        found = int(data.split.gallery[item])
        judged = "relevant" if (data.labels[found] & data.labels[row]).any() else "not relevant"
        _image(axes[2 + i], data, found, f"{plots.wrapped(labels_of(data, found), 24)}\n{judged}")
        axes[2 + i].set_xlabel(f"place {number}: sum {score[query, item]:.2f}\n{name}", color=color, fontsize=10)
    words = [data.vocabulary[i] for i in data.bow[row].indices]
    axes[0].set(xlabel="codeword", ylabel="codebook", yticks=[], title="table of the query")
    axes[0].grid(visible=False)
    axes[1].set(xlabel="cosine that the code points to", yticks=[], title="what is summed", xlim=(-1.05, 1.05))
    axes[1].set_ylim(axes[0].get_ylim())
    about = f"text query {query}, its words: {', '.join(words)}; its labels: {labels_of(data, row)}"
    figure.suptitle(plots.wrapped(about, 130), fontsize=10)
    return figure


def _image(axis: plt.Axes, data: RetrievalDataset, row: int, title: str) -> None:
    axis.imshow(data.images[row])
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=9)


def table(**tensors: Tensor | np.ndarray) -> pd.DataFrame:
    """A row for each of ``tensors``, by its symbol in :data:`STEPS`: what it is, its shape, its values, and who says so."""
    rows = []
    for symbol, tensor in tensors.items():
        what, where, origin = STEPS[symbol]
        low, high = tensor.min().item(), tensor.max().item()
        values = f"{low} to {high}" if isinstance(low, int) else f"{low:.2f} to {high:.2f}"
        shape = " x ".join(map(str, tensor.shape))
        rows.append({"": symbol, "what": what, "paper": where, "shape": shape, "values": values, "who says so": origin})
    return pd.DataFrame(rows).set_index("")


class _Recorder(Trainer):
    """The trainer, which keeps the losses of every batch."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.batches: list[dict[str, float]] = []

    def step(self, rows, noise, changes):
        terms = super().step(rows, noise, changes)
        self.batches.append(terms)
        return terms


def trainer_losses(config: TrainConfig, data: RetrievalDataset, teacher: TeacherEmbeddings) -> list[dict[str, float]]:
    """The terms of the loss of every batch, in order, of a whole run of the package's trainer."""
    with TemporaryDirectory() as folder:
        trainer = _Recorder(config, data, teacher, Path(folder) / "checkpoint.safetensors", "method")
        trainer.run()
    return trainer.batches


def same_losses(page: list[dict[str, float]], trainer: list[dict[str, float]]) -> Verdict:
    """The verdict that two lists of losses, a batch each, are the same but for rounding. On a GPU it is on the first alone.

    Raises:
        DcmqError: they are not; it names the first batch and term that differ.
    """
    if len(page) != len(trainer):
        raise DcmqError(f"this page saw {len(page)} batches, the trainer {len(trainer)}: run the training cell again")
    batches, tolerance = (len(page), TOLERANCE) if not torch.cuda.is_available() else ON_GPU.values()
    largest = 0.0
    for number, (ours, theirs) in enumerate(zip(page[:batches], trainer, strict=False), 1):
        for name in {**theirs, **ours}:
            gap = abs(ours.get(name, math.nan) - theirs.get(name, math.nan))
            if not gap <= tolerance:  # a term that only one has is no number
                raise DcmqError(
                    f"batch {number}: {name} is {ours.get(name)} on this page and {theirs.get(name)} in the trainer; "
                    "did a cell above change? run all cells as they were, or read the difference as your change"
                )
            largest = max(largest, gap)
    detail = f"largest difference {largest:.1e} over {batches} of {len(page)} batches"
    return Verdict("this page and dcmq's trainer give the same losses on the same batches", "holds", detail)

"""Fig. 2 and 3: the teacher's similarities before and after NPC, and what they are worth as a target."""

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from sklearn.metrics import roc_auc_score
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.study import Study, register_study, teacher_label
from dcmq.methods.dcmq.targets import npc
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, decide, scalar_claim
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.batches import epoch_batches

BEFORE, COLDER, AFTER = "without NPC", "at a smaller tau", "with NPC"
BINS = 60
UNMOVED = 1e-6  # less is rounding
_KEYS = ("teacher", "seed", "form")
_CLAIMS = (  # number of :func:`statistics`, the form that has more of it if the claim holds, the other
    ("gap of the means / tau", AFTER, BEFORE, "NPC widens the gap of relevant and irrelevant pairs, in units of tau"),
    ("overlap", BEFORE, AFTER, "NPC makes relevant and irrelevant pairs overlap less"),
    ("AUC", AFTER, BEFORE, "NPC ranks more relevant others above irrelevant ones"),
    ("AUC, own pairs counted", AFTER, BEFORE, "NPC raises the AUC if own pairs are counted"),
    ("texts in a target", BEFORE, AFTER, "NPC gives a target of fewer texts"),
    ("target on irrelevant", BEFORE, AFTER, "NPC takes some of the target from irrelevant pairs"),
    ("target on irrelevant", COLDER, AFTER, "NPC takes more of it than a smaller tau would"),
)
Loaded = dict[str, tuple[RetrievalDataset, TeacherEmbeddings]]  # by what tables call the teacher


@register_study
class Parameters(Study):
    """The parameters of the notebook; ``teacher`` is a comma-separated list, ``seeds`` draw the batches."""

    notebook: ClassVar[str] = "similarity_histograms"
    item: ClassVar[str] = "Fig. 2, 3"
    title: ClassVar[str] = "What does NPC do to the teacher's similarities?"
    claim: ClassVar[str] = (
        "CLIP's similarities lie in a narrow band where relevant and irrelevant pairs can hardly be told apart; NPC makes "
        "them discriminative."
    )

    teacher: str = "clip,clip-wide"
    batch_size: int = Field(128, ge=4)
    batches: int = Field(8, ge=1)
    tau: float = Field(0.2, gt=0)

    @property
    def teachers(self) -> dict[str, str]:
        """The teachers' names by what tables call them."""
        labels = [teacher_label(name) for name in self.teacher_list]
        numbered = [f"{s} {labels[: i + 1].count(s)}" if labels.count(s) > 1 else s for i, s in enumerate(labels)]
        return dict(zip(numbered, self.teacher_list, strict=True))

    def load(self) -> Loaded:
        """The data and each teacher's embeddings of it."""
        return {label: self.setup(name).load() for label, name in self.teachers.items()}


def matrices(p: Parameters, data: RetrievalDataset, teacher: TeacherEmbeddings, seed: int) -> list[tuple]:
    """Cosines of images (rows) and label sentences of training batches, drawn as training draws them.

    Returns:
        ``p.batches`` pairs of (b, b) float64 cosines and (b, b) booleans, which pairs share a true label; b is at most
        ``p.batch_size``. Double precision: what is equal stays equal, and NPC's line keeps every order.

    Raises:
        DcmqError: a batch whose pairs, own pairs aside, are all relevant or all irrelevant.
    """
    generator, batches = torch.Generator().manual_seed(seed), []
    while len(batches) < p.batches:  # a new shuffle once all of train was drawn
        batches += epoch_batches(data.split.train, p.batch_size, generator)
    labels = torch.from_numpy(np.asarray(data.labels)).double()
    pairs = []
    for rows in batches[: p.batches]:
        relevant = labels[rows] @ labels[rows].T > 0
        if others(relevant).unique().numel() < 2:
            raise DcmqError(f"batch_size: pairs of {len(rows)} samples are all alike in relevance; take more than that")
        pairs.append((teacher.image[rows].double() @ teacher.text[rows].double().T, relevant))
    return pairs


def others(matrix: Tensor) -> Tensor:
    """(b * (b - 1),) entries of a (b, b) matrix off the diagonal."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


def forms(cosines: Tensor, tau: float) -> dict[str, tuple[Tensor, float]]:
    """Three targets softmax(similarity / tau), each as similarity (b, b) and tau: without NPC, colder, and with NPC.

    NPC's slope is 2 / (max - min) and a softmax does not see the intercept, so without the own pairs' lift to 1 NPC *is*
    a temperature of tau / slope: the one in the middle.
    """
    span = (cosines.max() - cosines.min()).item()
    return {BEFORE: (cosines, tau), COLDER: (cosines, tau * span / 2 or tau), AFTER: (npc(cosines), tau)}


def statistics(similarity: Tensor, relevant: Tensor, tau: float) -> dict[str, float]:
    """The numbers of one batch: its similarities, and the target softmax(similarity / tau).

    Args:
        similarity, relevant: (b, b) numbers and booleans, rows images. Own pairs, on the diagonal, are no *others*.
    """
    near, far = others(similarity)[others(relevant)].numpy(), others(similarity)[~others(relevant)].numpy()
    target = torch.softmax(similarity / tau, dim=1)
    own = torch.eye(len(target), dtype=torch.bool)
    return {
        "highest - lowest similarity": (similarity.max() - similarity.min()).item(),
        "relevant others, mean": near.mean(),
        "relevant others, sd": near.std(),
        "irrelevant, mean": far.mean(),
        "irrelevant, sd": far.std(),
        "overlap": overlap(near, far),
        "AUC": roc_auc_score(others(relevant), others(similarity)),
        "AUC, own pairs counted": roc_auc_score(relevant.flatten(), similarity.flatten()),
        "tau": tau,
        "gap of the means / tau": (near.mean() - far.mean()) / tau,
        "texts in a target": perplexity(target),
        "target on the own pair": target.diagonal().mean().item(),
        "target on relevant others": (target * (relevant & ~own)).sum(1).mean().item(),
        "target on irrelevant": (target * ~relevant).sum(1).mean().item(),
    }


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The common area of the histograms of ``a`` and ``b``: 0 where they are apart, 1 where they are alike."""
    edges = np.histogram_bin_edges(np.concatenate([a, b]), BINS)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (a, b)]
    return float(np.minimum(*shares).sum())


def perplexity(target: Tensor) -> float:
    """The number of texts, 1 to b, that an image's target is spread over: exp of the mean entropy of the (b, b) rows."""
    return torch.special.entr(target).sum(1).mean().exp().item()


def results(p: Parameters, loaded: Loaded) -> pd.DataFrame:
    """One row per teacher, seed and form with the numbers of :func:`statistics`, means over the seed's batches."""
    rows = []
    for name, (data, teacher) in loaded.items():
        for seed in p.seed_list:
            by_batch = [
                {"form": form} | statistics(similarity, relevant, tau)
                for cosines, relevant in matrices(p, data, teacher, seed)
                for form, (similarity, tau) in forms(cosines, p.tau).items()
            ]
            means = pd.DataFrame(by_batch).groupby("form", sort=False).mean()
            rows += [{"teacher": name, "seed": seed, "form": form} | dict(row) for form, row in means.iterrows()]
    return pd.DataFrame(rows)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean ± sd over seeds: a row per number of :func:`statistics`, a column per teacher and form."""
    names = [name for name in frame if name not in _KEYS]
    columns = {}
    for (teacher, form), part in frame.groupby(["teacher", "form"], sort=False):
        columns[f"{teacher} {form}"] = {name: mean_sd(list(part[name])) for name in names}
    return pd.DataFrame(columns).reindex(names)


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """Verdicts on what NPC changes, what it cannot, and what of it a smaller tau does as well; paired over seeds.

    What is equal with and without NPC, rounding aside, ``does not hold``; nothing else is too small to matter here.
    """
    verdicts, claims = {}, []
    for teacher, part in frame.groupby("teacher", sort=False):
        means = {name: part.pivot(index="seed", columns="form", values=name) for name in part if name not in _KEYS}
        for name, better, worse, claim in _CLAIMS:
            text, values = f"{teacher}: {claim}", means[name]
            verdicts[text] = None
            if (values[better] - values[worse]).abs().max() < UNMOVED:
                detail = "the same with and without: a rising line keeps every order"
                verdicts[text] = Verdict(text, "does not hold", detail)
            else:
                claims.append(scalar_claim(values, better, worse, text, name, margin=0))
    decided = {verdict.claim: verdict for verdict in decide(claims)}
    return [verdict or decided[text] for text, verdict in verdicts.items()]


def figure(p: Parameters, loaded: Loaded) -> plt.Figure:
    """A row per teacher: histograms without and with NPC, and the target's shares by rank. Batches of the first seed."""
    fig, axes = plt.subplots(len(loaded), 3, figsize=(12, 3.1 * len(loaded)), squeeze=False)
    for row, (name, (data, teacher)) in zip(axes, loaded.items(), strict=True):
        batches = matrices(p, data, teacher, p.seed_list[0])
        _histograms(row[0], batches, f"teacher {name}, cosines")
        _histograms(row[1], [(npc(cosines), relevant) for cosines, relevant in batches], f"teacher {name}, with NPC")
        _targets(row[2], [cosines for cosines, _ in batches], p.tau)
        row[0].set_ylabel("share of pairs per bin")
    fig.tight_layout()
    handles, labels = axes[0, 0].get_legend_handles_labels()  # above: within, it would lie on some teacher's curve
    fig.legend(handles, labels, fontsize=9, ncols=len(labels), loc="lower left", bbox_to_anchor=(0.03, 1))
    return fig


def _histograms(axis: plt.Axes, batches: list[tuple], title: str) -> None:
    relevant = torch.cat([others(r) for _, r in batches])
    values = torch.cat([others(s) for s, _ in batches])
    edges = np.linspace(-1, 1, 2 * BINS + 1)
    for i, (part, label) in enumerate(((values[relevant], "share a label"), (values[~relevant], "share none"))):
        shares = np.histogram(part, edges)[0] / len(part)
        axis.stairs(shares, edges, label=label, color=plots.colors()[i], linestyle=("-", "--")[i], linewidth=1.8)
    own = torch.cat([s.diagonal() for s, _ in batches]).mean()
    axis.plot(own, 0, "^", color="0.2", markersize=8, clip_on=False, zorder=3, linestyle="", label="own pairs, mean")
    axis.set(xlim=(-1, 1), xticks=np.linspace(-1, 1, 5), xlabel="similarity", title=title)


def _targets(axis: plt.Axes, batches: list[Tensor], tau: float) -> None:
    size = min(len(cosines) for cosines in batches)
    for i, form in enumerate((BEFORE, COLDER, AFTER)):
        targets = [forms(cosines, tau)[form] for cosines in batches]
        shares = [torch.softmax(s / t, dim=1).sort(dim=1, descending=True)[0][:, :size].mean(0) for s, t in targets]
        style = dict(color=plots.colors()[2 + i], marker=MARKERS[i], markevery=0.12, linestyle=("-", "--", ":")[i])
        label = form if form != COLDER else f"tau {np.mean([t for _, t in targets]):.3g}, without NPC"
        axis.plot(range(1, size + 1), torch.stack(shares).mean(0), label=label, **style)
    axis.set(xscale="log", yscale="log", xlabel="texts of the batch, largest share first", ylabel="share of the target")
    ticks = [n for n in (1, 10, 100, 1000) if n <= size]
    axis.set_xticks(ticks, [str(n) for n in ticks])
    axis.set_title(f"softmax(similarity / tau), tau {tau:g}")
    axis.legend(fontsize=9, loc="lower left")

"""Fig. 2 and 3: the teacher's similarities before and after NPC, and what they are worth as a target."""

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from sklearn.metrics import roc_auc_score
from torch import Tensor

from dcmq.data.dataset import RetrievalDataset
from dcmq.notebook import comma_list
from dcmq.reports import mean_sd
from dcmq.studies import plots
from dcmq.studies.base import Study, short_name
from dcmq.studies.results import Verdict, compare
from dcmq.targets import npc
from dcmq.teachers.base import TeacherEmbeddings

BEFORE, AFTER = "without NPC", "with NPC"
BINS = 60


class Parameters(Study):
    """What the notebook may be asked; ``teacher`` is a comma-separated list."""

    notebook: ClassVar[str] = "similarity_histograms"
    item: ClassVar[str] = "Fig. 2, 3"
    title: ClassVar[str] = "What does NPC do to the teacher's similarities?"
    claim: ClassVar[str] = (
        "CLIP's similarities lie in a narrow band where relevant and irrelevant pairs can hardly be told apart; NPC makes "
        "them discriminative."
    )

    batch_size: int = Field(ge=2)
    batches: int = Field(ge=1)
    tau: float = Field(gt=0)

    @property
    def teachers(self) -> list[str]:
        """The teachers' names."""
        return comma_list(self.teacher, str)


def matrices(
    teacher: TeacherEmbeddings, data: RetrievalDataset, seed: int, size: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities of ``count`` random training batches, as training sees them.

    Returns:
        Cosines (count, size, size), the same with NPC, and which pairs share a true label (own pairs among them).
    """
    order = torch.randperm(len(data.split.train), generator=torch.Generator().manual_seed(seed))
    rows = torch.from_numpy(data.split.train)[order[: size * count]].view(-1, size)
    labels = torch.from_numpy(np.asarray(data.labels)).float()
    cosines = torch.stack([teacher.image[r] @ teacher.text[r].T for r in rows])
    return cosines, torch.stack([npc(s) for s in cosines]), torch.stack([labels[r] @ labels[r].T > 0 for r in rows])


def perplexity(similarity: Tensor, tau: float) -> float:
    """How many texts a picture's target is spread over: exp of the mean entropy of softmax rows, 1 to the batch size."""
    rows = torch.softmax(similarity.double() / tau, dim=-1)
    return torch.special.entr(rows).sum(-1).mean().exp().item()


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Common area of the histograms of ``a`` and ``b``: 0 where they are apart, 1 where they are alike."""
    edges = np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), BINS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (a, b)]
    return float(np.minimum(*shares).sum())


def measured(similarity: Tensor, relevant: Tensor, tau: float) -> dict[str, float]:
    """Figures of (count, b, b) similarities; own pairs count in the target, not among the relevant others."""
    others = ~torch.eye(similarity.shape[1], dtype=torch.bool).expand_as(relevant)
    near, far = (similarity[others & mask].double().numpy() for mask in (relevant, ~relevant))
    auc = [
        roc_auc_score(hit[keep].numpy(), s[keep].numpy())
        for s, hit, keep in zip(similarity, relevant, others, strict=True)
    ]
    target = torch.softmax(similarity.double() / tau, dim=-1)
    return {
        "relevant others, mean": near.mean(),
        "irrelevant, mean": far.mean(),
        "sd of all others": similarity[others].double().std().item(),
        "gap of the means / tau": (near.mean() - far.mean()) / tau,
        "overlap": overlap(near, far),
        "AUC in a batch": float(np.mean(auc)),
        "texts in a target": perplexity(similarity, tau),
        "target on the own pair": target.diagonal(dim1=1, dim2=2).mean().item(),
        "target on relevant pairs": (target * relevant).sum(-1).mean().item(),
    }


def results(p: Parameters, loaded: dict[str, tuple[RetrievalDataset, TeacherEmbeddings]]) -> pd.DataFrame:
    """One row per teacher, seed and form (without and with NPC) with the figures of :func:`measured`."""
    rows = []
    for name, (data, teacher) in loaded.items():
        for seed in p.seed_list:
            before, after, relevant = matrices(teacher, data, seed, p.batch_size, p.batches)
            for form, similarity in ((BEFORE, before), (AFTER, after)):
                rows.append(
                    {"teacher": short_name(name), "seed": seed, "form": form} | measured(similarity, relevant, p.tau)
                )
    return pd.DataFrame(rows)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows figures; columns teacher and form: mean ± sd over seeds."""
    names = [name for name in frame if name not in ("teacher", "seed", "form")]
    columns = {}
    for (teacher, form), part in frame.groupby(["teacher", "form"], sort=False):
        columns[f"{teacher} {form}"] = {name: mean_sd(list(part[name])) for name in names}
    return pd.DataFrame(columns).reindex(names)


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """What NPC changes, and what it cannot."""
    found = []
    for teacher, part in frame.groupby("teacher", sort=False):

        def of(name, part=part):
            return part.pivot(index="seed", columns="form", values=name)

        found.append(
            compare(of("gap of the means / tau"), AFTER, BEFORE, f"{teacher}: NPC widens the gap in units of tau")
        )
        found.append(
            compare(of("texts in a target"), BEFORE, AFTER, f"{teacher}: NPC sharpens the target to fewer texts")
        )
        found.append(
            compare(
                of("target on relevant pairs"),
                AFTER,
                BEFORE,
                f"{teacher}: NPC puts more of the target on relevant pairs",
            )
        )
        auc = of("AUC in a batch")
        moved = (auc[AFTER] - auc[BEFORE]).abs().max()
        found.append(
            Verdict(
                f"{teacher}: NPC tells relevant from irrelevant others better",
                "holds" if moved > 1e-4 else "does not hold",
                f"the AUC moves by {moved:.4f}: one rising line per batch keeps every order",
            )
        )
    return found


def figure(p: Parameters, loaded: dict[str, tuple[RetrievalDataset, TeacherEmbeddings]]) -> plt.Figure:
    """Histograms of relevant and irrelevant pairs, a row per teacher: without NPC, with NPC. Own pairs are left out."""
    drawn, axes = plt.subplots(len(loaded), 2, figsize=(9.6, 3.0 * len(loaded)), squeeze=False)
    for row, (name, (data, teacher)) in zip(axes, loaded.items(), strict=True):
        before, after, relevant = matrices(teacher, data, p.seed_list[0], p.batch_size, p.batches)
        others = ~torch.eye(p.batch_size, dtype=torch.bool).expand_as(relevant)
        for axis, similarity, form in zip(row, (before, after), (BEFORE, AFTER), strict=True):
            edges = np.linspace(-1, 1, 2 * BINS + 1)
            for i, (mask, label) in enumerate(((relevant, "share a label"), (~relevant, "share none"))):
                values = similarity[others & mask].numpy()
                style = dict(color=plots.colours()[i], linestyle="-" if not i else "--", linewidth=1.8)
                axis.stairs(np.histogram(values, edges)[0] / len(values), edges, label=label, **style)
            axis.set_xlim(-1, 1)
            axis.set_xlabel(f"similarity {form}")
            axis.set_title(f"teacher {short_name(name)}, {form}", fontsize=10)
        row[0].set_ylabel("share of pairs per bin")
    axes[0, 0].legend(fontsize=8)
    drawn.tight_layout()
    return drawn

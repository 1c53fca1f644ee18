"""Table 6: codes of one and two bytes."""

from itertools import pairwise
from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study, teacher_label
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table, select
from dcmq.reporting.verdicts import Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS

PAPER = ("CLIP-RN50", "CLIP-ViT-B32", "DeCLIP-RN50", "DeCLIP-ViT-B32")


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``teacher`` and ``bits`` are comma-separated lists."""

    notebook: ClassVar[str] = "low_bits"
    item: ClassVar[str] = "Table 6"
    title: ClassVar[str] = "How few bits will do?"
    claim: ClassVar[str] = (
        "Codes of 8 and 16 bits keep most of the quality: with CLIP-ViT-B32, 16 bits lose .01 to .04 against 64 and 8 bits "
        ".02 to .09."
    )

    teacher: str = "clip,clip-wide"
    seeds: str = "0,1,2,3,4"
    bits: str = "8,16,64"

    def variants(self) -> list[Variant]:
        """The same student, taught by each teacher."""
        return [Variant(teacher_label(name), teacher=name) for name in self.teacher_list]


def paper() -> pd.DataFrame:
    """The paper's Table 6."""
    return paper_table(6, {name: name for name in PAPER})


def paper_loss() -> pd.DataFrame:
    """The loss of the paper's CLIP-ViT-B32 student against its 64 bits (Table 2): a row per code length, columns data set
    and direction."""
    low, full = (paper_table(n, {"CLIP-ViT-B32": "CLIP-ViT-B32"}).loc["CLIP-ViT-B32"].astype(float) for n in (6, 2))
    rows = {
        f"{bits} bits": {name: round(full[name] - low[name.replace(" ", f" {bits} bits ")], 3) for name in full.index}
        for bits in (8, 16)
    }
    return pd.DataFrame(rows).T


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Each step up in bits, for each teacher.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    steps = list(pairwise(sorted(frame.bits.unique())))
    return decide(
        [
            claim(frame, more, fewer, f"{name}: {more} bits > {fewer} bits", by="bits", floor=floor, variant=name)
            for name in dict.fromkeys(frame.variant)
            for fewer, more in steps
        ]
    )


def loss_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The loss against the longest code: rows teachers, columns bits and direction, means over seeds."""
    rows = select(frame, metric)
    means = rows.groupby(["variant", "bits", "direction"], sort=False).value.mean().unstack(["bits", "direction"])
    longest = rows.bits.max()
    losses = {
        f"{bits} bits {d}": (means[longest, d] - means[bits, d]).round(3)
        for bits in sorted(set(rows.bits) - {longest})
        for d in DIRECTIONS
    }
    return pd.DataFrame(losses).rename_axis(None)


def figure(frame: pd.DataFrame, metrics) -> plt.Figure:
    """A panel per metric against bits: a line per teacher, the mean of both directions with sd bars."""
    fig, axes = plt.subplots(1, len(metrics), figsize=(9.6, 3.6))
    for axis, (metric, label) in zip(axes, metrics, strict=True):
        plots.lines(axis, frame, "bits", metric, label)
        plots.bits_axis(axis, frame)
    axes[0].legend(title="teacher", fontsize=8)
    fig.tight_layout()
    return fig

"""Quality and training time against the length of the code and of the embedding."""

from itertools import pairwise
from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import seed_means
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, claim, decide


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``bits`` and ``subvector_dims`` are comma-separated lists."""

    notebook: ClassVar[str] = "bits_and_dimension"
    item: ClassVar[str] = "beyond the paper"
    title: ClassVar[str] = "What do more bits and more dimensions buy?"
    claim: ClassVar[str] = "None of the paper's: D is not stated, and quality is shown at three code lengths only."

    bits: str = "8,16,32,64,128"
    subvector_dims: str = "4,8,32"
    at_bits: int = Field(64, gt=0)

    def runs(self) -> list[PlannedRun]:
        """Code lengths at the default dimension of a sub-vector, then dimensions at ``at_bits``."""
        default = self.config().student.subvector_dim
        dims = sorted({*comma_list(self.subvector_dims, int), default})
        points = [("bits", bits, default) for bits in self.bit_list] + [("D / M", self.at_bits, dim) for dim in dims]
        return [
            self.run(self._variant(bits, dim, default), bits, seed, sweep=sweep, length=dim)
            for sweep, bits, dim in points
            for seed in self.seed_list
        ]

    def _variant(self, bits: int, dim: int, default: int) -> Variant:
        dimension = self.config(bits=bits).student.num_codebooks * dim
        return Variant(f"{bits} bits, D {dimension}", {} if dim == default else {"subvector_dim": dim})


def time_table(plan, records) -> pd.DataFrame:
    """Seconds of training on one core, mean ± sd over seeds: a row per variant."""
    seconds: dict[str, dict[str, float]] = {}  # by key: the run where both sweeps meet counts once
    for run, record in zip(plan, records, strict=True):
        seconds.setdefault(run.variant, {})[record["key"]] = record["training_seconds"]
    return pd.DataFrame({name: {"training, seconds": mean_sd(list(v.values()))} for name, v in seconds.items()}).T


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Each step up in bits, and each step up in the dimension of a sub-vector.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    claims = []
    for sweep, column, text in (("bits", "bits", "{} bits > {} bits"), ("D / M", "length", "D / M {} > {}")):
        steps = pairwise(sorted(frame.loc[frame["sweep"] == sweep, column].unique()))
        claims += [
            claim(frame, more, less, text.format(more, less), by=column, floor=floor, sweep=sweep)
            for less, more in steps
        ]
    return decide(claims)


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """Two panels, mAP against bits and against D / M: quantized, and the same students' embeddings."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
    for axis, sweep, x in zip(axes, ("bits", "D / M"), ("bits", "length"), strict=True):
        part = frame[frame["sweep"] == sweep]
        for i, (gallery, name) in enumerate((("gallery", "quantized, whole gallery"), ("continuous", "not quantized"))):
            means = seed_means(part, metric, by=x, gallery=gallery).sort_index(axis=1)
            sd = means.std(ddof=1).fillna(0)
            axis.errorbar(
                means.columns, means.mean(), sd, marker="os"[i], capsize=3, color=plots.colors()[i], label=name
            )
        ticks = sorted(part[x].unique())
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(t) for t in ticks])
    axes[0].set_xlabel("bits per item")
    axes[1].set_xlabel("D / M, numbers per sub-vector")
    axes[0].set_ylabel(label)
    axes[0].legend(fontsize=8)
    fig.tight_layout()
    return fig

"""Quality and training time against the length of the code and of the embedding."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy
from dcmq.reporting import plots
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, compare, seed_means


class Parameters(TrainingStudy):
    """What the notebook may be asked; ``bits`` and ``subvector_lengths`` are comma-separated lists."""

    notebook: ClassVar[str] = "bits_and_dimension"
    item: ClassVar[str] = "beyond the paper"
    title: ClassVar[str] = "What do more bits and more dimensions buy?"
    claim: ClassVar[str] = "None of the paper's: D is not stated, and quality is shown at three code lengths only."

    bits: str
    subvector_lengths: str
    at_bits: int = Field(gt=0)

    def plan(self) -> list[PlannedRun]:
        """Code lengths at the default sub-vector length, then sub-vector lengths at ``at_bits``."""
        default = self.config().student.subvector_dim
        lengths = sorted({*comma_list(self.subvector_lengths, int), default})
        pairs = [("bits", b, default) for b in self.bit_list] + [("D / M", self.at_bits, n) for n in lengths]
        num_codebooks = {b: self.config(bits=b).student.num_codebooks for _, b, _ in pairs}
        return [
            self.run(
                Variant(f"{b} bits, D {num_codebooks[b] * n}", {"subvector_length": n}), b, seed, sweep=sweep, length=n
            )
            for sweep, b, n in pairs
            for seed in self.seed_list
        ]


def time_table(plan, records) -> pd.DataFrame:
    """Seconds of training on one core, mean ± sd over seeds: rows variants."""
    seconds: dict[str, dict[str, float]] = {}  # by key: the run where both sweeps meet counts once
    for run, record in zip(plan, records, strict=True):
        seconds.setdefault(run.variant, {})[record["key"]] = record["training_seconds"]
    return pd.DataFrame({name: {"training, seconds": mean_sd(list(v.values()))} for name, v in seconds.items()}).T


def verdicts(frame: pd.DataFrame, metric: str) -> list[Verdict]:
    """Each step up in bits, and each other sub-vector length against the default of 16."""
    bits = seed_means(frame[frame["sweep"] == "bits"], metric, by="bits").sort_index(axis=1)
    steps = list(bits.columns)
    found = [
        compare(bits, more, less, f"{more} bits > {less} bits") for less, more in zip(steps, steps[1:], strict=False)
    ]
    lengths = seed_means(frame[frame["sweep"] == "D / M"], metric, by="length").sort_index(axis=1)
    steps = list(lengths.columns)
    return found + [
        compare(lengths, more, less, f"D / M {more} > {less}") for less, more in zip(steps, steps[1:], strict=False)
    ]


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """mAP against bits (left) and against D / M (right): quantised, and the same students' embeddings."""
    drawn, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
    for axis, sweep, x in zip(axes, ("bits", "D / M"), ("bits", "length"), strict=True):
        part = frame[frame["sweep"] == sweep]
        for i, (gallery, name) in enumerate((("gallery", "quantised"), ("continuous", "not quantised"))):
            means = seed_means(part, metric, by=x, gallery=gallery).sort_index(axis=1)
            sd = means.std(ddof=1).fillna(0)
            axis.errorbar(
                means.columns, means.mean(), sd, marker="os"[i], capsize=3, color=plots.colours()[i], label=name
            )
        ticks = sorted(part[x].unique())
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(t) for t in ticks])
    axes[0].set_xlabel("bits per item")
    axes[1].set_xlabel("D / M, numbers per sub-vector")
    axes[0].set_ylabel(label)
    axes[0].legend(fontsize=8)
    drawn.tight_layout()
    return drawn

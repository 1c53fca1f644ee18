"""Table 4: product quantization with and without Gumbel noise, at several code lengths."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table, statistics_frame
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, claim, decide

WITH, WITHOUT = "with Gumbel", "without Gumbel"
SCALED = "with Gumbel, scaled"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``bits`` is a comma-separated list."""

    notebook: ClassVar[str] = "ablation_pqg"
    item: ClassVar[str] = "Table 4"
    title: ClassVar[str] = "Does Gumbel noise help?"
    claim: ClassVar[str] = "Gumbel noise in the assignment raises mAP at 32, 64 and 128 bits, by about .01."

    seeds: str = "0,1,2,3,4"
    bits: str = "32,64,128"

    def variants(self) -> list[Variant]:
        """No noise, and both readings of Eq. 5."""
        return [
            Variant(WITHOUT, {"gumbel_weight": 0.0}),
            Variant(WITH, {"gumbel_form": "raw"}),
            Variant(SCALED, {"gumbel_form": "scaled"}),
        ]


def paper() -> pd.DataFrame:
    """The paper's Table 4, on MIRFlickr."""
    return paper_table(4, {"without_gumbel": WITHOUT, "with_gumbel": WITH})


def entropy_table(plan, records) -> pd.DataFrame:
    """Normalized codeword entropy of the gallery's codes, mean of both modalities, mean ± sd over seeds."""
    frame = statistics_frame(plan, records)
    means = frame.groupby(["variant", "bits", "seed"], sort=False).entropy.mean()
    cells = means.groupby(["variant", "bits"], sort=False).apply(lambda v: mean_sd(list(v))).unstack("bits")
    cells.columns = [f"{bits} bits" for bits in cells.columns]
    return cells.reindex(list(dict.fromkeys(frame.variant))).rename_axis(None)


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Noise against none at each code length, in both readings.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    return decide(
        [
            claim(frame, noisy, WITHOUT, f"{bits} bits, {noisy} > none", floor=floor, bits=bits)
            for bits in dict.fromkeys(frame.bits)
            for noisy in (WITH, SCALED)
        ]
    )


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """Two panels of mAP on the whole gallery against bits, quantized and not quantized: the mean of both directions with sd bars."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
    for axis, gallery, title in zip(
        axes, ("gallery", "continuous"), ("quantized codes, whole gallery", "the same, not quantized"), strict=True
    ):
        plots.lines(axis, frame, "bits", metric, label if gallery == "gallery" else "", gallery=gallery)
        plots.bits_axis(axis, frame)
        axis.set_title(title, fontsize=10)
    axes[0].legend(fontsize=8)
    fig.tight_layout()
    return fig

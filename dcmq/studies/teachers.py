"""Table 2: the same student under different teachers."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, short_name
from dcmq.reporting import plots
from dcmq.reporting.results import METRICS, metric_name, paper_table
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, compare, seed_means

PAPER = (
    "CLIP-RN50",
    "CLIP-ViT-B32",
    "CLIP-ViT-L14",
    "DeCLIP-RN50",
    "DeCLIP-ViT-B32",
    "ALBEF",
    "BLIP-ViT-B",
)


class Parameters(TrainingStudy):
    """What the notebook may be asked; ``teacher`` is a comma-separated list."""

    notebook: ClassVar[str] = "teachers"
    item: ClassVar[str] = "Table 2"
    title: ClassVar[str] = "Does the choice of the teacher matter?"
    claim: ClassVar[str] = (
        "DCMQ works with any vision-language teacher: seven of them give students within .03 of each other on each data set."
    )

    bits: int = Field(gt=0)

    @property
    def teachers(self) -> list[str]:
        """The teachers' names."""
        return comma_list(self.teacher, str)

    def variants(self) -> list[Variant]:
        """The same student, taught by each teacher."""
        return [Variant(short_name(name), teacher=name) for name in self.teachers]


def own_table(measured: dict[str, dict], r: int) -> pd.DataFrame:
    """Each teacher's own retrieval, not quantised, and its cosines; ``measured`` as evaluate_teacher gives it."""
    rows = {}
    for name, teacher in measured.items():
        scores = {
            f"{metric_name(m, r)} {d}": mean_sd([teacher[d][metric_name(m, r)]])
            for m in METRICS
            for d in ("i2t", "t2i")
        }
        known = teacher["similarity"]
        rows[short_name(name)] = scores | {
            "cosines": f"{known['lowest']:.2f} to {known['highest']:.2f}",
            "their sd": f"{known['sd']:.3f}",
        }
    return pd.DataFrame(rows).T


def paper() -> pd.DataFrame:
    """The paper's Table 2, 64 bits."""
    return paper_table(2, {name: name for name in PAPER})


def verdicts(frame: pd.DataFrame, measured: dict[str, dict], metric: str) -> list[Verdict]:
    """How far the students are apart, and whether the teacher that ranks better makes the better student."""
    means = seed_means(frame, metric)
    if means.shape[1] < 2:
        return [Verdict("the choice of the teacher matters little", "not judged here", "one teacher cannot tell")]
    averages = means.mean()
    spread = averages.max() - averages.min()
    detail = f"best and worst student are {spread:.3f} apart; in the paper at most .03 on a data set"
    found = [Verdict("all teachers give students within .03", "holds" if spread <= 0.03 else "does not hold", detail)]
    own = {short_name(n): sum(t[d]["mAP@all"] for d in ("i2t", "t2i")) / 2 for n, t in measured.items()}
    better, worse = max(own, key=own.get), min(own, key=own.get)
    return [
        *found,
        compare(means, better, worse, f"the teacher that ranks better itself ({better}) makes the better student"),
    ]


def figure(frame: pd.DataFrame, measured: dict[str, dict], metrics) -> plt.Figure:
    """Students, a mark per seed, and the teachers' own scores as bars behind them."""
    drawn = plots.dots_figure(frame, metrics)
    for axis, (metric, label) in zip(drawn.axes, metrics, strict=True):
        for i, teacher in enumerate(measured.values()):
            for shift, direction in ((-0.14, "i2t"), (0.14, "t2i")):
                name = label if metric == METRICS[0] else metric
                axis.plot([i + shift - 0.1, i + shift + 0.1], [teacher[direction][name]] * 2, color="0.3", linewidth=2)
        axis.set_title("filled i2t, hollow t2i, a mark per seed;\nbars: the teacher itself, not quantised", fontsize=9)
    drawn.tight_layout()
    return drawn

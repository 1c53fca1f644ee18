"""Table 2: the same student under different teachers."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study, teacher_label
from dcmq.reporting import plots
from dcmq.reporting.results import METRICS, metric_name, paper_table
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, compare, seed_means
from dcmq.retrieval.evaluate import DIRECTIONS

PAPER = (
    "CLIP-RN50",
    "CLIP-ViT-B32",
    "CLIP-ViT-L14",
    "DeCLIP-RN50",
    "DeCLIP-ViT-B32",
    "ALBEF",
    "BLIP-ViT-B",
)


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``teacher`` is a comma-separated list."""

    notebook: ClassVar[str] = "teachers"
    item: ClassVar[str] = "Table 2"
    title: ClassVar[str] = "Does the choice of the teacher matter?"
    claim: ClassVar[str] = (
        "DCMQ works with any vision-language teacher: seven of them give students within .03 of each other on each data "
        "set."
    )

    bits: int = Field(gt=0)

    def variants(self) -> list[Variant]:
        """The same student, taught by each teacher."""
        return [Variant(teacher_label(name), teacher=name) for name in self.teacher_list]


def own_table(teachers: Mapping[str, dict], r: int) -> pd.DataFrame:
    """Each teacher's own retrieval, not quantized, and its cosines: a row per teacher.

    Args:
        teachers: by name, as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured them.
        r: R of mAP@R (hits).
    """
    names, rows = [metric_name(metric, r) for metric in METRICS], {}
    for teacher, metrics in teachers.items():
        cosines = metrics["similarity"]
        rows[teacher_label(teacher)] = {
            f"{name} {d}": mean_sd([metrics[d][name]]) for name in names for d in DIRECTIONS
        }
        rows[teacher_label(teacher)] |= {
            "cosines": f"{cosines['lowest']:.2f} to {cosines['highest']:.2f}",
            "their sd": f"{cosines['sd']:.3f}",
        }
    return pd.DataFrame(rows).T


def paper() -> pd.DataFrame:
    """The paper's Table 2, 64 bits."""
    return paper_table(2, {name: name for name in PAPER})


def verdicts(frame: pd.DataFrame, teachers: Mapping[str, dict], metric: str) -> list[Verdict]:
    """Verdicts on how far the students are apart, and on the student of the teacher that ranks best itself.

    Args:
        teachers: as :func:`own_table` takes them.
    """
    means = seed_means(frame, metric)
    if means.shape[1] < 2:
        return [Verdict("the choice of the teacher matters little", "not judged here", "one teacher cannot tell")]
    averages = means.mean()
    spread = averages.max() - averages.min()
    detail = f"best and worst student are {spread:.3f} apart; in the paper at most .03 on a data set"
    close = Verdict("all teachers give students within .03", "holds" if spread <= 0.03 else "does not hold", detail)
    own = {teacher_label(name): np.mean([t[d]["mAP@all"] for d in DIRECTIONS]) for name, t in teachers.items()}
    better, worse = max(own, key=own.get), min(own, key=own.get)
    claim = f"the teacher that ranks better itself ({better}) makes the better student"
    return [close, compare(means, better, worse, claim)]


def figure(frame: pd.DataFrame, teachers: Mapping[str, dict], metrics: Sequence[tuple[str, str]]) -> plt.Figure:
    """A panel per metric: the students, a mark per seed, and the teachers' own scores as bars behind them.

    Args:
        teachers: as :func:`own_table` takes them, in the order of the students.
        metrics: pairs of a metric and its name with R.
    """
    fig = plots.dots_figure(frame, metrics)
    for axis, (_, name) in zip(fig.axes, metrics, strict=True):
        for i, teacher in enumerate(teachers.values()):
            for shift, direction in ((-0.14, "i2t"), (0.14, "t2i")):
                axis.plot([i + shift - 0.1, i + shift + 0.1], [teacher[direction][name]] * 2, color="0.3", linewidth=2)
        axis.set_title(f"{plots.DOTS};\ngray: the teacher itself, not quantized", fontsize=9)
    fig.tight_layout()
    return fig

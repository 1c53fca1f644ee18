"""Table 2: the same student under different teachers."""

from collections.abc import Mapping, Sequence
from itertools import combinations
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
from dcmq.reporting.verdicts import Claim, Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS

CLOSE = 0.03  # of mAP: the students of the paper are not further apart on any of its data sets
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

    teacher: str = "clip,clip-wide"
    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)

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


def verdicts(frame: pd.DataFrame, teachers: Mapping[str, dict], floor: float = 0.0) -> list[Verdict]:
    """Verdicts on how far the students are apart, and on the student of the teacher that ranks best itself.

    Args:
        teachers: as :func:`own_table` takes them.
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    names = list(dict.fromkeys(frame.variant))
    if len(names) < 2:
        return [Verdict("the choice of the teacher matters little", "not judged here", "one teacher cannot tell")]
    own = {teacher_label(name): np.mean([t[d]["mAP@all"] for d in DIRECTIONS]) for name, t in teachers.items()}
    better, worse = max(own, key=own.get), min(own, key=own.get)
    text = f"the teacher that ranks better itself ({better}, mean of both directions) makes the better student than {worse}"
    pairs = [claim(frame, *pair) for pair in combinations(names, 2)]
    return [_close(pairs), *decide([claim(frame, better, worse, text, floor=floor)])]


def _close(pairs: Sequence[Claim]) -> Verdict:
    """The verdict on all pairs of students being within :data:`CLOSE`, by each direction and metric."""
    found = [difference for pair in pairs for difference in pair.parts.values()]
    apart = max(abs(difference.mean) for difference in found)
    detail = (
        f"at most {apart:.3f} apart in any direction and metric, on {pairs[0].where}; in the paper at most {CLOSE:.2f}"
    )
    if all(difference.seeds == 1 for difference in found):
        word = "one seed cannot tell"
    elif all(difference.within(CLOSE) for difference in found):
        word = "holds"
    elif any(difference.low > CLOSE or difference.high < -CLOSE for difference in found):
        word = "does not hold"
    else:
        word = "undecided"
    return Verdict(f"all teachers give students within {CLOSE:.2f}", word, detail)


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

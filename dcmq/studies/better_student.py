"""A better student at the same bytes: steps of our own on DCMQ, up to the frozen teacher with OPQ."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant, method_variants
from dcmq.experiments.study import FROM_A_FILE, TrainingStudy, is_from_file, register_study
from dcmq.networks.small_clip import SIDE, VARIANTS
from dcmq.reporting import plots
from dcmq.reporting.results import seed_means, select
from dcmq.reporting.verdicts import Verdict, claim, decide, did_not_learn

PLAIN, LABELS, SHARED, BEST = "DCMQ", "DCMQ-multihot", "DCMQ-shared", "DCMQ-best"
STEPS = {  # from one row to the next one part changes; all with the settings that were chosen for DCMQ-best, the last row
    "step 1: shared target": {"target": "npc_multihot"},
    "step 2: and text-text term": {"target": "npc_multihot", "loss": "distillation_text"},
    "step 3: and image-image term": {"target": "npc_multihot", "loss": "distillation_intra"},
}
TOWER = "DCMQ-best, teacher's image tower"
OPQ_TAGS, OPQ_LABELS = "teacher-OPQ-tags", "teacher-OPQ-labels"
LINES = (OPQ_TAGS, OPQ_LABELS)


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``tower_seeds`` are those of the row that starts from the teacher's image tower."""

    notebook: ClassVar[str] = "better_student"
    item: ClassVar[str] = "§3.3"
    title: ClassVar[str] = "A better student at the same bytes"
    claim: ClassVar[str] = "None of the paper's: how far a student of as many bytes can get, with steps of our own."

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)
    tower_seeds: str = "0,1,2"

    @property
    def _tower_seeds(self) -> list[int]:
        return [seed for seed in comma_list(self.tower_seeds, int) if seed in self.seed_list]

    @property
    def left_out(self) -> dict[str, str]:
        """The rows that are left out: why."""
        rows = {}
        if is_from_file(self.teacher):
            rows[OPQ_TAGS] = FROM_A_FILE
        if self.teacher not in VARIANTS:
            rows[TOWER] = f"of the teachers, only {' and '.join(VARIANTS)} have a tower that fits the student"
        elif not self._tower_seeds:
            rows[TOWER] = "tower_seeds names none of seeds"
        return rows

    def variants(self) -> list[Variant]:
        """DCMQ, multi-hot labels and the two rows of our own, the steps between these, and the lines to reach; no row twice."""
        best = method_variants(BEST)[0]
        tower = {"image_encoder": "small_clip", "backbone_weights": self.teacher, "image_size": SIDE, "frozen": ""}
        rows = [
            *method_variants(",".join([PLAIN, LABELS, SHARED])),
            *(Variant(name, settings, row=BEST) for name, settings in STEPS.items()),
            best,
            Variant(TOWER, best.settings | tower, row=BEST),
            *method_variants(",".join(LINES)),
        ]
        return [row for row in rows if row.name not in self.left_out]

    def runs(self) -> list[PlannedRun]:
        """Every row with every seed, but for that of the image tower, which takes much longer."""
        seeds = {TOWER: self._tower_seeds}
        return [self.run(v, self.bits, seed) for v in self.variants() for seed in seeds.get(v.name, self.seed_list)]


def left_out_text(p: Parameters) -> str:
    """A line on each row that is left out; empty where none is."""
    return "\n".join(f"left out: {row}: {why}" for row, why in p.left_out.items())


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Each step over the former, the best over DCMQ and over multi-hot labels, and the rows of our own against the lines to reach,
    of those whose rows are there.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    ladder = [*STEPS, BEST]
    pairs = [
        (SHARED, PLAIN),
        (SHARED, LABELS),
        *zip(ladder[1:], ladder, strict=False),
        (BEST, PLAIN),
        (BEST, LABELS),
        *((BEST, line) for line in LINES),
        (TOWER, BEST),
        *((TOWER, line) for line in LINES),
    ]
    rows = set(frame.variant)
    return decide([claim(frame, *pair, floor=floor) for pair in pairs if set(pair) <= rows])


def way_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The share of the way from DCMQ to each line to reach that a row has gone, by the mean of both directions: a row per variant.

    From seeds that the row, DCMQ and the line have in common; no number where the line is not above DCMQ.
    """
    means = seed_means(frame, metric)
    lines = [line for line in LINES if line in means]
    rows = {}
    for name in means.columns.drop(lines):
        common = means[list(dict.fromkeys([name, PLAIN, *lines]))].dropna()
        start, here = common[PLAIN].mean(), common[name].mean()
        ways = {line: common[line].mean() - start for line in lines}
        cells = {
            f"way to {line}": f"{round(100 * (here - start) / way)} %" if way > 0 else "" for line, way in ways.items()
        }
        rows[name] = {metric: f"{here:.3f}", "seeds": str(len(common))} | cells
    return pd.DataFrame(rows).T


def summary(frame: pd.DataFrame, floor: float = 0.0) -> str:
    """The sentence on the best row of our own against DCMQ, multi-hot labels and the lines, by the mean of both directions' mAP@all.

    Args:
        floor: as :func:`verdicts` has it; rows that did not learn are not named.
    """
    failed = did_not_learn(frame, floor) if floor else []
    means = seed_means(frame, "mAP@all")
    own = [name for name in (SHARED, *STEPS, BEST) if name in means and name not in failed]
    if not own or PLAIN not in means:
        return "No row of our own learned here."
    best = means[own].mean().idxmax()
    text = f"By the mean of both directions' mAP@all, the best of our own rows that start where DCMQ starts: {best}, {_against(means, best, PLAIN)}"
    others = [name for name in (LABELS, *LINES) if name in means]
    text += "".join(f", {_against(means, best, other)}" for other in others)
    if TOWER in means and TOWER not in failed:
        others = [PLAIN, *others]
        text += f". From the teacher's image tower: {', '.join(_against(means, TOWER, other) for other in others)}"
    return f"{text}."


def _against(means: pd.DataFrame, name: str, other: str) -> str:
    gaps = (means[name] - means[other]).dropna()
    return f"{gaps.mean():+.3f} against {other}"


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """Our rows on the judged gallery, a mark per seed and direction; dotted lines are the frozen teacher with OPQ, the mean of both
    directions.

    Args:
        label: the metric's name with its R.
    """
    rows = frame[~frame.variant.isin(LINES)]
    means = seed_means(frame, metric).mean()
    fig, axis = plt.subplots(figsize=(1.25 * rows.variant.nunique() + 1, 4.2))
    plots.dots(axis, select(rows, metric), label)
    plots.references(axis, {line: means[line] for line in LINES if line in means})
    fig.tight_layout()
    return fig

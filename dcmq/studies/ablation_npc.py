"""Table 3: four target matrices, several seeds, two directions."""

from typing import ClassVar, Literal

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import METRICS, metric_name, paper_table, seed_means, select
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS

ROWS = {"identity": "DCMQ-identity", "multihot": "DCMQ-multihot", "raw": "DCMQ-raw", "npc": "DCMQ"}
LABELS = {
    "identity": "identity",
    "multihot": "multi-hot labels",
    "raw": "teacher without NPC",
    "npc": "teacher with NPC",
}


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook."""

    notebook: ClassVar[str] = "ablation_npc"
    item: ClassVar[str] = "Table 3"
    title: ClassVar[str] = "Does NPC help?"
    claim: ClassVar[str] = (
        "The teacher's similarities with NPC teach more than the identity matrix, than multi-hot labels, and far more "
        "than the same similarities without NPC."
    )

    own_settings: ClassVar[frozenset[str]] = frozenset({"tau", "npc_scope"})

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)
    tau: float = Field(0.0, ge=0, description="0: each row's own, chosen by one search for all")
    tau_sweep: str = ""
    npc_scope: Literal["batch", "row", "dataset"] = "batch"

    @property
    def taus(self) -> list[float]:
        """All temperatures to train at: ``tau`` and those of the sweep, rising."""
        return sorted({self.tau, *comma_list(self.tau_sweep, float)})

    def name_words(self) -> dict[str, str]:
        """As other studies have them, and the word that it is a sweep."""
        return super().name_words() | ({"a sweep": "tau-sweep"} if len(self.taus) > 1 else {})

    def variants(self, tau: float) -> list[Variant]:
        """The four targets, each with the settings chosen for it; at one temperature, or with ``tau`` 0 each at its own."""
        same = {"npc_scope": self.npc_scope} | ({"tau": tau} if tau else {})
        return [Variant(label, {"target": target} | same, row=ROWS[target]) for target, label in LABELS.items()]

    def runs(self) -> list[PlannedRun]:
        """Targets x seeds at each temperature."""
        return [
            self.run(variant, self.bits, seed, tau=tau)
            for tau in self.taus
            for variant in self.variants(tau)
            for seed in self.seed_list
        ]


def tau_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows: temperatures. Columns: targets. Cells: the mean of both directions, mean ± sd over seeds."""
    rows = {}
    for tau in sorted(frame.tau.unique()):
        means = seed_means(frame, metric, tau=tau)
        rows[_tau_label(tau)] = {name: mean_sd(list(means[name])) for name in means}
    return pd.DataFrame(rows).T


def _tau_label(tau: float) -> str:
    return f"tau {tau:g}" if tau else "each row's own tau"


def teacher_table(teacher: dict, r: int) -> pd.DataFrame:
    """The teacher's own retrieval, as a row to hold ours against.

    Args:
        teacher: as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured it.
        r: R of mAP@R (hits).
    """
    names = [metric_name(m, r) for m in METRICS]
    cells = {f"{name} {d}": mean_sd([teacher[d][name]]) for name in names for d in DIRECTIONS}
    return pd.DataFrame(cells, index=["the teacher itself, not quantized"])


def paper() -> pd.DataFrame:
    """The paper's Table 3, 64 bits."""
    targets = {"identity": "identity", "multihot": "multihot", "without_npc": "raw", "with_npc": "npc"}
    return paper_table(3, {name: LABELS[target] for name, target in targets.items()})


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """The three orderings that the paper's Table 3 shows on all its data sets, judged here at each temperature.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    taus = sorted(frame.tau.unique())
    names = {tau: f"{_tau_label(tau)}: " if len(taus) > 1 else "" for tau in taus}
    return decide(
        [
            claim(frame, npc, other, f"{names[tau]}{npc} > {other}", floor=floor, tau=tau)
            for tau in taus
            for npc, other in ((LABELS["npc"], LABELS[target]) for target in ("identity", "multihot", "raw"))
        ]
    )


def figure(frame: pd.DataFrame, tau: float, metric: str, label: str, teacher: dict, chance: float) -> plt.Figure:
    """The four targets at ``tau``, a mark per seed; where there are several temperatures, beside it the mean of both
    directions over them, with sd bars. Dotted lines are the teacher itself and a random ranking.

    Args:
        label: the metric's name with its R, as in ``teacher``.
        teacher: as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured it.
        chance: the mean share of the gallery that is relevant.
    """
    taus = sorted(frame.tau.unique())
    fig, axes = plt.subplots(1, min(len(taus), 2), figsize=(6.4 if len(taus) == 1 else 11.5, 4), squeeze=False)
    left, right = axes[0][0], axes[0][-1]
    plots.dots(left, select(frame, metric, tau=tau), label)
    left.set_title(f"{_tau_label(tau)}; {plots.DOTS}", fontsize=9)
    if right is not left:
        plots.lines(right, frame[frame.tau > 0], "tau", metric, f"{label}, closer")
        right.set_xticks([tau for tau in taus if tau])
        right.set_xlabel("tau (temperature of targets and logits)")
        right.set_title("mean of both directions ± sd over seeds", fontsize=9)
        right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    own = sum(teacher[direction][label] for direction in DIRECTIONS) / len(DIRECTIONS)
    plots.references(left, {"the teacher itself, not quantized, whole gallery": own, "chance, nearly": chance})
    fig.tight_layout()
    return fig

"""Table 3 as an experiment: four target matrices, several seeds, two directions. The notebook of this name runs it."""

import math
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from dcmq.config import StudentConfig, TrainConfig
from dcmq.errors import DcmqError
from dcmq.evaluation import DIRECTIONS
from dcmq.experiments import Workspace
from dcmq.notebook import comma_list
from dcmq.paper import published
from dcmq.reports import mean_sd

TARGETS = ("identity", "multihot", "raw", "npc")
LABELS = {
    "identity": "identity",
    "multihot": "multi-hot labels",
    "raw": "teacher without NPC",
    "npc": "teacher with NPC",
}
PAPER_VARIANTS = {"identity": "identity", "multihot": "multihot", "raw": "without_npc", "npc": "with_npc"}
METRICS = ("mAP@R (hits)", "mAP@all")

# ``demo`` fits a coffee break on two CPU cores. ``paper`` is the paper's student and schedule; what the paper does not
# state (see TrainConfig) keeps the inferred defaults.
PROFILES = {
    "demo": dict(
        epochs=10,
        learning_rate=1e-3,
        batch_size=128,
        r=500,
        student=dict(image_encoder="small_resnet", image_size=32, text_hidden=(512, 256)),
    ),
    "paper": dict(
        epochs=20,
        learning_rate=3e-4,
        batch_size=128,
        r=5000,
        student=dict(image_encoder="resnet18", image_size=224, text_hidden=(4096, 1024)),
    ),
}


class Parameters(BaseModel):
    """What the notebook may be asked; everything else is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    teacher: str
    dataset: str
    data_root: str
    data_options: str
    profile: Literal["demo", "paper"]
    bits: int = Field(gt=0)
    seeds: str
    tau: float = Field(gt=0)
    tau_sweep: str
    npc_scope: Literal["batch", "row", "dataset"]
    epochs: int = Field(ge=0, description="0: the profile's")
    learning_rate: float = Field(ge=0, description="0: the profile's")
    image_size: int = Field(ge=0, description="0: the profile's")
    image_encoder: Literal["", "small_resnet", "resnet18"]
    backbone_weights: str
    backbone_rate: float = Field(gt=0)
    frozen: Literal["", "layer3", "layer4"]
    augment: bool
    workers: int = Field(ge=1)

    @field_validator("seeds", "tau_sweep", mode="before")
    @classmethod
    def _as_text(cls, value):
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("tau", "learning_rate", "backbone_rate", mode="before")
    @classmethod
    def _as_float(cls, value):
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers."""
        return comma_list(self.seeds, int)

    @property
    def taus(self) -> list[float]:
        """All temperatures to train at: ``tau`` and those of the sweep, rising."""
        return sorted({self.tau, *comma_list(self.tau_sweep, float)})

    @property
    def name(self) -> str:
        """Folder name of the report: data set, teacher, bits and profile."""
        teacher = self.teacher.split(":")[0] if self.teacher.startswith("precomputed") else self.teacher
        words = [self.dataset, teacher.replace("/", "_").replace(":", "_"), f"{self.bits}bits", self.profile]
        return "-".join(words + (["tau-sweep"] if len(self.taus) > 1 else []))

    @property
    def r(self) -> int:
        """R of mAP@R (hits)."""
        return PROFILES[self.profile]["r"]

    def workspace(self) -> Workspace:
        """Data set and teacher, by name."""
        return Workspace(self.dataset, self.teacher, self.data_root, data_options(self.data_options))

    def config(self, target: str, seed: int, tau: float) -> TrainConfig:
        """The settings of one run."""
        profile = dict(PROFILES[self.profile])
        profile.pop("r")
        student = dict(
            profile.pop("student"), bits=self.bits, backbone_weights=self.backbone_weights, frozen=self.frozen
        )
        student |= {"gumbel_weight": 0.5} if self.dataset == "coco" else {}  # stated for MS COCO
        student |= {"image_size": self.image_size} if self.image_size else {}
        student |= {"image_encoder": self.image_encoder} if self.image_encoder else {}
        profile |= {"epochs": self.epochs} if self.epochs else {}
        profile |= {"learning_rate": self.learning_rate} if self.learning_rate else {}
        return TrainConfig(
            student=StudentConfig(**student),
            target=target,
            seed=seed,
            tau=tau,
            npc_scope=self.npc_scope,
            augment=self.augment,
            backbone_rate=self.backbone_rate,
            **profile,
        )

    def configs(self) -> list[TrainConfig]:
        """Every run of the notebook: targets x seeds at each temperature."""
        return [self.config(t, s, tau) for tau in self.taus for t in TARGETS for s in self.seed_list]


def data_options(text: str) -> dict:
    """``"query=219 train=1100 ignore_classes=person,cat"`` to keyword arguments of the data set's loader."""
    options = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "ignore_classes":
            options[name] = tuple(value.replace("_", " ").split(","))
        else:
            try:
                options[name] = int(value) if value.lstrip("-").isdigit() else float(value)
            except ValueError:
                raise DcmqError(f"data_options: {word!r} is not NAME=NUMBER or ignore_classes=NAME,NAME") from None
    return options


def results_frame(records: list[dict]) -> pd.DataFrame:
    """One row per run, direction, gallery and metric: target, seed, tau, direction, gallery, metric, value."""
    rows = []
    for record in records:
        config = record["config"]
        for direction in DIRECTIONS:
            for gallery, metrics in record["evaluation"][direction].items():
                for metric, value in metrics.items():
                    if isinstance(value, int | float) and metric.startswith("mAP"):
                        named = "mAP@R (hits)" if metric.endswith("(hits)") else metric
                        rows.append((config["target"], config["seed"], config["tau"], direction, gallery, named, value))
    return pd.DataFrame(rows, columns=["target", "seed", "tau", "direction", "gallery", "metric", "value"])


def table(frame: pd.DataFrame, tau: float, gallery: str = "gallery", names: dict | None = None) -> pd.DataFrame:
    """Rows: targets. Columns: metric and direction. Cells: mean ± sd over seeds at ``tau``."""
    chosen = frame[(frame.tau == tau) & (frame.gallery == gallery) & frame.metric.isin(METRICS)]
    cells = chosen.groupby(["target", "metric", "direction"]).value.apply(lambda v: mean_sd(list(v)))
    shown = cells.unstack(["metric", "direction"]).reindex(index=TARGETS)
    shown = shown[[(m, d) for m in METRICS for d in DIRECTIONS]]
    shown.columns = [f"{(names or {}).get(m, m)} {d}" for m, d in shown.columns]
    return shown.rename(index=LABELS)


def tau_table(frame: pd.DataFrame, metric: str, gallery: str = "gallery") -> pd.DataFrame:
    """Rows: temperatures. Columns: targets. Cells: the mean of both directions, mean ± sd over seeds."""
    rows = {}
    for tau in sorted(frame.tau.unique()):
        means = seed_means(frame, tau, metric, gallery)
        rows[f"tau {tau:g}"] = {LABELS[t]: mean_sd(list(means[t])) for t in TARGETS}
    return pd.DataFrame(rows).T


def teacher_table(teacher: dict, r: int) -> pd.DataFrame:
    """The teacher's own retrieval, as :func:`dcmq.evaluation.evaluate_teacher` measured it: a row to hold ours against."""
    cells = {f"{name} {d}": mean_sd([teacher[d][name]]) for name in (f"mAP@{r} (hits)", "mAP@all") for d in DIRECTIONS}
    return pd.DataFrame(cells, index=["the teacher itself, not quantised"])


def paper_table() -> pd.DataFrame:
    """The paper's Table 3 (64 bits; its R is not known), rows and directions as in :func:`table`."""
    numbers = published(3).pivot(index="variant", columns=["dataset", "task"], values="map")
    numbers = numbers.reindex([PAPER_VARIANTS[t] for t in TARGETS])
    numbers.index = [LABELS[t] for t in TARGETS]
    numbers.columns = [f"{dataset} {task}" for dataset, task in numbers.columns]
    return numbers[sorted(numbers.columns)]


def seed_means(frame: pd.DataFrame, tau: float, metric: str, gallery: str = "gallery") -> pd.DataFrame:
    """(seeds, targets): the mean of both directions."""
    chosen = frame[(frame.tau == tau) & (frame.gallery == gallery) & (frame.metric == metric)]
    return chosen.groupby(["seed", "target"]).value.mean().unstack("target")[list(TARGETS)]


def verdict(frame: pd.DataFrame, tau: float, metric: str, better: str, worse: str) -> str:
    """Whether ``better`` beats ``worse`` here: the mean difference over paired seeds, in units of its sd.

    Called a tie unless the difference exceeds two standard deviations of the paired differences.
    """
    means = seed_means(frame, tau, metric)
    gaps = (means[better] - means[worse]).to_numpy()
    gap, sd = gaps.mean(), gaps.std(ddof=1) if len(gaps) > 1 else math.nan
    size = abs(gap) / sd if sd else math.inf
    if math.isnan(sd):
        word = "one seed cannot tell"
    elif size < 2:
        word = "a tie"
    else:
        word = "holds" if gap > 0 else "does not hold"
    return (
        f"{LABELS[better]} > {LABELS[worse]}: {word} (difference {gap:+.3f}, {size:.1f} sd of {len(gaps)} paired seeds)"
    )


def verdicts(frame: pd.DataFrame, tau: float, metric: str) -> list[str]:
    """The three orderings that the paper's Table 3 shows on all its data sets, judged here."""
    return [verdict(frame, tau, metric, "npc", other) for other in ("identity", "multihot", "raw")]


def figure(frame: pd.DataFrame, tau: float, metric: str, metric_name: str):
    """Left: the four targets at ``tau``, a dot per seed. Right: the same against tau, mean of directions with sd bars."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True)
    colours, markers = plt.rcParams["axes.prop_cycle"].by_key()["color"], "osD^"
    for i, target in enumerate(TARGETS):
        for shift, direction, filled in ((-0.14, "i2t", True), (0.14, "t2i", False)):
            part = frame[
                (frame.tau == tau)
                & (frame.gallery == "gallery")
                & (frame.metric == metric)
                & (frame.target == target)
                & (frame.direction == direction)
            ]
            left.plot(
                np.full(len(part), i + shift),
                part.value,
                markers[i],
                color=colours[i],
                fillstyle="full" if filled else "none",
                markersize=6,
            )
        taus = sorted(frame.tau.unique())
        runs = [seed_means(frame, t, metric)[target] for t in taus]
        right.errorbar(
            taus,
            [r.mean() for r in runs],
            [r.std(ddof=1) if len(r) > 1 else 0 for r in runs],
            color=colours[i],
            marker=markers[i],
            capsize=3,
            label=LABELS[target],
        )
    left.set_xticks(range(len(TARGETS)), [LABELS[t].replace(" ", "\n", 1) for t in TARGETS])
    left.set_ylabel(metric_name)
    left.set_title(f"tau {tau}: filled i2t, hollow t2i, a mark per seed", fontsize=10)
    right.set_xticks(sorted(frame.tau.unique()))
    right.set_xlabel("tau (temperature of targets and logits)")
    right.set_title("mean of both directions ± sd over seeds", fontsize=10)
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    fig.tight_layout()
    return fig

"""Fig. 9: how the codewords are used, with and without Gumbel noise, and under which conditions they collapse."""

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from pydantic import Field, field_validator

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.results import seed_means
from dcmq.reporting.tables import mean_sd
from dcmq.reporting.verdicts import Verdict, claim, decide, scalar_claim

CONDITIONS = {  # name: what it changes for all three forms of noise
    "default": {},
    "tau_q .05": {"tau_q": 0.05},
    "tau_q .05 tau_g .2": {"tau_q": 0.05, "tau_g": 0.2},
    "learning rate / 3": {},
    "epochs x 3": {},
    "K 256": {"num_codewords": 256},
    "initial codewords x 10": {"codebook_scale": 10.0},
    "noise on images only": {"gumbel_on": "image"},
}
FORMS = {  # name: reading of Eq. 5
    "no noise": {"gumbel_weight": 0.0},
    "as printed": {"gumbel_form": "raw"},  # softmax((s + g) / tau_g)
    "scaled": {"gumbel_form": "scaled"},  # softmax((s / tau_q + g) / tau_g)
}
NONE, RAW, SCALED = FORMS
COLLAPSED = 0.1  # share of dead codewords from which a codebook is called collapsed (ours)


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``conditions`` is a comma-separated list of :data:`CONDITIONS`."""

    notebook: ClassVar[str] = "codewords"
    item: ClassVar[str] = "Fig. 9"
    title: ClassVar[str] = "Does Gumbel noise keep the codebooks in use?"
    claim: ClassVar[str] = (
        "Without Gumbel noise some codewords do most of the work; with it usage is balanced and its entropy rises."
    )

    bits: int = Field(64, gt=0)
    conditions: str = "default,tau_q .05,K 256"

    @field_validator("conditions")
    @classmethod
    def _known(cls, value: str) -> str:
        for name in comma_list(value, str):
            if name not in CONDITIONS:
                hint = suggestion(name, CONDITIONS)
                raise DcmqError(f"conditions: {name!r} is not known{hint} (known: {', '.join(CONDITIONS)})")
        return value

    def changes(self, condition: str) -> dict:
        """The settings that ``condition`` changes, those relative to the profile in numbers."""
        profile = self.config()
        if condition == "learning rate / 3":
            return {"learning_rate": profile.learning_rate / 3}
        return {"epochs": 3 * profile.epochs} if condition == "epochs x 3" else CONDITIONS[condition]

    def runs(self) -> list[PlannedRun]:
        """Forms of noise x conditions x seeds."""
        return [
            self.run(Variant(form, self.changes(condition) | noise), self.bits, seed, condition=condition)
            for condition in comma_list(self.conditions, str)
            for form, noise in FORMS.items()
            for seed in self.seed_list
        ]


def run_means(statistics: pd.DataFrame, name: str) -> pd.DataFrame:
    """A statistic per run, mean of both modalities: columns variant, condition, seed and ``name``."""
    return statistics.groupby(["variant", "condition", "seed"], sort=False)[name].mean().reset_index()


def paired(statistics: pd.DataFrame, condition: str, name: str) -> pd.DataFrame:
    """(seeds, forms) of a statistic, as :func:`dcmq.reporting.verdicts.scalar_claim` takes them."""
    means = run_means(statistics[statistics.condition == condition], name)
    return means.pivot(index="seed", columns="variant", values=name)[list(FORMS)]


def table(frame: pd.DataFrame, statistics: pd.DataFrame, metric: str, label: str) -> pd.DataFrame:
    """Rows conditions; columns entropy, share of dead codewords and mAP for each form: mean ± sd over seeds."""
    rows = {}
    for condition in dict.fromkeys(statistics.condition):
        row = {}
        for name in ("entropy", "dead"):
            means = paired(statistics, condition, name)
            row |= {f"{name}, {form}": mean_sd(list(means[form])) for form in FORMS}
        means = seed_means(frame, metric, condition=condition)
        rows[condition] = row | {f"{label}, {form}": mean_sd(list(means[form])) for form in FORMS}
    return pd.DataFrame(rows).T


def verdicts(frame: pd.DataFrame, statistics: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Verdicts for each condition: that codebooks collapse without noise, and that noise raises entropy and mAP.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    collapses, claims = [], []
    for condition in dict.fromkeys(statistics.condition):
        dead, entropy = (paired(statistics, condition, name) for name in ("dead", "entropy"))
        share = dead[NONE].mean()
        word = "holds" if share >= COLLAPSED else "does not hold"
        detail = f"{share:.1%} of the codewords dead, mean of the seeds"
        collapses.append(Verdict(f"{condition}: codebooks collapse without noise", word, detail))
        for form in (RAW, SCALED):
            text = f"{condition}: noise, {form}, raises"
            claims.append(scalar_claim(entropy, form, NONE, f"{text} entropy", "entropy"))
            claims.append(claim(frame, form, NONE, f"{text} mAP", floor=floor, condition=condition))
    return collapses + decide(claims)


def summary(verdicts: list[Verdict]) -> str:
    """Lines that name the conditions in which each part of the claim holds, and in which noise raises entropy and mAP."""
    holds = {v.claim for v in verdicts if v.word == "holds"}
    conditions = list(dict.fromkeys(v.claim.split(":")[0] for v in verdicts))

    def named(*parts: str) -> str:
        return ", ".join(c for c in conditions if all(f"{c}: {part}" in holds for part in parts)) or "none"

    lines = [f"Without noise a tenth of the codewords or more is dead in: {named('codebooks collapse without noise')}."]
    for form in (RAW, SCALED):
        entropy, quality = f"noise, {form}, raises entropy", f"noise, {form}, raises mAP"
        lines.append(
            f"Noise, {form}, raises entropy in: {named(entropy)}; mAP in: {named(quality)}; "
            f"both in: {named(entropy, quality)}."
        )
    return "\n".join(lines)


def usage_figure(statistics: pd.DataFrame, condition: str) -> plt.Figure:
    """Two panels, texts and images: share of assignments against the rank of the codeword, for each form of noise."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
    for axis, modality in zip(axes, ("text", "image"), strict=True):
        rows = statistics[(statistics.condition == condition) & (statistics.modality == modality)]
        for i, form in enumerate(FORMS):
            usage = np.stack(rows[rows.variant == form].usage.to_list())
            ranks = np.arange(1, usage.shape[1] + 1)
            entropy = rows[rows.variant == form].entropy.mean()
            axis.plot(
                ranks,
                usage.mean(0),
                marker=MARKERS[i],
                color=plots.colors()[i],
                label=f"{form}: entropy {entropy:.3f}",
            )
        axis.axhline(1 / usage.shape[1], color="0.4", linestyle=":", label="all codewords alike")
        axis.set_xlabel("codeword, most used first")
        axis.set_title(f"codes of {modality}s", fontsize=10)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("share of assignments")
    fig.tight_layout()
    return fig


def conditions_figure(frame: pd.DataFrame, statistics: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """Two panels, entropy and mAP, for each condition: a mark per seed and form of noise."""
    conditions = list(dict.fromkeys(statistics.condition))
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 0.55 * len(conditions) + 1.6), sharey=True)
    for i, form in enumerate(FORMS):
        for row, condition in enumerate(conditions):
            entropy = paired(statistics, condition, "entropy")[form]
            means = seed_means(frame, metric, condition=condition)[form]
            for axis, values in zip(axes, (entropy, means), strict=True):
                place = np.full(len(values), row + 0.22 * (i - 1))
                axis.plot(
                    values, place, MARKERS[i], color=plots.colors()[i], markersize=6, label=form if not row else None
                )
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(6))
    axes[0].set_yticks(range(len(conditions)), conditions)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("normalized codeword entropy (1: all alike)")
    axes[1].set_xlabel(f"{label}, mean of both directions")
    axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
    fig.tight_layout()
    return fig

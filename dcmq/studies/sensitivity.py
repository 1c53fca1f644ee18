"""The settings that the paper does not state: one is changed at a time, the others keep their defaults."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.settings import preset_settings
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import seed_means
from dcmq.reporting.verdicts import Verdict, claim, decide

NUMBERS = ("tau", "tau_q", "tau_g", "gumbel_weight", "batch_size")
CHOSEN = "none"  # of the presets: the settings that were chosen
NAMES = {"gumbel_weight": "lambda (gumbel_weight)", "batch_size": "batch size", "npc_scope": "NPC scope"}


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; each swept setting is a comma-separated list."""

    notebook: ClassVar[str] = "sensitivity"
    item: ClassVar[str] = "beyond the paper"
    title: ClassVar[str] = "How much hangs on what the paper does not state?"
    claim: ClassVar[str] = (
        "None of the paper's: temperatures, batch size and the scope of NPC are not stated, so their effect must be known."
    )

    bits: int = Field(64, gt=0)
    tau: str = "0.1,0.5"
    tau_q: str = "0.05"
    tau_g: str = "0.2"
    gumbel_weight: str = "0.0"
    batch_size: str = "256"
    npc_scope: str = "row"
    presets: str = "author_priors,author_priors_256"

    def values(self, name: str) -> list:
        """The values that setting ``name`` is swept over."""
        kind = {"batch_size": int, "npc_scope": str}.get(name, float)
        return comma_list(getattr(self, name), kind)

    def runs(self) -> list[PlannedRun]:
        """For each setting its values, the default among them, x seeds."""
        runs = []
        known = [preset for preset in comma_list(self.presets, str) if preset_settings(preset)]
        for name in (*NUMBERS, "npc_scope"):
            config = self.config()
            default = getattr(config, name, None)
            default = getattr(config.student, name) if default is None else default
            values = list(dict.fromkeys([*self.values(name), default]))
            for value in sorted(values) if name in NUMBERS else values:
                variant = Variant(
                    f"{NAMES.get(name, name)} {value:g}" if name in NUMBERS else f"NPC scope {value}", {name: value}
                )
                tags = {"setting": name, "level": value, "default": value == default}
                runs += [self.run(variant, self.bits, seed, **tags) for seed in self.seed_list]
        for preset in [CHOSEN, *known] if known else []:
            settings = {} if preset == CHOSEN else preset_settings(preset)
            tags = {"setting": "preset", "level": preset, "default": preset == CHOSEN}
            runs += [
                self.run(Variant(f"preset {preset}", dict(settings)), self.bits, seed, **tags) for seed in self.seed_list
            ]
        return runs


def effect_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row per setting: mAP at its default and at its best value, the range over values, and the sd over seeds."""
    rows = {}
    for name in dict.fromkeys(frame.setting):
        part = frame[frame.setting == name]
        means = seed_means(part, metric, by="level")
        default = part.loc[part.default, "level"].iloc[0]
        best = means.mean().idxmax()
        rows[NAMES.get(name, name)] = {
            "default": default,
            "its mAP": f"{means[default].mean():.3f}",
            "best value": best,
            "best mAP": f"{means[best].mean():.3f}",
            "range over values": f"{means.mean().max() - means.mean().min():.3f}",
            "sd over seeds": f"{means.std(ddof=1).mean():.3f}",
        }
    return pd.DataFrame(rows).T


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Every other value of a setting against its default.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    claims = []
    for name in dict.fromkeys(frame.setting):
        part = frame[frame.setting == name]
        default = part.loc[part.default, "level"].iloc[0]
        for value in dict.fromkeys(part.level):
            if value != default:
                text = f"{NAMES.get(name, name)}: {value} > the default {default}"
                claims.append(claim(frame, value, default, text, by="level", floor=floor, setting=name))
    return decide(claims)


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """A panel per setting, the mean of both directions with sd bars; the default is ringed."""
    names = list(dict.fromkeys(frame.setting))
    fig, axes = plt.subplots(2, -(-len(names) // 2), figsize=(3.5 * -(-len(names) // 2), 6), sharey=True)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat[: len(names)], names, strict=True):
        part = frame[frame.setting == name]
        means = seed_means(part, metric, by="level")
        places = range(len(means.columns))
        style = dict(marker="o", capsize=3, color=plots.colors()[0], linestyle="-" if name in NUMBERS else "none")
        axis.errorbar(places, means.mean(), means.std(ddof=1).fillna(0), **style)
        at = list(means.columns).index(part.loc[part.default, "level"].iloc[0])
        axis.plot(at, means.mean().iloc[at], "o", markersize=13, fillstyle="none", color=plots.colors()[1])
        axis.set_xticks(places, [f"{v:g}" if name in NUMBERS else v for v in means.columns])
        axis.set_xlabel(NAMES.get(name, name))
    for row in axes:
        row[0].set_ylabel(label)
    fig.suptitle("mean of both directions ± sd over seeds; the ring marks the default", fontsize=10)
    fig.tight_layout()
    return fig

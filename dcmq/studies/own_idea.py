"""A template: an idea of the reader's own, written in a cell, against rows that are built in."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import MaxNLocator
from pydantic import AfterValidator, Field

from dcmq.config import RunConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.registry import suggestion
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.plan import PlannedRun, Variant, has_setting, method_variants
from dcmq.experiments.settings import parsed_settings
from dcmq.experiments.setup import ExperimentSetup
from dcmq.experiments.study import TrainingStudy, file_name, register_study
from dcmq.methods.base import Method
from dcmq.methods.dcmq.losses import LOSSES
from dcmq.methods.dcmq.quantizer import QUANTIZERS
from dcmq.methods.dcmq.targets import TARGETS, dataset_bounds, target_matrix
from dcmq.methods.registry import METHODS
from dcmq.networks.encoders import IMAGE_ENCODERS
from dcmq.reporting import plots
from dcmq.reporting.results import METRICS, WHERE, judged, metric_name, select
from dcmq.reporting.verdicts import MARGIN, SURE, Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.training.batches import epoch_batches
from dcmq.training.seeds import random_stream

PARTS = {
    "target": TARGETS,
    "loss": LOSSES,
    "quantizer": QUANTIZERS,
    "image_encoder": IMAGE_ENCODERS,
    "method": METHODS,
}


def _rows(text: str) -> list[str]:
    return [" ".join(row.split()) for row in text.split(";")]


def _one_row(text: str) -> str:
    rows = _rows(text)
    if len(rows) != 1 or not rows[0]:
        raise DcmqError(
            "an idea is one row: the name of a part, such as 'mine', or several words, such as 'mine tau=0.3'"
        )
    return rows[0]


def _several_rows(text: str) -> str:
    rows = _rows(text)
    if not all(rows) or len(set(rows)) < len(rows):
        raise DcmqError("rivals are different rows with ; between them: 'npc; multihot'")
    return "; ".join(rows)


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook.

    A row is given, and called, by the name of a registered part (:data:`PARTS`), or by several words: ``npc``, ``mine tau=0.3``,
    ``CMHH``. A row that names a method has the settings and the schedule that were chosen for it; DCMQ's own row is ``DCMQ``.
    """

    notebook: ClassVar[str] = "own_idea"
    item: ClassVar[str] = "your own idea"
    title: ClassVar[str] = "Does an idea of your own help?"
    claim: ClassVar[str] = "None of the paper's: the notebook is a template for claims of your own."

    idea: Annotated[str, AfterValidator(_one_row)] = "npc_same_labels"
    rivals: Annotated[str, AfterValidator(_several_rows)] = "npc; multihot"
    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)
    validation: bool = False

    def name_words(self) -> dict[str, str]:
        """As other studies have them; the idea; a hash of what it is compared on, which hardly two ideas share; and the word that
        it is on the validation cut."""
        question = digest(self.rivals, self.data_options, self.seeds)[:6]
        return super().name_words() | {
            "idea": file_name(self.idea.replace(" ", "-").replace("=", "-")),
            "rivals": question,
            "data_options": "",
            "seeds": "",
            "validation": "validation" if self.validation else "",
        }

    def setup(self, teacher: str = "", seed: int | None = None) -> ExperimentSetup:
        """Data set and teacher; for ``validation`` with queries that are cut from train."""
        return replace(super().setup(teacher, seed), validation=self.validation)

    def variants(self) -> list[Variant]:
        """The idea's row, then those of its rivals.

        Raises:
            DcmqError: a word is no NAME=VALUE, or a name in one is not known.
        """
        return [_variant(row) for row in (self.idea, *_rows(self.rivals))]

    def runs(self) -> list[PlannedRun]:
        """The idea's runs, then those of its rivals.

        Raises:
            DcmqError: two rows are one and the same run, or a row holds a setting that its method does not have.
        """
        plan, rows = super().runs(), {}
        for row in self.variants():
            config = next(run.config for run in plan if run.variant == row.name)
            lacking = [name for name in row.settings if not has_setting(config, name)]
            if lacking:
                raise DcmqError(f"{row.name!r}: {row.method} has no setting {lacking[0]!r}, so it would change nothing")
            settings = config.model_dump_json()
            if settings in rows:
                raise DcmqError(
                    f"{rows[settings]!r} and {row.name!r} are one and the same run: name what tells them apart"
                )
            rows[settings] = row.name
        return plan


def _variant(row: str) -> Variant:
    words = [word if "=" in word else f"{_part(word)}={word}" for word in row.split()]
    methods = [word.removeprefix("method=") for word in words if word.startswith("method=")]
    names = [word.partition("=")[0] for word in words]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise DcmqError(f"{row!r} says {twice} twice: say it once")
    settings = parsed_settings(" ".join(word for word in words if not word.startswith("method=")))
    base = method_variants(methods[-1])[0] if methods else Variant(row)
    if not methods:  # a target that has a row of its own has what was chosen for that
        own = {"target": settings.get("target")}
        base = replace(base, row=next((m.name for m in METHODS.values() if m.settings == own), ""))
    return replace(base, name=row, settings=base.settings | settings)


def _part(name: str) -> str:
    """The setting whose registry has ``name``. Raises DcmqError where none has, or several have."""
    found = [setting for setting, registry in PARTS.items() if name in registry]
    if len(found) == 1:
        return found[0]
    if found:
        raise DcmqError(
            f"{name!r} is the name of several parts: write {' or '.join(f'{part}={name}' for part in found)}"
        )
    known = [known for registry in PARTS.values() for known in registry]
    raise DcmqError(
        f"{name!r} is no registered {', '.join(PARTS)}{suggestion(name, known)}: run the cell that registers it, and see its spelling"
    )


def source(study: Parameters) -> str:
    """The text of the user's own parts that the idea's row names, for the record; empty where it names none."""
    config = study.plan()[0].config
    named = [
        (registry, config.method if part == "method" else _named(config, part)) for part, registry in PARTS.items()
    ]
    own = [registry[name] for registry, name in named if name in registry and not registry.is_own(name)]
    return "\n\n".join(inspect.getsource(thing.origin if isinstance(thing, Method) else thing) for thing in own)


def _named(config: RunConfig, part: str) -> str:
    return config.setting(part) if has_setting(config, part) else ""


def targets_figure(
    plan: Sequence[PlannedRun], data: RetrievalDataset, teacher: TeacherEmbeddings, size: int = 32
) -> plt.Figure | None:
    """A panel for each different target of the planned runs of DCMQ, on one batch of ``size`` training samples, sorted by their
    labels: the distributions over texts that images learn, softmax of ``S_hat`` / tau. None where no run has a target.

    Raises:
        DcmqError: a target gives no matrix of finite numbers.
    """
    configs = {(c.target, c.npc_scope, c.tau): c for c in (run.config for run in plan) if isinstance(c, TrainConfig)}
    if not configs:
        return None
    (rows, *_) = epoch_batches(data.split.train, size, random_stream(0, 0, 0))
    labels = torch.from_numpy(np.asarray(data.train_labels))
    rows = rows[np.lexsort(labels[rows].numpy().T[::-1])[::-1].copy()]
    train = torch.from_numpy(data.split.train)
    bounds = dataset_bounds(teacher.image[train], teacher.text[train])
    similarity = teacher.image[rows] @ teacher.text[rows].T
    fig, axes = plt.subplots(1, len(configs), figsize=(3.4 * len(configs), 3.6), squeeze=False, layout="constrained")
    for axis, (name, config) in zip(axes[0], configs.items(), strict=True):
        target = target_matrix(config.target, similarity, labels[rows], config.npc_scope, bounds)
        drawn = axis.imshow(torch.softmax(target.detach().float() / config.tau, dim=1), cmap="cividis", vmin=0)
        alike = [other for other in configs if other[0] == name[0]]
        axis.set_title(name[0] if len(alike) == 1 else f"{name[0]}, scope {name[1]}, tau {name[2]:g}", fontsize=10)
        axis.set(xticks=[], yticks=[], xlabel="texts of the batch")
        axis.grid(False)
        fig.colorbar(drawn, ax=axis, shrink=0.7)
    axes[0, 0].set_ylabel("images of the batch")
    fig.suptitle(f"what {len(rows)} images learn: a distribution over the texts, a row each", fontsize=10)
    return fig


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """The idea, the first variant of ``frame``, against each rival.

    Args:
        frame: as :func:`dcmq.reporting.results.results_frame` gives it.
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    idea, *rivals = dict.fromkeys(frame.variant)
    return decide([claim(frame, idea, rival, floor=floor) for rival in rivals])


def what_to_say(decided: Sequence[Verdict], study: Parameters, gallery: str) -> str:
    """Sentences that the records bear, one for each of :func:`verdicts`, and what must be said with them.

    Args:
        gallery: that the verdicts are about.
    """
    where = (
        "a validation cut of train: choose here, then report the real queries once"
        if study.validation
        else "the queries: what was tuned on them before must be said"
    )
    plan = study.plan()
    epochs = {run.variant: f"{run.variant} {run.config.total_epochs}" for run in plan}
    unequal = len({run.config.total_epochs for run in plan}) > 1
    return "\n".join(
        [
            *(f"{verdict}." for verdict in decided),
            *([f"Not trained alike: epochs {', '.join(epochs.values())}."] if unequal else []),
            f"Say with it: {study.dataset}, teacher {study.teacher}, {study.bits} bits, profile {study.profile}, "
            f"{len(study.seed_list)} seeds; judged on: {WHERE[gallery]}; measured on {where}.",
            f"Undecided is not equal: a difference is one where its p, corrected for all comparisons here, is below {SURE:g}, a tie "
            f"where its 90 % interval lies within {MARGIN:g}; more seeds may decide the rest.",
        ]
    )  # fmt: skip


def figure(frame: pd.DataFrame, r: int) -> plt.Figure:
    """A panel per metric: the idea, the first variant of ``frame``, less each rival, by direction, on the judged gallery; a small
    mark per seed, a large one for their mean.

    Args:
        r: R of mAP@R (hits).
    """
    gallery = judged(frame)
    idea, *rivals = dict.fromkeys(frame.variant)
    places = [(rival, direction) for rival in rivals for direction in DIRECTIONS]
    fig, axes = plt.subplots(1, len(METRICS), figsize=(10.5, 0.5 * len(places) + 1.4), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        for i, (rival, direction) in enumerate(places):
            rows = select(frame, metric, gallery, direction=direction)
            by_seed = rows.pivot(index="seed", columns="variant", values="value")
            gaps, color = by_seed[idea] - by_seed[rival], plots.colors()[DIRECTIONS.index(direction)]
            axis.plot(gaps, [i] * len(gaps), "o", color=color, fillstyle="none", markersize=5)
            axis.plot(gaps.mean(), i, "D", color=color, markersize=8)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set_yticks(range(len(places)), [", ".join(place) for place in places])
        axis.set_xlabel(f"{metric_name(metric, r)}: {idea} less the rival")
        axis.xaxis.set_major_locator(MaxNLocator(5))
    axes[0].invert_yaxis()
    fig.suptitle(f"{WHERE[gallery]}; a circle per seed, a diamond for the mean", fontsize=10)
    fig.tight_layout()
    return fig

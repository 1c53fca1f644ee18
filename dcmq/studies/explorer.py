"""The explorer in a notebook: two students and their teacher, or a collection of one's own, and numbers on where they differ."""

from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import Plan, Variant
from dcmq.experiments.study import TrainingStudy, file_name, register_study, run_plan
from dcmq.explore.explorer import Explorer
from dcmq.explore.failures import asked_queries, query_precisions
from dcmq.explore.items import KINDS
from dcmq.reporting import plots
from dcmq.reporting.verdicts import Claim, Verdict, decide
from dcmq.retrieval.significance import paired_difference

WITH, WITHOUT = "with NPC", "without NPC"
DIRECTIONS = {"texts": "i2t", "images": "t2i"}  # by gallery


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``collection`` is a folder that ``dcmq search build`` made, and then nothing is trained."""

    notebook: ClassVar[str] = "explorer"
    item: ClassVar[str] = "explorer"
    title: ClassVar[str] = "What is found, what is missed, and why?"
    claim: ClassVar[str] = (
        "None of the paper's results, but the items behind them: look, compare, and find what went wrong."
    )

    seeds: ClassVar[str] = ""
    workers: ClassVar[int] = 1
    collection: str = ""
    words: str = "moon star night"
    seed: int = Field(0, ge=0)
    bits: int = Field(64, gt=0)

    def name_words(self) -> dict[str, str]:
        """As other studies have them; of a collection the last part of its path, beside a hash of all of it."""
        return {"a collection": f"collection-{file_name(Path(self.collection).name)}"} if self.collection else super().name_words()

    @property
    def seed_list(self) -> list[int]:
        """The one seed."""
        return [self.seed]

    def variants(self) -> list[Variant]:
        """A student whose target is the teacher's similarities with NPC, and one without."""
        return [Variant(WITH, {"target": "npc"}), Variant(WITHOUT, {"target": "raw"}, row="DCMQ-raw")]

    def plan(self) -> Plan:
        """The runs of the two students; none for a collection."""
        return Plan([]) if self.collection else super().plan()

    @model_validator(mode="after")
    def _a_collection_is_all(self):
        idle = [n for n, value in self if n not in ("collection", "words") and value != type(self).model_fields[n].default]
        if self.collection and idle:
            raise DcmqError(f"collection: nothing is trained for one, so {' and '.join(idle)} would change nothing; leave out")
        return self


def explore(p: Parameters) -> tuple[Explorer, list[dict]]:
    """The explorer of the parameters' runs, trained now if need be, or of their collection, and the records of the runs.

    Raises:
        DcmqError: no such collection, or data and teacher that cannot be had.
    """
    if p.collection:
        return Explorer.of_collection(p.collection), []
    data, embeddings = p.setup().load()
    records = run_plan(p)
    return Explorer.of_runs(data, embeddings, {run.variant: run.config for run in p.plan()}), records


def precisions(explorer: Explorer) -> pd.DataFrame:
    """The AP of every query: a row per direction and query, a column per ranker; empty where nothing has labels.

    The explorer's gallery is the same afterwards as before.
    """
    bench = explorer.bench
    if bench.items.labels is None:
        return pd.DataFrame()
    before, parts = bench.gallery, []
    for gallery, direction in DIRECTIONS.items():
        bench.set("gallery", gallery)
        columns = {name: query_precisions(bench, ranker) for name, ranker in bench.rankers.items()}
        parts.append(pd.DataFrame({"direction": direction, "row": asked_queries(bench)} | columns))
    bench.set("gallery", before)
    return pd.concat(parts, ignore_index=True)


def table(explorer: Explorer, frame: pd.DataFrame) -> pd.DataFrame:
    """A line per direction and ranker on its queries: mean AP, the worst tenth, and the share that the first ranker answers
    better. For a collection without labels, how many images and texts it holds."""
    if frame.empty:
        counts = {kind: int(explorer.bench.items.has[kind].sum()) for kind in KINDS}
        return pd.DataFrame({"items": counts}).rename_axis("kind")
    first, *_ = names = list(explorer.bench.rankers)
    lines = {}
    for direction, part in frame.groupby("direction", sort=False):
        for name in names:
            worst = part[name].nsmallest(max(1, len(part) // 10))
            better = f"{(part[first] > part[name]).mean():.0%}" if name != first else ""
            lines[f"{direction}, {name}"] = {
                "mean AP": f"{part[name].mean():.3f}",
                "mean AP of its worst tenth": f"{worst.mean():.3f}",
                f"queries better answered {first}": better,
            }
    return pd.DataFrame(lines).T


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """A verdict per direction on the student with NPC answering the queries better: of these two students alone, over queries."""
    if frame.empty:
        return [Verdict("NPC helps", "not judged here", "a collection has no labels: look yourself")]
    claims = []
    for direction, part in frame.groupby("direction", sort=False):
        gaps = (part[WITH] - part[WITHOUT]).to_numpy()
        text = f"{direction}: the student with NPC answers more ({(gaps > 0).mean():.0%} of {len(gaps)} queries better)"
        claims.append(Claim(text, {(direction, "mAP@all"): paired_difference([gaps[None]])}))
    return decide(claims, single=True)


def figure(explorer: Explorer, frame: pd.DataFrame) -> plt.Figure:
    """The AP of every query without NPC against that with NPC, a panel per direction; without labels, bars of what there is."""
    if frame.empty:
        fig, axis = plt.subplots(figsize=(4, 2.4))
        axis.bar(list(KINDS), table(explorer, frame)["items"], color=plots.colors()[0])
        axis.set_ylabel("items")
        return fig
    fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.6), sharex=True, sharey=True)
    for axis, (direction, part) in zip(axes, frame.groupby("direction", sort=False), strict=True):
        better = part[WITH] > part[WITHOUT]
        for i, (side, label) in enumerate(((better, "better with NPC"), (~better, "better without"))):
            axis.plot(
                part[WITHOUT][side], part[WITH][side], "ox"[i], color=plots.colors()[i], markersize=3, label=label
            )
        top = float(np.nanmax(part[[WITH, WITHOUT]]))
        axis.plot([0, top], [0, top], ":", color="0.4")
        axis.set(xlabel=f"AP {WITHOUT}", title=f"{direction}: a mark per query")
    axes[0].set_ylabel(f"AP {WITH}")
    axes[0].legend(fontsize=8)
    fig.tight_layout()
    return fig


def worst_queries(explorer: Explorer, number: int = 6) -> list[int]:
    """Rows of the queries of the shown gallery's direction with the lowest AP on the left; of a collection, its first items."""
    if explorer.bench.items.labels is None:
        return explorer.bench.items.gallery(explorer.gallery)[:number].tolist()
    values = query_precisions(explorer.bench, explorer.bench.rankers[explorer.left])
    return asked_queries(explorer.bench)[np.argsort(values, kind="stable")[:number]].tolist()

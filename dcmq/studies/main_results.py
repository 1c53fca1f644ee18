"""Table 1 and Fig. 5: all methods at several code lengths, their curves, and what the metric alone can do."""

from collections.abc import Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import PlannedRun, Variant, method_variants
from dcmq.experiments.study import Methods, TrainingStudy, register_study
from dcmq.methods.base import CONTROL
from dcmq.methods.registry import METHODS
from dcmq.reporting.metric_question import COMPARED, OWN
from dcmq.reporting.plots import line_styles
from dcmq.reporting.results import METRICS, WHERE, paper_table, select
from dcmq.reporting.verdicts import Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.galleries import WHOLE, judged_gallery

REFERENCE = "teacher-labels"  # the control that shows what the teacher can do without a student


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``methods``, ``controls`` and ``bits`` are comma-separated lists."""

    notebook: ClassVar[str] = "main_results"
    item: ClassVar[str] = "Table 1, Fig. 5"
    title: ClassVar[str] = "Main results"
    claim: ClassVar[str] = "DCMQ leads every compared method at 32, 64 and 128 bits in both directions."

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: str = "32,64,128"
    methods: Methods = "DCMQ,DCMQ-multihot,DCMQ-identity,PQ,OPQ,DCMH,SSAH,CMHH,CMMQ,DCH-SCR"
    controls: Methods = "teacher-labels,teacher-OPQ-labels,teacher-OPQ-captions,teacher-OPQ-tags,teacher-signs-tags"
    curve_bits: int = 64

    def variants(self) -> list[Variant]:
        """The methods and the controls asked for."""
        return method_variants(",".join(filter(None, [self.methods, self.controls])))

    def curve_runs(self, plan: Sequence[PlannedRun], records: Sequence[dict]) -> tuple[list[PlannedRun], list[dict]]:
        """The runs, with their records, whose curves are drawn: those of ``methods`` at ``curve_bits``, and of the teacher.

        Raises:
            DcmqError: ``curve_bits`` is none of ``bits``.
        """
        names = {variant.name for variant in method_variants(self.methods)} | {REFERENCE}
        pairs = [
            (run, record)
            for run, record in zip(plan, records, strict=True)
            if run.tags["bits"] == self.curve_bits and run.variant in names
        ]
        if not pairs:
            raise DcmqError(f"curve_bits: {self.curve_bits} is none of the bits {self.bits}")
        return [run for run, _ in pairs], [record for _, record in pairs]


def paper() -> pd.DataFrame:
    """The paper's Table 1."""
    return paper_table(1, {name: name for name in (*COMPARED, *OWN)})


def methods_table(names: Sequence[str]) -> pd.DataFrame:
    """A row per method: its source, how faithful it is, what it reads of a text, what is uncertain."""
    rows = [METHODS[name] for name in names]
    return pd.DataFrame(
        {
            row.name: {"after": row.reference, "is": row.fidelity, "reads": row.text_input, "note": row.note}
            for row in rows
        }
    ).T


def sizes_table(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """Bytes per item at each code length, numbers learnt, and seconds of training: a row per method."""
    rows: dict[str, dict] = {}
    for run, record in zip(plan, records, strict=True):
        row = rows.setdefault(run.variant, {"bytes": {}, "learnt": set(), "seconds": []})
        row["bytes"][run.tags["bits"]] = record["bytes_per_item"]
        row["learnt"].add(record["student_parameters"])
        row["seconds"].append(record["training_seconds"])
    return pd.DataFrame(
        {
            name: {
                "bytes per item": ", ".join(f"{b:g}" for b in dict.fromkeys(row["bytes"].values())),
                "million numbers learnt": f"{max(row['learnt']) / 1e6:.2f}",
                "s of training": f"{np.mean(row['seconds']):.1f}",
            }
            for name, row in rows.items()
        }
    ).T


def verdicts(frame: pd.DataFrame, bits: int, floor: float = 0.0) -> list[Verdict]:
    """DCMQ against every compared method at each length, the best of them named; against every other row at ``bits``; and long
    against short codes.

    The best one is chosen by its mean over both directions and metrics on the same results, so that it is best by luck too: that
    makes the claim against it a little too hard.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    lengths, claims = sorted(frame.bits.unique()), []
    names = list(dict.fromkeys(frame.variant))
    if "DCMQ" not in names:
        return []
    rivals = [name for name in COMPARED if name in names]
    for length in lengths:
        means = select(frame, METRICS, bits=length).groupby("variant").value.mean()
        best = max(rivals, key=lambda name: means[name], default="")  # noqa: B023
        for name in rivals:
            text = f"{length} bits, DCMQ > {name}" + (", the best compared method by its mean" if name == best else "")
            claims.append(claim(frame, "DCMQ", name, text, floor=floor, bits=length))
    for name in names:
        if name not in ("DCMQ", *rivals):
            text = f"{bits} bits, DCMQ > {name}{_kind(name)}"
            claims.append(claim(frame, "DCMQ", name, text, floor=floor, bits=bits))
    if len(lengths) > 1:
        text = f"DCMQ, {lengths[-1]} bits > {lengths[0]} bits"
        claims.append(claim(frame, lengths[-1], lengths[0], text, by="bits", floor=floor, variant="DCMQ"))
    return decide(claims)


def _kind(name: str) -> str:
    return " (a control, no claim of the paper)" if METHODS[name].fidelity == CONTROL else ""


def precision_recall_figure(plan: Sequence[PlannedRun], records: Sequence[dict]) -> plt.Figure:
    """A column per direction, precision against recall: above by rank, interpolated, for all, on the judged gallery; below by
    Hamming radius, for hash methods, on the whole gallery, from a recall of .01 on: the few items within the smallest radii say
    little."""
    fig, axes = plt.subplots(2, 2, figsize=(10.5, 6.8), sharex=True, sharey="row")
    styles = line_styles(list(dict.fromkeys(run.variant for run in plan)), REFERENCE)
    for column, direction in enumerate(DIRECTIONS):
        for name, style in styles.items():
            seeds = [
                record["evaluation"][direction]
                for run, record in zip(plan, records, strict=True)
                if run.variant == name
            ]
            gallery = judged_gallery(seeds[0])
            levels = pd.DataFrame([part[gallery]["interpolated precision at recall"] for part in seeds])
            axes[0, column].plot([float(level) for level in levels.columns], levels.mean(), label=name, **style)
            if "by Hamming radius" in seeds[0][WHOLE]:
                pairs = {
                    k: np.mean([part[WHOLE]["by Hamming radius"][k] for part in seeds], 0)
                    for k in ("recall", "precision")
                }
                some = pairs["recall"] >= 0.01
                axes[1, column].plot(pairs["recall"][some], pairs["precision"][some], markevery=0.1, **style)
        axes[0, column].set_title(
            "image query, gallery of texts" if direction == "i2t" else "text query, gallery of images", fontsize=9
        )
        axes[1, column].set_xlabel("recall")
    axes[0, 0].set_ylabel(f"interpolated precision, by rank,\n{WHERE[gallery]}", fontsize=9)
    axes[1, 0].set_ylabel(f"precision within a Hamming radius,\n{WHERE[WHOLE]}", fontsize=9)
    axes[0, 1].legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.02, 1))
    fig.tight_layout()
    return fig

"""What in NPC helps: its stretch, its lifted pairs, or the temperature that a stretch amounts to."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
import torch
from pydantic import Field, field_validator
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.methods.dcmq.targets import affine, lifted, npc
from dcmq.reporting import plots
from dcmq.reporting.verdicts import HOLDS, IN_PART, REVERSED, TIE, Verdict, claim, decide
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.teachers.texts import text_vectors
from dcmq.training.batches import epoch_batches
from dcmq.training.seeds import random_stream

RAW, LIFTED, STRETCHED, NPC = "raw", "lifted pair alone", "stretch alone", "NPC"
MATCHED = "raw at NPC's temperature"
TUNED, TUNED_ROW = "raw, settings chosen for it", "DCMQ-raw"
TARGETS = {RAW: "raw", LIFTED: "lifted", STRETCHED: "affine", NPC: "npc"}  # a form: the registered target
FACTORS = "0.5,2"
_APART = 1.1  # times a temperature, from which on the next one's label has room beside its own
CLOSE = 0.05  # share by which a given slope may differ from the computed one
QUESTION = f"{NPC} > {MATCHED}"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook. ``slope`` is computed from training pairs, see :func:`with_slope`."""

    notebook: ClassVar[str] = "npc_parts"
    item: ClassVar[str] = "Alg. 1"
    title: ClassVar[str] = "What in NPC helps?"
    claim: ClassVar[str] = (
        "The teacher's similarities have to be stretched, and own pairs lifted, before a student can learn from them; the paper "
        "measures the two together, at one temperature."
    )

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)
    slope: float = Field(6.93, ge=0)
    factors: str = FACTORS

    @field_validator("factors")
    @classmethod
    def _above_zero(cls, factors: str) -> str:
        if any(factor <= 0 or factor == 1 for factor in comma_list(factors, float)):
            raise DcmqError("factors: each is a positive number other than 1, such as 0.5 or 2")
        return factors

    @property
    def tau(self) -> float:
        """The temperature of the logits in all rows, and of the target where a row has none of its own: that of DCMQ's row."""
        return self.config().tau

    @property
    def matching(self) -> float:
        """The temperature at which the raw similarities make NPC's target, lifted pairs and spread of slopes aside: tau / slope.

        Raises:
            DcmqError: the slope is still to be computed.
        """
        if not self.slope:
            raise DcmqError("slope: 0 is to be computed first, by with_slope of dcmq.studies.npc_parts")
        return float(f"{self.tau / self.slope:.4g}")

    def runs(self) -> list[PlannedRun]:
        """Each form as it is, with the temperature of the logits; raw at NPC's temperature; raw and NPC at ``factors`` times that
        temperature; all with DCMQ's settings; and raw with those that were chosen for it. Tags of a run: its form, and the
        temperature at which raw would make the same target, lifted pairs aside."""
        factors = comma_list(self.factors, float)
        rows = [
            (RAW, RAW, None, self.tau),
            (LIFTED, LIFTED, None, self.tau),
            (STRETCHED, STRETCHED, None, self.matching),
            (NPC, NPC, None, self.matching),
            (MATCHED, RAW, self.matching, self.matching),
            *((_swept(RAW, f), RAW, f * self.matching, f * self.matching) for f in factors),
            *((_swept(NPC, f), NPC, f * self.tau, f * self.matching) for f in factors),
        ]
        named = [
            (Variant(name, {"target": TARGETS[form], "tau_target": own, "npc_scope": "batch"}), form, temperature)
            for name, form, own, temperature in rows
        ]
        tuned = Variant(TUNED, {"target": TARGETS[RAW], "tau_target": None}, row=TUNED_ROW)
        named.append((tuned, TUNED, self.config(row=TUNED_ROW).tau))
        return [
            self.run(variant, self.bits, seed, form=form, temperature=float(f"{temperature:.4g}"))
            for variant, form, temperature in named
            for seed in self.seed_list
        ]


def _swept(form: str, factor: float) -> str:
    return f"{form} at {factor:g} x the temperature"


def similarities(p: Parameters, data: RetrievalDataset, teacher: TeacherEmbeddings) -> list[Tensor]:
    """The teacher's (b, b) float64 cosines of images and texts in each batch of the first epoch, as training draws them."""
    config = p.config(seed=p.seed_list[0])
    text = text_vectors(teacher, data, config.teacher_text)
    order = random_stream(config.seed, 0, 0)
    batches = epoch_batches(data.split.train, config.batch_size, order)
    return [teacher.image[rows].double() @ text[rows].double().T for rows in batches]


def slopes(batches: Sequence[Tensor]) -> Tensor:
    """For each batch of similarities the slope of NPC's line, 2 / (highest - lowest), float64.

    Raises:
        DcmqError: a batch whose similarities are all equal, which no line stretches.
    """
    spans = torch.stack([batch.max() - batch.min() for batch in batches])
    if (spans <= 0).any():
        raise DcmqError("teacher: all similarities of a batch are equal, so NPC has no slope there")
    return 2 / spans


def with_slope(p: Parameters, batches: Sequence[Tensor]) -> Parameters:
    """``p`` with the mean slope of ``batches``, three digits, where its own is 0; else ``p`` as it is.

    Raises:
        DcmqError: the given slope is not the computed one, by more than a share of :data:`CLOSE`.
    """
    computed = float(f"{slopes(batches).mean().item():.3g}")
    if not p.slope:
        return p.model_copy(update={"slope": computed})
    if abs(p.slope / computed - 1) > CLOSE:
        raise DcmqError(f"slope: NPC's lines have a mean slope of {computed:g} here, not {p.slope:g}; give that, or 0")
    return p


def slopes_text(p: Parameters, batches: Sequence[Tensor]) -> str:
    """A line on the slopes, and the temperature that they amount to."""
    found = slopes(batches)
    return (
        f"slopes of {len(found)} batches: {found.min():.2f} to {found.max():.2f}, mean {found.mean():.2f}; "
        f"tau {p.tau:g} / slope {p.slope:g} = {p.matching:.4f}, NPC's temperature"
    )


def batch_targets(p: Parameters, similarity: Tensor) -> dict[str, Tensor]:
    """The distributions over texts, (b, b) rows images, that the forms teach of one batch; raw also at NPC's temperature, and at
    the one of this batch alone."""
    own = p.tau / slopes([similarity])[0]
    scaled = {
        RAW: similarity / p.tau,
        LIFTED: lifted(similarity) / p.tau,
        "raw at this batch's own temperature": similarity / own,
        MATCHED: similarity / p.matching,
        STRETCHED: affine(similarity) / p.tau,
        NPC: npc(similarity) / p.tau,
    }
    return {name: torch.softmax(values, 1) for name, values in scaled.items()}


def batch_table(targets: dict[str, Tensor]) -> pd.DataFrame:
    """A row per form: what its target gives to the own pair, over how many texts it spreads (the exponential of its entropy), and
    what share of it would have to be moved to get the stretch's, all means over the rows of the batch."""
    rows = {}
    for name, target in targets.items():
        entropy = torch.special.entr(target).sum(1)
        moved = (target - targets[STRETCHED]).abs().sum(1) / 2
        rows[name] = {
            "own pair has": f"{target.diagonal().mean():.3f}",
            "texts in a target": f"{entropy.exp().mean():.1f}",
            "moved from the stretch's": f"{moved.mean():.3f}",
        }
    return pd.DataFrame(rows).T


def with_temperatures(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """``table``, a row per variant, with the temperature at which raw would make the same target as its first column; rows of
    other names, as floors are, have none."""
    if table.empty:
        return table
    temperatures = frame.drop_duplicates("variant").set_index("variant").temperature
    cells = [f"{temperatures[name]:.4f}" if name in temperatures else "" for name in table.index]
    return table.assign(temperature=cells)[["temperature", *table]]


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """NPC against raw at its temperature and at the swept ones, and what each part adds.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    pairs = {
        QUESTION: (NPC, MATCHED),
        f"{STRETCHED} > {RAW}": (STRETCHED, RAW),
        f"{LIFTED} > {RAW}": (LIFTED, RAW),
        f"{NPC} > {TUNED}": (NPC, TUNED),
        f"{MATCHED} > {RAW}": (MATCHED, RAW),
        f"{NPC} > {STRETCHED} (what the lifted pair adds)": (NPC, STRETCHED),
        f"{STRETCHED} > {MATCHED} (what a slope for each batch adds)": (STRETCHED, MATCHED),
    }
    swept = [name for name in dict.fromkeys(frame.variant) if name.startswith(f"{RAW} at ") and name != MATCHED]
    pairs |= {f"{NPC} > {name}": (NPC, name) for name in swept}
    return decide([claim(frame, *pair, text, floor=floor) for text, pair in pairs.items()])


def conclusion(found: Sequence[Verdict]) -> str:
    """The sentences that the verdicts on :data:`QUESTION` and on raw at the swept temperatures allow."""
    (verdict,) = [verdict for verdict in found if verdict.claim == QUESTION]
    sentences = {
        TIE: "NPC and the raw similarities at its temperature are a tie: whatever NPC gains here, a colder target alone gains too.",
        HOLDS: "NPC is above the raw similarities at its temperature: here it is more than a temperature.",
        IN_PART: "NPC is above the raw similarities at its temperature in some directions or metrics and in none below.",
        REVERSED: "The raw similarities at NPC's temperature are above NPC somewhere: there, the temperature alone is better.",
    }
    text = sentences.get(
        verdict.word, f"Whether NPC is more than a temperature is not known from these runs ({verdict.word})."
    )
    better = [
        v.claim.removeprefix(f"{NPC} > ") for v in found if v.word == REVERSED and f"{NPC} > {RAW} at " in v.claim
    ]
    better = [name for name in better if name != MATCHED]
    return text + "".join(f" And {name} is above NPC somewhere." for name in better)


def legible(temperatures: Iterable[float]) -> list[float]:
    """The distinct values, rising, without those so little above the one before that their labels would lie over each other."""
    kept: list[float] = []
    for value in sorted({*temperatures}):
        if not kept or value >= _APART * kept[-1]:
            kept.append(value)
    return kept


def figure(frame: pd.DataFrame, metric: str, label: str, matching: float) -> plt.Figure:
    """mAP over the target's temperature, as raw would have it: a line for raw and one for NPC, a mark for each other row; the mean of
    both directions, with sd over seeds as bars. The dotted line is NPC's own temperature."""
    fig, axis = plt.subplots(figsize=(7.2, 4))
    plots.lines(axis, frame, "temperature", metric, f"{label}, axis not from 0", by="form")
    axis.axvline(matching, color="0.35", linestyle=":", linewidth=1.2, zorder=1)
    ticks = legible(frame[frame.form != TUNED].temperature)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:.3f}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("temperature at which raw similarities make the same target")
    axis.set_title("mean of both directions ± sd over seeds", fontsize=9)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
    fig.tight_layout()
    return fig

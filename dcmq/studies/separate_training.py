"""Table 8: encoders and codebooks trained together, or one after the other."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table
from dcmq.reporting.verdicts import Verdict, compare, seed_means

JOINT, SEPARATE = "joint", "separate"


class Parameters(TrainingStudy):
    """What the notebook may be asked."""

    notebook: ClassVar[str] = "separate_training"
    item: ClassVar[str] = "Table 8"
    title: ClassVar[str] = "Train codebooks with the encoders, or afterwards?"
    claim: ClassVar[str] = (
        "Joint training beats training the encoders first and the codebooks afterwards, by .006 to .009."
    )

    bits: int = Field(gt=0)

    def variants(self) -> list[Variant]:
        """Both schedules; separate training takes the epochs twice, once for each part."""
        return [Variant(JOINT, {"schedule": "joint"}), Variant(SEPARATE, {"schedule": "separate"})]


def paper() -> pd.DataFrame:
    """The paper's Table 8, 64 bits."""
    return paper_table(8, {"joint": JOINT, "separate": SEPARATE})


def verdicts(frame: pd.DataFrame, metric: str) -> list[Verdict]:
    """Joint against separate, quantised; and whether the separate encoders were better before quantising."""
    return [
        compare(seed_means(frame, metric), JOINT, SEPARATE),
        compare(seed_means(frame, metric, gallery="continuous"), SEPARATE, JOINT, "not quantised, separate > joint"),
    ]


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """Quantised and not quantised, a mark per seed and direction."""
    both = frame[(frame.metric == metric) & frame.gallery.isin(["gallery", "continuous"])]
    named = both.assign(variant=both.variant + both.gallery.map({"gallery": " quantised", "continuous": " continuous"}))
    drawn, axis = plt.subplots(figsize=(6.4, 3.6))
    plots.dots(axis, named.sort_values("gallery", ascending=False, kind="stable"), label)
    drawn.tight_layout()
    return drawn

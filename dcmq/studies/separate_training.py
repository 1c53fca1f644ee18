"""Table 8: encoders and codebooks trained together, or one after the other."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table
from dcmq.reporting.verdicts import Verdict, claim, decide

JOINT, SEPARATE = "joint", "separate"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook."""

    notebook: ClassVar[str] = "separate_training"
    item: ClassVar[str] = "Table 8"
    title: ClassVar[str] = "Train codebooks with the encoders, or afterwards?"
    claim: ClassVar[str] = (
        "Joint training beats training the encoders first and the codebooks afterwards, by .006 to .009."
    )

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)

    def variants(self) -> list[Variant]:
        """Both schedules; separate training takes the epochs twice, once for each part."""
        return [Variant(JOINT, {"schedule": "joint"}), Variant(SEPARATE, {"schedule": "separate"})]


def paper() -> pd.DataFrame:
    """The paper's Table 8, 64 bits."""
    return paper_table(8, {"joint": JOINT, "separate": SEPARATE})


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Joint against separate training, quantized; and separate against joint, not quantized.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    text = "not quantized, separate > joint"
    return decide(
        [claim(frame, JOINT, SEPARATE, floor=floor), claim(frame, SEPARATE, JOINT, text, gallery="continuous")]
    )


def figure(frame: pd.DataFrame, metric: str, label: str) -> plt.Figure:
    """A mark per seed and direction for each way of training, quantized and not quantized, on the whole gallery."""
    both = frame[(frame.metric == metric) & frame.gallery.isin(["gallery", "continuous"])]
    named = both.assign(variant=both.variant + both.gallery.map({"gallery": " quantized", "continuous": " continuous"}))
    fig, axis = plt.subplots(figsize=(6.4, 3.6))
    plots.dots(axis, named.sort_values("gallery", ascending=False, kind="stable"), label)
    fig.tight_layout()
    return fig

"""Table 9: a dual encoder fine-tuned itself with labels and product quantization, against a small distilled student."""

from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table
from dcmq.reporting.verdicts import Verdict, claim, decide

STUDENT, TUNED = "DCMQ student", "fine-tuned dual encoder"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook."""

    notebook: ClassVar[str] = "teacher_finetuning"
    item: ClassVar[str] = "Table 9"
    title: ClassVar[str] = "Why not fine-tune the teacher itself?"
    claim: ClassVar[str] = "A small distilled student beats CLIP-RN50 fine-tuned directly with supervised PQ."

    bits: int = Field(64, gt=0)
    dual_encoder: str = "small_clip"
    dual_weights: str = "clip"
    dual_image_size: int = Field(64, gt=0)
    backbone_lr_factor: float = Field(0.1, gt=0)

    def variants(self) -> list[Variant]:
        """The student reads bags of words; the dual encoder reads the same tags as text, and learns from labels."""
        tuned = dict(
            target="multihot",
            image_encoder=self.dual_encoder,
            backbone_weights=self.dual_weights,
            image_size=self.dual_image_size,
            text_encoder=self.dual_encoder,
            text_weights=self.dual_weights,
            text_input="tags",
            backbone_lr_factor=self.backbone_lr_factor,
        )
        return [Variant(STUDENT, {"target": "npc"}), Variant(TUNED, tuned)]


def paper() -> pd.DataFrame:
    """The paper's Table 9, 64 bits."""
    return paper_table(9, {"DCMQ-RN18": "DCMQ-RN18", "CLIP-RN50-finetuned": "CLIP-RN50 fine-tuned"})


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """The student against the fine-tuned dual encoder.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    return decide([claim(frame, STUDENT, TUNED, floor=floor)])


def figure(frame: pd.DataFrame, metrics) -> plt.Figure:
    """A panel per metric: a mark per seed and direction."""
    return plots.dots_figure(frame, metrics)

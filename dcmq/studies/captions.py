"""Fig. 7 and 8: raw captions as the student's text, read by a transformer."""

from typing import ClassVar

import pandas as pd
from pydantic import Field

from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting.verdicts import Verdict, claim, decide

NPC, IDENTITY = "DCMQ (teacher with NPC)", "identity"


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook."""

    notebook: ClassVar[str] = "captions"
    item: ClassVar[str] = "Fig. 7, 8"
    title: ClassVar[str] = "Do captions, read by a transformer, change the result?"
    claim: ClassVar[str] = (
        "With raw captions and CLIP's text transformer as the student's, DCMQ still beats the identity target."
    )

    bits: int = Field(64, gt=0)
    text_encoder: str = "small_clip"
    text_weights: str = "clip"
    backbone_lr_factor: float = Field(0.1, gt=0)

    def variants(self) -> list[Variant]:
        """Both targets, with captions and with bags of words."""
        transformer = dict(
            text_encoder=self.text_encoder,
            text_weights=self.text_weights,
            text_input="caption",
            backbone_lr_factor=self.backbone_lr_factor,
        )
        return [
            Variant(f"captions: {NPC}", {"target": "npc"} | transformer),
            Variant(f"captions: {IDENTITY}", {"target": "identity"} | transformer, row="DCMQ-identity"),
            Variant(f"bag of words: {NPC}", {"target": "npc"}),
            Variant(f"bag of words: {IDENTITY}", {"target": "identity"}, row="DCMQ-identity"),
        ]


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """DCMQ against identity on captions, captions against bags of words, and DCMQ against identity on these.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    pairs = (
        (f"captions: {NPC}", f"captions: {IDENTITY}"),
        (f"captions: {NPC}", f"bag of words: {NPC}"),
        (f"bag of words: {NPC}", f"bag of words: {IDENTITY}"),
    )
    return decide([claim(frame, better, worse, floor=floor) for better, worse in pairs])

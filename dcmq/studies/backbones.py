"""Table 7: other image encoders as the student's."""

from collections.abc import Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from pydantic import Field

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import Variant, weights_label
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.results import paper_table
from dcmq.reporting.verdicts import Verdict, claim, decide

PAPER = ("AlexNet", "RN50", "DINO-RN50", "CLIP-RN50", "ViT-B32", "DeiT")
SIZES = {"small_clip": 64}  # pixels a side, where an encoder takes one size only


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``bits`` and ``backbones`` are comma-separated lists."""

    notebook: ClassVar[str] = "backbones"
    item: ClassVar[str] = "Table 7"
    title: ClassVar[str] = "How much does the student's image encoder matter?"
    claim: ClassVar[str] = (
        "Stronger image encoders make better students: DeiT and ViT-B32 lead on MS COCO, AlexNet is last but close on "
        "MIRFlickr."
    )

    bits: str = "64"
    backbones: str = "small_resnet,small_convnet,small_clip+clip"
    backbone_lr_factor: float = Field(0.1, gt=0)

    def variants(self) -> list[Variant]:
        """One student per entry of ``backbones``, NAME or NAME+WEIGHTS."""
        rows = []
        for entry in comma_list(self.backbones, str):
            name, plus, weights = entry.partition("+")
            if not name or (plus and not weights):
                raise DcmqError(f"backbones: {entry!r} is not NAME or NAME+WEIGHTS, e.g. resnet50+imagenet")
            settings = {"image_encoder": name, "backbone_weights": weights}
            settings |= {"image_size": SIZES[name]} if name in SIZES else {}
            settings |= {"backbone_lr_factor": self.backbone_lr_factor} if weights else {}
            rows.append(Variant(f"{name} ({weights_label(weights)})", settings))
        return rows


def paper(bits: Sequence[int] = (64,)) -> pd.DataFrame:
    """The paper's Table 7 at the code lengths ``bits``."""
    return paper_table(7, {name: name for name in PAPER}, bits)


def verdicts(frame: pd.DataFrame, floor: float = 0.0) -> list[Verdict]:
    """Every other encoder against the first one named, the mean of all code lengths.

    Args:
        floor: mAP@all that a row must be above to be judged; 0: none.
    """
    first, *others = dict.fromkeys(frame.variant)
    return decide([claim(frame, other, first, floor=floor) for other in others])


def figure(frame: pd.DataFrame, metrics) -> plt.Figure:
    """A panel per metric: a mark per seed, code length and direction for each encoder."""
    return plots.dots_figure(frame, metrics)

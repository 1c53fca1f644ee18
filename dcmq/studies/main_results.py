"""Table 1 and Fig. 5: methods at several code lengths, and their curves."""

from typing import ClassVar

import pandas as pd
from pydantic import field_validator

from dcmq.errors import DcmqError
from dcmq.notebook import comma_list
from dcmq.studies.base import Run, TrainingStudy, Variant
from dcmq.studies.results import Verdict, compare, paper_table, seed_means

METHODS = {  # name: what it changes in the settings
    "DCMQ": {"target": "npc"},
    "DCMQ-multihot": {"target": "multihot"},
    "DCMQ-identity": {"target": "identity"},
}
PAPER = ("PQ", "OPQ", "DCMH", "SSAH", "CMHH", "CMMQ", "DCH-SCR", "DCMQ(CLIP-ViT-B32)", "DCMQ(DeCLIP-ViT-B32)")


class Parameters(TrainingStudy):
    """What the notebook may be asked; ``methods`` and ``bits`` are comma-separated lists."""

    notebook: ClassVar[str] = "main_results"
    item: ClassVar[str] = "Table 1, Fig. 5"
    title: ClassVar[str] = "Main results"
    claim: ClassVar[str] = "DCMQ leads every compared method at 32, 64 and 128 bits in both directions."

    bits: str
    methods: str
    curve_bits: int

    @field_validator("methods")
    @classmethod
    def _known(cls, value: str) -> str:
        for name in comma_list(value, str):
            if name not in METHODS:
                raise DcmqError(f"methods: {name!r} is not registered (known: {', '.join(METHODS)})")
        return value

    def variants(self) -> list[Variant]:
        """The methods asked for."""
        return [Variant(name, METHODS[name]) for name in comma_list(self.methods, str)]

    def curve_plan(self) -> list[Run]:
        """The runs behind the curves: those at ``curve_bits``."""
        chosen = [run for run in self.plan() if run.tags["bits"] == self.curve_bits]
        if not chosen:
            raise DcmqError(f"curve_bits: {self.curve_bits} is none of the bits {self.bits}")
        return chosen


def paper() -> pd.DataFrame:
    """The paper's Table 1."""
    return paper_table(1, {name: name for name in PAPER})


def verdicts(frame: pd.DataFrame, metric: str) -> list[Verdict]:
    """DCMQ against every other method at each code length; and longer codes against shorter."""
    lengths = sorted(frame.bits.unique())
    found = []
    for bits in lengths:
        means = seed_means(frame, metric, bits=bits)
        others = [name for name in means if name != "DCMQ"]
        found += [compare(means, "DCMQ", other, f"{bits} bits, DCMQ > {other}") for other in others if "DCMQ" in means]
    own = frame[frame.variant == "DCMQ"]
    if len(own) and len(lengths) > 1:
        means = seed_means(own, metric, by="bits")
        found.append(compare(means, lengths[-1], lengths[0], f"DCMQ, {lengths[-1]} bits > {lengths[0]} bits"))
    return found

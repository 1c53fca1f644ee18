"""Whether a claim holds here, in words that follow from the numbers."""

import math
from dataclasses import dataclass

import pandas as pd

from dcmq.reporting.results import select


def seed_means(frame: pd.DataFrame, metric: str, by: str = "variant", gallery: str = "gallery", **tags) -> pd.DataFrame:
    """(seeds, variants): the mean of both directions, and of whatever else ``tags`` leave open."""
    chosen = select(frame, metric, gallery, **tags)
    order = list(dict.fromkeys(chosen[by]))
    return chosen.groupby(["seed", by], sort=False).value.mean().unstack(by)[order]


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds here. ``word``: holds, does not hold, a tie, one seed cannot tell, or not judged here."""

    claim: str
    word: str
    detail: str

    def __str__(self) -> str:
        return f"{self.claim}: {self.word} ({self.detail})"


def compare(means: pd.DataFrame, better: str, worse: str, claim: str = "") -> Verdict:
    """Whether ``better`` beats ``worse``: the mean difference over paired seeds, in units of its sd.

    Called a tie unless the difference exceeds two standard deviations of the paired differences.

    Args:
        means: as :func:`seed_means` gives them.
    """
    gaps = (means[better] - means[worse]).to_numpy()
    gap, sd = gaps.mean(), gaps.std(ddof=1) if len(gaps) > 1 else math.nan
    claim = claim or f"{better} > {worse}"
    if math.isnan(sd):
        return Verdict(claim, "one seed cannot tell", f"difference {gap:+.3f}")
    size = abs(gap) / sd if sd else math.inf
    word = "a tie" if size < 2 else "holds" if gap > 0 else "does not hold"
    return Verdict(claim, word, f"difference {gap:+.3f}, {size:.1f} sd of {len(gaps)} paired seeds")

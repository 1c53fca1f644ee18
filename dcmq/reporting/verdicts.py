"""Verdicts on claims, in words that follow from the numbers."""

import math
from dataclasses import dataclass

import pandas as pd

from dcmq.reporting.results import select


def seed_means(frame: pd.DataFrame, metric: str, by: str = "variant", gallery: str = "gallery", **tags) -> pd.DataFrame:
    """(seeds, variants): the mean of both directions, and of whatever else ``tags`` leave open."""
    rows = select(frame, metric, gallery, **tags)
    order = list(dict.fromkeys(rows[by]))
    return rows.groupby(["seed", by], sort=False).value.mean().unstack(by)[order]


@dataclass(frozen=True)
class Verdict:
    """A claim with what the numbers here say of it.

    Attributes:
        claim: a sentence or an inequality.
        word: ``holds``, ``does not hold``, ``a tie``, ``one seed cannot tell`` or ``not judged here``.
        detail: the numbers that it follows from.
    """

    claim: str
    word: str
    detail: str

    def __str__(self) -> str:
        return f"{self.claim}: {self.word} ({self.detail})"


def compare(means: pd.DataFrame, better: str, worse: str, claim: str = "") -> Verdict:
    """The verdict on ``better`` > ``worse``, from the differences of runs of the same seed.

    It is a tie unless the mean difference exceeds two standard deviations of these differences.

    Args:
        means: (seeds, variants), as :func:`seed_means` gives them.
        claim: in words, where ``better > worse`` is not clear.
    """
    gaps = (means[better] - means[worse]).to_numpy()
    gap, sd = gaps.mean(), gaps.std(ddof=1) if len(gaps) > 1 else math.nan
    claim = claim or f"{better} > {worse}"
    if math.isnan(sd):
        return Verdict(claim, "one seed cannot tell", f"difference {gap:+.3f}")
    size = abs(gap) / sd if sd else math.inf
    word = "a tie" if size < 2 else "holds" if gap > 0 else "does not hold"
    return Verdict(claim, word, f"difference {gap:+.3f}, {size:.1f} sd of {len(gaps)} paired seeds")

"""Verdicts on claims that one row is better than another: by direction and metric each for itself, in words that follow from numbers.

A part of a claim is one direction by one metric. Its p is corrected (Holm) over all parts of all claims of a table, so that a table
of many claims is wrong as seldom as one of a single claim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcmq.core.errors import DcmqError
from dcmq.reporting.results import METRICS, WHERE, judged, select
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.significance import Difference, holm, paired_difference

SURE = 0.05  # corrected p below which a difference is called one
MARGIN = 0.01  # of mAP: differences that are surely smaller are called a tie (ours)
HOLDS, REVERSED, TIE, UNDECIDED = "holds", "does not hold", "a tie", "undecided"
IN_PART, ONE_SEED, NOT_JUDGED = "holds in part", "one seed cannot tell", "not judged"


@dataclass(frozen=True)
class Claim:
    """A sentence, and by (direction, metric) the differences that it says are above 0.

    Attributes:
        where: the items that it is judged on, in words.
        failed: rows of it that did not learn; it is not judged then.
        margin: what is too small to matter.
    """

    text: str
    parts: dict[tuple[str, str], Difference]
    where: str = ""
    failed: tuple[str, ...] = ()
    margin: float = MARGIN


@dataclass(frozen=True)
class Part:
    """The outcome in one direction by one metric. ``p`` is corrected; NaN where it was not tested."""

    direction: str
    metric: str
    difference: Difference
    p: float
    word: str
    needed: int | None = None  # seeds that would decide

    def record(self) -> dict:
        """It as plain values for a report's record."""
        found = self.difference
        numbers = dict(mean=found.mean, low=found.low, high=found.high, p=found.p)
        numbers["adjusted p"] = self.p
        rounded = {name: round(value, 6) if math.isfinite(value) else None for name, value in numbers.items()}
        names = dict(direction=self.direction, metric=self.metric, word=self.word, units=found.units)
        return names | rounded | {"seeds to decide": self.needed}


@dataclass(frozen=True)
class Verdict:
    """A claim with what the numbers here say of it.

    Attributes:
        claim: a sentence or an inequality.
        word: for all parts together ``holds``, ``holds in part``, ``does not hold``, ``a tie``, ``undecided``,
            ``one seed cannot tell``, ``not judged`` or ``not judged here``.
        detail: the numbers that it follows from.
        parts: of a claim on differences, what each direction and metric says.
    """

    claim: str
    word: str
    detail: str
    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        return f"{self.claim}: {self.word} ({self.detail})"

    def record(self) -> dict:
        """It as plain values for a report's record."""
        return {
            "claim": self.claim,
            "word": self.word,
            "detail": self.detail,
            "parts": [p.record() for p in self.parts],
        }


def claim(
    frame: pd.DataFrame,
    better: str,
    worse: str,
    text: str = "",
    by: str = "variant",
    metrics: Sequence[str] = METRICS,
    gallery: str = "",
    floor: float = 0.0,
    **tags,
) -> Claim:
    """The claim that row ``better`` is above row ``worse``, from the runs of the same seed on the same data.

    Runs that ``tags`` leave open, such as those of several code lengths, are averaged first. Where records have the AP of queries, it
    is the queries' differences that are compared, else each run's mAP.

    Args:
        frame: as :func:`dcmq.reporting.results.results_frame` gives it.
        text: in words, where ``better > worse`` is not clear.
        by: the column that has ``better`` and ``worse``.
        gallery: "" for the judged one.
        floor: mAP@all that a row must be above, or it did not learn (:func:`did_not_learn`); 0: none.

    Raises:
        DcmqError: there are no two runs of one seed to compare.
    """
    gallery = gallery or judged(frame)
    rows = select(frame, metrics, gallery, **tags)
    parts = {}
    for direction in DIRECTIONS:
        for metric in dict.fromkeys(rows.metric):
            cells = _cells(rows[(rows.direction == direction) & (rows.metric == metric)], by, better, worse)
            parts[direction, metric] = paired_difference(cells)
    failed = did_not_learn(frame[frame[by].isin([better, worse])], floor, by, gallery, **tags) if floor else []
    return Claim(text or f"{better} > {worse}", parts, WHERE[gallery], tuple(map(str, failed)))


def scalar_claim(
    values: pd.DataFrame, better: str, worse: str, text: str, measure: str, margin: float = MARGIN
) -> Claim:
    """The claim that ``better`` has more of a number that each run has one of, such as an entropy.

    Args:
        values: (seeds, rows).
        measure: what the number is called.
        margin: what of it is too small to matter.
    """
    gaps = (values[better] - values[worse]).to_numpy(float)
    return Claim(text, {("", measure): paired_difference([gaps[:, None]])}, margin=margin)


def _cells(rows: pd.DataFrame, by: str, better: str, worse: str) -> list[np.ndarray]:
    """For each data set the (seeds, queries) differences of runs of one seed; one column where there is no AP of queries."""
    one, other = (_runs(rows[rows[by] == name]) for name in (better, worse))
    pairs = [key for key in one if key in other]
    if not pairs:
        raise DcmqError(f"{better} > {worse}: no two runs of one seed on the same data to compare")
    return [
        np.stack([one[key] - other[key] for key in pairs if key[0] == data])
        for data in dict.fromkeys(d for d, _ in pairs)
    ]


def _runs(rows: pd.DataFrame) -> dict[tuple, np.ndarray]:
    """The AP of queries, else the mAP alone, by (data, seed)."""
    data = rows["data"] if "data" in rows else pd.Series("", rows.index)
    known = "queries" in rows and all(isinstance(q, np.ndarray) for q in rows["queries"])
    values = rows["queries"] if known else [np.array([value]) for value in rows.value]
    runs: dict[tuple, list[np.ndarray]] = {}
    for key, value in zip(zip(data, rows.seed, strict=True), values, strict=True):
        runs.setdefault(key, []).append(value)
    return {key: np.mean(of_run, 0) for key, of_run in runs.items()}


def did_not_learn(frame: pd.DataFrame, floor: float, by: str = "variant", gallery: str = "", **tags) -> list[str]:
    """The rows whose mAP@all is not surely above ``floor``: in some direction the one-sided p over seeds is .05 or more.

    One seed alone must only be above it.

    Args:
        floor: mAP@all that a ranking reaches without reading the query (:func:`dcmq.retrieval.floors.query_blind_floor`).
    """
    names = []
    for (name, _), values in select(frame, "mAP@all", gallery, **tags).groupby([by, "direction"], sort=False).value:
        above = paired_difference([values.to_numpy()[:, None] - floor])
        sure = above.mean > 0 if math.isnan(above.error) else above.p_above(0) < SURE
        names += [] if sure else [name]
    return list(dict.fromkeys(names))


def decide(claims: Sequence[Claim], single: bool = False) -> list[Verdict]:
    """The verdicts on the claims of one table.

    A part ``holds``, or ``does not hold``, where its corrected p is below .05; it is ``a tie`` where the 90 % interval lies within
    the margin; else it is ``undecided``, with the number of seeds that would decide it. All parts together: ``holds`` where each
    does, ``does not hold`` where any is reversed, ``a tie`` where each is, ``holds in part`` where some hold, else ``undecided``.

    Args:
        single: True where the claims are about the students that were trained, one of each row, and no others: queries decide then.
    """
    tested = [
        (claim, name)
        for claim in claims
        if not claim.failed
        for name, d in claim.parts.items()
        if d.seeds > 1 or single
    ]
    p_values = [claim.parts[name].p for claim, name in tested]
    corrected = holm(p_values)
    parts = {}
    for (claim, (direction, metric)), p, adjusted in zip(tested, p_values, corrected, strict=True):
        found = claim.parts[direction, metric]
        word = _word(found, adjusted, claim.margin)
        steps = sum(other >= p for other in p_values)
        needed = found.seeds_to_decide(SURE / steps) if word == UNDECIDED else None
        needed = None if needed is None else max(needed, found.seeds + 1)
        parts.setdefault(id(claim), []).append(Part(direction, metric, found, adjusted, word, needed))
    return [_verdict(claim, tuple(parts.get(id(claim), ()))) for claim in claims]


def _word(found: Difference, p: float, margin: float) -> str:
    if p < SURE:
        return HOLDS if found.mean > 0 else REVERSED
    return TIE if found.within(margin) else UNDECIDED


def _verdict(claim: Claim, parts: tuple[Part, ...]) -> Verdict:
    if claim.failed:
        return Verdict(claim.text, NOT_JUDGED, f"{' and '.join(claim.failed)} did not learn")
    if not parts:
        parts = tuple(Part(*name, found, math.nan, ONE_SEED) for name, found in claim.parts.items())
        told = "; ".join(f"{_place(part)} {part.difference.mean:+.3f}" for part in parts)
        return Verdict(claim.text, ONE_SEED, told, parts)
    words = {part.word for part in parts}
    word = (
        REVERSED if REVERSED in words else words.pop() if len(words) == 1 else IN_PART if HOLDS in words else UNDECIDED
    )
    told = [
        f"{name} {_listed_parts([part for part in parts if part.word == kind])}"
        for kind, name in _IN_WORDS.items()
        if any(part.word == kind for part in parts)
    ]
    units = " and ".join(dict.fromkeys(part.difference.units for part in parts))
    return Verdict(claim.text, word, "; ".join([*told, *filter(None, [claim.where, units])]), parts)


_IN_WORDS = {
    HOLDS: "holds in",
    REVERSED: "reversed in",
    TIE: "a tie in",
    UNDECIDED: "undecided at this precision in",
}


def _place(part: Part) -> str:
    return f"{part.direction} by {part.metric}" if part.direction else part.metric


def _listed_parts(parts: Sequence[Part]) -> str:
    """The parts of one word with their numbers, by direction, and the seeds that would decide those that are undecided."""
    by_direction: dict[str, list[str]] = {}
    for part in parts:
        by_direction.setdefault(part.direction, []).append(f"{part.metric} {interval(part.difference)}")
    places = [(f"{d} by " if d else "") + " and ".join(numbers) for d, numbers in by_direction.items()]
    return ", ".join(places) + _needed([part for part in parts if part.word == UNDECIDED])


def _needed(parts: Sequence[Part]) -> str:
    if not parts or "alone" in parts[0].difference.units:
        return ""
    things = "draws" if "draws" in parts[0].difference.units else "seeds"
    if any(part.needed is None for part in parts):
        return f" (not even 1,000 {things} would decide {'it' if len(parts) == 1 else 'all'})"
    return f" ({max(part.needed for part in parts):,} {things} would decide)"


def interval(found: Difference) -> str:
    """The mean and its 95 % interval, like ``+.012 [.003, .021]``."""
    return f"{short(found.mean, '+')} [{short(found.low)}, {short(found.high)}]"


def short(value: float, sign: str = "") -> str:
    """Three decimals, the zero before the point left out; ``sign`` "+" writes it always."""
    text = f"{value:{sign}.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text

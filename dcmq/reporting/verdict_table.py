"""Verdicts as a table: by direction and metric each for itself, and together."""

from collections.abc import Sequence

import pandas as pd

from dcmq.reporting.results import metric_name
from dcmq.reporting.verdicts import NOT_JUDGED, ONE_SEED, Part, Verdict, interval, short


def verdict_table(verdicts: Sequence[Verdict], r: int = 0) -> pd.DataFrame:
    """The verdicts on differences as texts: a row per claim, a column per direction and metric, cells like
    ``+.012 [.003, .021] holds``, and in the last column the word for all of them together.

    Empty where no verdict has parts.

    Args:
        r: R of mAP@R (hits), to be written in its column's name.
    """
    if not any(verdict.parts for verdict in verdicts):
        return pd.DataFrame()
    rows = {}
    for verdict in verdicts:
        if verdict.parts:
            cells = {f"{part.direction} {metric_name(part.metric, r)}".strip(): _cell(part) for part in verdict.parts}
            rows[verdict.claim] = cells | {"together": verdict.word}
        elif verdict.word == NOT_JUDGED:
            rows[verdict.claim] = {"together": f"{NOT_JUDGED}: {verdict.detail}"}
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return table[[*(name for name in table if name != "together"), "together"]].rename_axis("claim")


def _cell(part: Part) -> str:
    found = part.difference
    return short(found.mean, "+") if part.word == ONE_SEED else f"{interval(found)} {part.word}"

"""Tests of whether the lead of one row over another is more than luck with queries."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dcmq.experiments.plan import PlannedRun
from dcmq.reporting.results import metric_name
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.significance import holm, paired_permutation_p

SUBJECT = "DCMQ"


def per_query(record: dict, direction: str, metric: str, r: int) -> np.ndarray:
    """(q,) AP of each query on the whole gallery, to a thousandth."""
    line = record["evaluation"][direction]["gallery"]["AP per query"][metric_name(metric, r)]
    return np.array(line.split(), float) / 1000


def significance(
    plan: Sequence[PlannedRun],
    records: Sequence[dict],
    metric: str,
    r: int,
    resamples: int = 9999,
    subject: str = SUBJECT,
) -> pd.DataFrame:
    """``subject`` against every other variant over queries: a row per variant, code length and direction.

    Columns: variant, bits, direction, difference (the subject's mean AP less the other's) and p. Before, AP is averaged over
    seeds per query; p is that of a two-sided paired sign-flip test, Holm-corrected over all variants and directions of a code
    length. Code lengths without a run of ``subject`` are left out.

    Args:
        r: R of mAP@R (hits).
        resamples: random draws of the signs.
    """
    rows = []
    for bits in dict.fromkeys(run.tags["bits"] for run in plan):
        means = _means(plan, records, bits, metric, r)
        if subject not in means:
            continue
        pairs = [(name, direction) for name in means if name != subject for direction in DIRECTIONS]
        gaps = [means[subject][direction] - means[name][direction] for name, direction in pairs]
        p_values = holm([paired_permutation_p(gap, resamples) for gap in gaps])
        rows += [
            {"variant": name, "bits": bits, "direction": direction, "difference": gap.mean(), "p": p}
            for (name, direction), gap, p in zip(pairs, gaps, p_values, strict=True)
        ]
    return pd.DataFrame(rows)


def _means(plan: Sequence[PlannedRun], records: Sequence[dict], bits: int, metric: str, r: int) -> dict[str, dict]:
    """(q,) AP per query, means over seeds, by variant and direction."""
    seeds: dict[str, list[dict]] = {}
    for run, record in zip(plan, records, strict=True):
        if run.tags["bits"] == bits:
            seeds.setdefault(run.variant, []).append(record)
    return {
        name: {d: np.mean([per_query(record, d, metric, r) for record in records], 0) for d in DIRECTIONS}
        for name, records in seeds.items()
    }


def significance_table(tests: pd.DataFrame) -> pd.DataFrame:
    """The differences as texts, with a star where p < .05: a row per method, a column per code length and direction."""
    cells = [f"{row.difference:+.3f}" + ("*" if row.p < 0.05 else "") for row in tests.itertuples()]
    columns = [f"{row.bits} bits {row.direction}" for row in tests.itertuples()]
    wide = tests.assign(cell=cells, column=columns).pivot(index="variant", columns="column", values="cell")
    wide = wide.loc[list(dict.fromkeys(tests.variant)), list(dict.fromkeys(columns))]
    return wide.rename_axis(None).rename_axis(None, axis=1)

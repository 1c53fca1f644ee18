"""Whether one method's lead over another is more than luck with queries."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from dcmq.experiments.plan import PlannedRun
from dcmq.reporting.results import metric_name
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.significance import _holm


def per_query(record: dict, direction: str, metric: str, r: int) -> np.ndarray:
    """(q,) AP of each query on the whole gallery, to a thousandth."""
    line = record["evaluation"][direction]["gallery"]["AP per query"][metric_name(metric, r)]
    return np.array(line.split(), float) / 1000


def significance(
    plan: Sequence[PlannedRun], records: Sequence[dict], metric: str, r: int, resamples: int = 9999
) -> pd.DataFrame:
    """DCMQ against every other method over queries: mean difference and p of a paired sign-flip test.

    Per query, the mean AP over seeds; two-sided; p is Holm-corrected over all methods and directions of a code length.
    """
    found = []
    for bits in dict.fromkeys(run.tags["bits"] for run in plan):
        means: dict[str, dict[str, list]] = {}
        for run, record in zip(plan, records, strict=True):
            if run.tags["bits"] == bits:
                for direction in DIRECTIONS:
                    queries = per_query(record, direction, metric, r)
                    means.setdefault(run.variant, {}).setdefault(direction, []).append(queries)
        if "DCMQ" not in means:
            continue
        rows = []
        for name in means:
            for direction in DIRECTIONS if name != "DCMQ" else ():
                gaps = np.mean(means["DCMQ"][direction], 0) - np.mean(means[name][direction], 0)
                test = permutation_test(
                    (gaps,),
                    lambda x, axis: x.mean(axis),
                    permutation_type="samples",
                    n_resamples=resamples,
                    vectorized=True,
                    rng=np.random.default_rng(0),
                )
                rows.append(
                    {"variant": name, "bits": bits, "direction": direction, "difference": gaps.mean(), "p": test.pvalue}
                )
        found += _holm(rows)
    return pd.DataFrame(found)


def significance_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Cells: difference, with a star where p < .05."""
    cells = [f"{row.difference:+.3f}" + ("*" if row.p < 0.05 else "") for row in tests.itertuples()]
    columns = [f"{row.bits} bits {row.direction}" for row in tests.itertuples()]
    shown = tests.assign(cell=cells, column=columns).pivot(index="variant", columns="column", values="cell")
    return (
        shown.loc[list(dict.fromkeys(tests.variant)), list(dict.fromkeys(columns))]
        .rename_axis(None)
        .rename_axis(None, axis=1)
    )

"""Differences over queries, from made-up records."""

import numpy as np
import pytest

from dcmq.experiments.plan import PlannedRun
from dcmq.reporting.significance import significance, significance_table


def record(values):
    line = " ".join(str(int(1000 * v)) for v in values)
    part = {"AP per query": {"mAP@all": line, "mAP@10 (hits)": line}}
    return {"evaluation": {d: {"gallery": part} for d in ("i2t", "t2i")}}


def planned(name, seed=0):
    return PlannedRun(name, None, "", {"bits": 64})


def test_a_paired_test_sees_what_every_query_agrees_on_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 60)
    rows = {"DCMQ": base + 0.05, "worse": base, "noise": base + 0.05 + rng.normal(0, 0.05, 60)}
    plan, records = [planned(n) for n in rows], [record(v) for v in rows.values()]
    tests = significance(plan, records, "mAP@all", 10, resamples=999).set_index(["variant", "direction"])
    assert tests.loc[("worse", "i2t"), "difference"] == pytest.approx(0.05, abs=2e-3)
    assert tests.loc[("worse", "i2t"), "p"] < 0.05 < tests.loc[("noise", "t2i"), "p"]
    cells = significance_table(tests.reset_index())
    assert cells.loc["worse", "64 bits i2t"].endswith("*") and not cells.loc["noise", "64 bits i2t"].endswith("*")


def test_seeds_are_averaged_within_a_query():
    up, down = np.full(40, 0.6), np.full(40, 0.4)
    plan = [planned("DCMQ"), planned("DCMQ"), planned("even")]
    tests = significance(plan, [record(up), record(down), record(np.full(40, 0.5))], "mAP@all", 10, resamples=99)
    assert tests.difference.abs().max() < 1e-9


def test_code_lengths_without_a_run_of_dcmq_are_left_out():
    assert significance([planned("even")], [record(np.full(4, 0.5))], "mAP@all", 10).empty

"""Intervals and p of paired differences: against loops, on simulated experiments, and by what must not matter."""

import math

import numpy as np
import pytest
from scipy import stats

from dcmq.core.errors import DcmqError
from dcmq.retrieval.significance import Difference, holm, paired_difference

TABLE = np.array([[0.10, 0.30, 0.20, 0.16], [0.05, 0.12, 0.22, 0.01], [0.21, 0.33, 0.26, 0.28]])


def loops(table):
    """Mean squares of seeds, of queries and of the rest, cell by cell."""
    seeds, queries = len(table), len(table[0])
    mean = sum(sum(row) for row in table) / (seeds * queries)
    rows = [sum(row) / queries for row in table]
    columns = [sum(row[q] for row in table) / seeds for q in range(queries)]
    rest = sum((table[s][q] - rows[s] - columns[q] + mean) ** 2 for s in range(seeds) for q in range(queries))
    return (
        queries * sum((r - mean) ** 2 for r in rows) / (seeds - 1),
        seeds * sum((c - mean) ** 2 for c in columns) / (queries - 1),
        rest / ((seeds - 1) * (queries - 1)),
    )


def test_seeds_and_queries_are_both_drawn():
    a, b, e = loops(TABLE.tolist())
    assert a > e and b > e
    found = paired_difference([TABLE])
    assert found.error == pytest.approx(math.sqrt((a + b - e) / 12))
    assert found.freedom == pytest.approx((a + b - e) ** 2 / (a**2 / 2 + b**2 / 3 + e**2 / 6))
    t = stats.t(found.freedom)
    assert found.p == pytest.approx(2 * t.sf(TABLE.mean() / found.error))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, found.freedom, TABLE.mean(), found.error))
    assert found.units == "3 seeds x 4 queries"


@pytest.mark.parametrize("turned", [TABLE - TABLE.mean(1, keepdims=True), TABLE - TABLE.mean(0)])
def test_an_effect_that_is_not_seen_lowers_no_error(turned):
    a, b, e = loops(turned.tolist())
    assert a + b - e < max(a, b)
    found = paired_difference([turned + 0.1])
    assert found.error == pytest.approx(math.sqrt(max(a, b) / 12))
    assert found.freedom == (2 if a > b else 3)


def test_data_sets_are_one_unit_each_whatever_they_hold():
    cells = [np.array([[0.1, 0.3]]), np.array([[0.0, 0.2, 0.1], [0.2, 0.4, 0.3]]), np.array([[0.05]])]
    found, means = paired_difference(cells), [0.2, 0.2, 0.05]
    expected = stats.ttest_1samp(means, 0)
    assert found.mean == pytest.approx(0.15) and found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))
    assert found.units == "3 draws of the data"


def test_a_number_per_seed_is_a_test_over_seeds():
    found = paired_difference([TABLE[:, :1]])
    assert found.p == pytest.approx(stats.ttest_1samp(TABLE[:, 0], 0).pvalue) and found.units == "3 seeds"


def test_one_seed_speaks_of_its_students_alone():
    found = paired_difference([TABLE[:1]])
    assert found.p == pytest.approx(stats.ttest_1samp(TABLE[0], 0).pvalue)
    assert "these two trained students alone" in found.units and found.seeds_to_decide() is None


def test_a_single_number_says_nothing_of_its_error():
    found = paired_difference([[[0.1]]])
    assert math.isnan(found.error) and math.isnan(found.p) and math.isnan(found.low)
    assert found.seeds_to_decide() is None and not found.within(1)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("sd_of_seeds", [0.0, 0.006, 0.03])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds, sd_of_seeds):
    rng, truth, experiments = np.random.default_rng(seeds), 0.02, 1500
    hits = 0
    for _ in range(experiments):
        table = (
            truth
            + rng.normal(0, sd_of_seeds, (seeds, 1))
            + rng.normal(0, 0.05, 100)
            + rng.normal(0, 0.05, (seeds, 100))
        )
        found = paired_difference([table])
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / experiments <= (1 if seeds == 2 else 0.98)


def test_the_order_of_seeds_and_queries_does_not_matter_and_units_go_with_the_numbers():
    found, turned = paired_difference([TABLE]), paired_difference([TABLE[[2, 0, 1]][:, [3, 1, 0, 2]]])
    assert (turned.mean, turned.error, turned.p) == pytest.approx((found.mean, found.error, found.p))
    scaled = paired_difference([-3 * TABLE])
    assert (scaled.low, scaled.high, scaled.p) == pytest.approx((-3 * found.high, -3 * found.low, found.p))
    moved = paired_difference([TABLE + 0.5])
    assert (moved.low, moved.high, moved.error) == pytest.approx((found.low + 0.5, found.high + 0.5, found.error))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cells", [[np.full((3, 4), 0.25)], [np.full((1, 4), 0.25)], [np.full((1, 4), 0.25)] * 3])
def test_what_never_varies_is_sure(cells):
    found = paired_difference(cells)
    assert (found.low, found.high, found.p) == (0.25, 0.25, 0)
    none = paired_difference([0 * part for part in cells])
    assert (none.low, none.high, none.p) == (0, 0, 1) and none.within(0)


def test_a_tie_is_a_narrow_interval():
    small = Difference(0.002, 0.003, 9, "10 draws", 9e-5, 0, 10, 1)
    assert small.interval(0.9)[1] == pytest.approx(0.002 + stats.t(9).ppf(0.95) * 0.003)
    assert small.within(0.01) and not small.within(0.005)
    assert small.p_above(0.01) == pytest.approx(stats.t(9).sf((0.002 - 0.01) / 0.003))


def test_the_seeds_that_would_decide_are_the_fewest():
    found = paired_difference([np.array([[0.02], [-0.01], [0.03], [0.0]])])
    needed, sd = found.seeds_to_decide(), np.std([0.02, -0.01, 0.03, 0.0], ddof=1)
    decides = [stats.t(n - 1).ppf(0.975) * sd / math.sqrt(n) < 0.01 for n in range(2, needed + 1)]
    assert decides == [False] * (needed - 2) + [True]
    assert found.seeds_to_decide(0.01) > needed


def test_no_number_of_seeds_decides_what_the_queries_leave_open():
    rng = np.random.default_rng(0)
    table = 0.001 + rng.normal(0, 0.2, 40) + rng.normal(0, 0.001, (4, 40))
    assert paired_difference([table]).seeds_to_decide() is None
    assert paired_difference([table * 0]).seeds_to_decide() is None


@pytest.mark.parametrize("cells", [[], [np.zeros((0, 3))], [np.array([[math.nan, 1.0]])], [np.zeros(3)]])
def test_what_is_no_table_is_refused(cells):
    with pytest.raises(DcmqError, match="finite numbers"):
        paired_difference(cells)


def test_holms_correction_keeps_the_order_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []

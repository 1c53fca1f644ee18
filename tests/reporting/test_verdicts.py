"""Claims and verdicts on made-up results: by direction and metric, over draws, or over seeds and queries."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from made_up_runs import QUERIES, records_of
from notebook_parameters import parameters
from scipy import stats

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import Variant
from dcmq.reporting.results import METRICS, results_frame
from dcmq.reporting.verdict_table import verdict_table
from dcmq.reporting.verdicts import MARGIN, Claim, claim, decide, did_not_learn, scalar_claim
from dcmq.retrieval.significance import Difference, holm

HITS, ALL = METRICS


def frame_of(levels, seeds=6, **changes):
    """Results of variants at ``levels``: of both directions, or of each."""
    study = parameters("ablation_npc", seeds=",".join(map(str, range(seeds))))
    plan = [study.run(Variant(name), 64, seed) for name in levels for seed in range(seeds)]

    def level(run, direction):
        value = levels[run.variant]
        return value[direction] if isinstance(value, dict) else value

    return results_frame(plan, records_of(plan, level, **changes))


def words(verdict):
    return {(part.direction, part.metric): part.word for part in verdict.parts}


def difference(mean, error=0.001, freedom=20):
    return Difference(mean, error, freedom, "21 seeds", 21 * error**2, 0, 21, 1)


def test_draws_of_the_data_are_paired_by_seed_and_are_the_units():
    frame = frame_of({"a": 0.55, "b": 0.5})
    part = claim(frame, "a", "b").parts["i2t", ALL]
    rows = frame[(frame.gallery == "unseen") & (frame.metric == ALL) & (frame.direction == "i2t")]
    by_seed = rows.pivot(index="seed", columns="variant", values="value")
    expected = stats.ttest_rel(by_seed.a, by_seed.b)
    assert part.units == "6 draws of the data"
    assert part.mean == pytest.approx((by_seed.a - by_seed.b).mean(), abs=5e-4)  # records have thousandths
    assert part.p == pytest.approx(expected.pvalue, rel=0.2) and part.low < 0.05 < part.high + 0.02


def test_on_one_data_set_seeds_and_queries_are():
    part = claim(frame_of({"a": 0.55, "b": 0.5}, seeds=3, same_data=True), "a", "b").parts["i2t", ALL]
    assert part.units == f"3 seeds x {QUERIES} queries"


def test_what_is_known_of_runs_alone_is_a_test_over_seeds():
    frame = frame_of({"a": 0.55, "b": 0.5}, seeds=3, same_data=True)
    made = claim(frame, "a", "b", gallery="continuous")
    assert made.parts["t2i", HITS].units == "3 seeds" and made.where == "the whole gallery, not quantized"
    without = frame.drop(columns=["data", "queries"])
    assert claim(without, "a", "b").parts["t2i", ALL].units == "3 seeds"


def test_verdicts_are_about_unseen_items_and_say_where_there_are_none():
    levels = {"a": 0.6, "b": 0.5}
    assert "; items not trained on; " in decide([claim(frame_of(levels), "a", "b")])[0].detail
    whole = decide([claim(frame_of(levels, unseen=False), "a", "b")])[0]
    assert whole.word == "holds" and "train inside the gallery" in whole.detail


@pytest.mark.parametrize("same_data", [True, False])
def test_each_direction_and_metric_has_its_word(same_data):
    frame = frame_of({"a": {"i2t": 0.6, "t2i": 0.4}, "b": 0.5}, same_data=same_data)
    verdict, other = decide([claim(frame, "a", "b"), claim(frame, "b", "a", "the other way")])
    assert words(verdict) == {
        (d, m): word for d, word in (("i2t", "holds"), ("t2i", "does not hold")) for m in (HITS, ALL)
    }
    assert verdict.word == other.word == "does not hold"
    assert (
        "reversed in t2i by mAP@R (hits) -.0" in verdict.detail
        or "reversed in t2i by mAP@R (hits) -.1" in verdict.detail
    )
    assert str(other).startswith("the other way: does not hold (holds in t2i by ")


@pytest.mark.parametrize(
    ("means", "word"),
    [
        ({"i2t": 0.05, "t2i": 0.05}, "holds"),
        ({"i2t": 0.05, "t2i": -0.05}, "does not hold"),
        ({"i2t": -0.05, "t2i": 0.0}, "does not hold"),
        ({"i2t": 0.05, "t2i": 0.0}, "holds in part"),
        ({"i2t": 0.0, "t2i": 0.0005}, "a tie"),
    ],
)
def test_the_word_for_all_parts_follows_from_theirs(means, word):
    made = Claim("x", {(d, ALL): difference(mean) for d, mean in means.items()})
    assert decide([made])[0].word == word


def test_what_is_neither_sure_nor_small_is_undecided_and_says_how_many_seeds_would_do():
    vague = difference(0.01, error=0.008)
    made = Claim("x", {("i2t", ALL): vague, ("t2i", ALL): difference(0.0)})
    (verdict,) = decide([made])
    assert verdict.word == "undecided"
    part = verdict.parts[0]
    assert part.word == "undecided" and part.needed == vague.seeds_to_decide(0.05 / 2)
    assert (
        f"undecided at this precision in i2t by mAP@all +.010 [-.007, .027] ({part.needed} seeds would decide)"
        in verdict.detail
    )
    assert "a tie in t2i by mAP@all" in verdict.detail


def test_p_is_corrected_over_all_parts_of_the_table():
    claims = [Claim(str(i), {(d, ALL): difference(0.0021, 0.001) for d in ("i2t", "t2i")}) for i in range(8)]
    p = claims[0].parts["i2t", ALL].p
    assert p < 0.05
    corrected = [part.p for verdict in decide(claims) for part in verdict.parts]
    assert corrected == pytest.approx(holm([p] * 16)) and min(corrected) > 0.05
    alone = decide([Claim("x", {("i2t", ALL): difference(0.0021, 0.001)})])[0]
    assert alone.word == "holds" and alone.parts[0].p == pytest.approx(p)


def test_a_tie_needs_evidence():
    near = {("i2t", ALL): difference(0.001, error=0.002)}
    assert decide([Claim("x", near)])[0].word == "a tie"
    assert decide([Claim("x", near, margin=0.002)])[0].word == "undecided"
    assert MARGIN == 0.01


def test_one_seed_cannot_tell_unless_the_claim_is_about_these_students():
    frame = frame_of({"a": 0.6, "b": 0.5}, seeds=1)
    (verdict,) = decide([claim(frame, "a", "b")])
    assert (
        verdict.word == "one seed cannot tell" and "nan" not in str(verdict) and "i2t by mAP@all +0." in verdict.detail
    )
    (verdict,) = decide([claim(frame, "a", "b")], single=True)
    assert verdict.word == "holds" and "these two trained students alone" in verdict.detail


def test_runs_that_are_left_open_are_averaged():
    study = parameters("ablation_npc", seeds="0,1,2")
    plan = [study.run(Variant(name), bits, seed) for name in "ab" for bits in (32, 64) for seed in range(3)]
    level = {("a", 32): 0.5, ("a", 64): 0.7, ("b", 32): 0.4, ("b", 64): 0.5}
    frame = results_frame(plan, records_of(plan, lambda run, _: level[run.variant, run.tags["bits"]], noise=0))
    assert claim(frame, "a", "b").parts["i2t", ALL].mean == pytest.approx(0.15, abs=2e-3)
    assert claim(frame, "a", "b", bits=64).parts["i2t", ALL].mean == pytest.approx(0.2, abs=2e-3)
    assert claim(frame, 64, 32, by="bits", variant="a").parts["t2i", ALL].mean == pytest.approx(0.2, abs=2e-3)


def test_two_metrics_that_are_one_number_are_one_part():
    frame = frame_of({"a": 0.6, "b": 0.5})
    same = frame.assign(value=frame.value.where(frame.metric == ALL, frame.value - 0.1))
    assert set(claim(same, "a", "b").parts) == {("i2t", ALL), ("t2i", ALL)}


def test_a_row_that_did_not_learn_counts_for_no_claim():
    frame = frame_of({"a": 0.6, "b": 0.5, "none": 0.3, "half": {"i2t": 0.5, "t2i": 0.3}})
    assert did_not_learn(frame, 0.32) == ["none", "half"]
    assert did_not_learn(frame, 0.1) == []
    claims = [claim(frame, "a", name, floor=0.32) for name in ("b", "none", "half")]
    verdicts = decide(claims)
    assert [v.word for v in verdicts] == ["holds", "not judged", "not judged"]
    assert verdicts[1].detail == "none did not learn" and not verdicts[1].parts
    assert verdicts[0].parts[0].p == pytest.approx(decide(claims[:1])[0].parts[0].p)
    assert did_not_learn(frame[frame.seed == 0], 0.32) == ["none", "half"]


def test_runs_that_do_not_meet_are_refused():
    frame = frame_of({"a": 0.6, "b": 0.5})
    apart = frame[(frame.variant == "a") ^ (frame.seed > 2)]
    with pytest.raises(DcmqError, match="a > b: no two runs of one seed"):
        claim(apart, "a", "b")


def test_a_number_per_run_is_judged_over_seeds():
    values = pd.DataFrame({"with": [0.9, 0.91, 0.92], "without": [0.5, 0.52, 0.51]})
    (verdict,) = decide([scalar_claim(values, "with", "without", "more entropy", "entropy")])
    assert verdict.word == "holds" and verdict.detail.startswith("holds in entropy +.400 [")


def test_the_table_has_a_row_per_claim_and_a_column_per_direction_and_metric():
    frame = frame_of({"a": 0.6, "b": 0.5, "none": 0.3})
    verdicts = decide([claim(frame, "a", "b"), claim(frame, "a", "none", floor=0.32)])
    table = verdict_table(verdicts, 5)
    assert table.columns.tolist() == ["i2t mAP@5 (hits)", "i2t mAP@all", "t2i mAP@5 (hits)", "t2i mAP@all", "together"]
    part = verdicts[0].parts[1]
    low, high = (f"{end:.3f}".replace("0.", ".", 1) for end in (part.difference.low, part.difference.high))
    assert table.loc["a > b", "i2t mAP@all"] == f"+{part.difference.mean:.3f} [{low}, {high}] holds".replace("+0", "+")
    assert table.loc["a > none"].tolist() == ["", "", "", "", "not judged: none did not learn"]
    assert verdict_table([]).empty


def test_a_record_keeps_the_parts_and_is_json():
    frame = frame_of({"a": 0.6, "b": 0.5}, seeds=1)
    kept = json.loads(json.dumps(decide([claim(frame, "a", "b")])[0].record(), allow_nan=False))
    assert kept["parts"][1]["metric"] == ALL and kept["parts"][1]["adjusted p"] is None
    many = decide([claim(frame_of({"a": 0.6, "b": 0.5}), "a", "b")])[0]
    part = many.record()["parts"][0]
    assert (part["direction"], part["word"], part["units"]) == ("i2t", "holds", "6 draws of the data")
    assert part["low"] < part["mean"] < part["high"] and part["p"] <= part["adjusted p"] < 0.05
    assert not math.isnan(many.parts[0].p) and np.isfinite(part["mean"])

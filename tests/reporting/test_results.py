"""Tables, means per seed and verdicts of made-up results."""

import pytest
from notebook_parameters import parameters

from dcmq.experiments.plan import Variant
from dcmq.reporting.results import curves_frame, paper_table, results_frame, select, table
from dcmq.reporting.verdicts import compare, seed_means


def record(value, **changes):
    metrics = {"mAP@500 (hits)": value, "mAP@all": value / 2, "precision@N": {"1": value}, "recall@N": {"1": 0.1}}
    return {"evaluation": {d: {"gallery": metrics, "continuous": metrics} for d in ("i2t", "t2i")}, **changes}


def made_up_results():
    study = parameters("ablation_npc", seeds="0,1")
    plan = [study.run(Variant(n), bits, seed) for n in "ab" for bits in (32, 64) for seed in (0, 1)]
    return plan, [record(0.1 * i) for i in range(len(plan))]


def test_tables_keep_the_order_of_the_plan_and_name_their_columns():
    frame = results_frame(*made_up_results())
    assert len(frame) == 8 * 2 * 2 * 2
    cells = table(select(frame, "mAP@R (hits)"), columns=["bits", "direction"])
    assert cells.index.tolist() == ["a", "b"]
    assert cells.columns.tolist() == ["32 bits i2t", "32 bits t2i", "64 bits i2t", "64 bits t2i"]
    assert cells.loc["a", "64 bits t2i"] == ".250 ± .071"
    named = table(select(frame, bits=32), r=500)
    assert named.columns.tolist() == ["mAP@500 (hits) i2t", "mAP@500 (hits) t2i", "mAP@all i2t", "mAP@all t2i"]


def test_comparisons_are_paired_by_seed():
    means = seed_means(results_frame(*made_up_results()), "mAP@R (hits)", bits=64)
    assert means.loc[0].tolist() == pytest.approx([0.2, 0.6]) and means.loc[1].tolist() == pytest.approx([0.3, 0.7])
    assert compare(means, "b", "a").word == "holds" and compare(means, "a", "b").word == "does not hold"


def test_curves_have_a_row_for_each_point():
    curves = curves_frame(*made_up_results())
    assert len(curves) == 8 * 2 * 2 and set(curves.curve) == {"precision@N", "recall@N"}


def test_the_papers_tables_are_found_under_our_names():
    assert paper_table(6, {"CLIP-RN50": "x"}).loc["x", "coco 8 bits i2t"] == "0.772"
    assert paper_table(7, {"DeiT": "DeiT"}, [64]).loc["DeiT", "coco i2t"] == "0.913"

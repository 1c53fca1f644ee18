"""Tables and means per seed of made-up results."""

import numpy as np
import pytest
from made_up_runs import records_of
from notebook_parameters import parameters

from dcmq.experiments.plan import Variant
from dcmq.reporting.results import (
    METRICS,
    curves_frame,
    judged,
    paper_table,
    protocol_rows,
    results_frame,
    seed_means,
    select,
    table,
    written,
)


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


@pytest.mark.parametrize("columns", [["metric", "direction"], ["bits", "metric", "direction"]])
def test_floors_stand_below_the_rows_by_metric_and_gallery(columns):
    frame, _ = unseen_and_whole()
    found = {
        name: {"gallery": {"mAP@5 (hits)": 0.1, "mAP@all": 0.2}, "unseen": {"mAP@5 (hits)": 0.3, "mAP@all": level}}
        for name, level in (("chance", 0.4), ("background", 0.45))
    }
    cells = table(select(frame), columns=columns, r=5, floors=found)
    assert cells.index.tolist() == ["a", "b", "floor: chance", "floor: background"]
    assert cells.loc["floor: chance"].tolist() == [".300", ".300", ".400", ".400"]
    assert cells.loc["floor: background"].tolist() == [".300", ".300", ".450", ".450"]
    whole = table(protocol_rows(frame), columns=columns, r=5, floors=found)
    assert whole.loc["floor: chance"].tolist() == [".100", ".100", ".200", ".200"]
    (one,) = table(select(frame, METRICS[0]), columns=["bits"], floors=found).loc["floor: chance"]
    assert one == ".300"


def test_comparisons_are_paired_by_seed():
    means = seed_means(results_frame(*made_up_results()), "mAP@R (hits)", bits=64)
    assert means.loc[0].tolist() == pytest.approx([0.2, 0.6]) and means.loc[1].tolist() == pytest.approx([0.3, 0.7])


def unseen_and_whole(**changes):
    study = parameters("ablation_npc", seeds="0,1")
    plan = [study.run(Variant(n), 64, seed) for n in "ab" for seed in (0, 1)]
    records = records_of(plan, **changes)
    return results_frame(plan, records), records


def test_unseen_items_come_first_and_the_papers_protocol_stands_beside_them():
    frame, _ = unseen_and_whole()
    assert judged(frame) == "unseen" and set(select(frame).gallery) == {"unseen"}
    assert set(protocol_rows(frame).gallery) == {"gallery"} and len(protocol_rows(frame)) == len(select(frame))
    whole, _ = unseen_and_whole(unseen=False)
    assert judged(whole) == "gallery" and set(select(whole).gallery) == {"gallery"} and protocol_rows(whole).empty


def test_the_queries_and_the_data_of_a_run_are_kept_for_verdicts_and_not_written():
    frame, records = unseen_and_whole()
    row = frame[(frame.gallery == "unseen") & (frame.metric == METRICS[0]) & (frame.direction == "t2i")].iloc[1]
    line = records[1]["evaluation"]["t2i"]["unseen"]["AP per query"]["mAP@5 (hits)"]
    assert row["data"] == "draw 1" and (1000 * row["queries"]).round().astype(int).tolist() == [
        int(n) for n in line.split()
    ]
    assert np.mean(row["queries"]) == pytest.approx(row.value, abs=5e-4)
    assert frame.loc[frame.gallery != "unseen", "queries"].isna().all()
    assert written(frame).columns.tolist() == ["variant", "seed", "bits", "direction", "gallery", "metric", "value"]


def test_a_number_is_shown_once_where_r_is_the_gallerys_size():
    frame, _ = unseen_and_whole()
    same = frame.assign(value=frame.value.where(frame.metric == METRICS[1], frame.value - 0.1))
    assert table(select(same), r=500).columns.tolist() == ["mAP@all i2t", "mAP@all t2i"]
    assert set(select(same, METRICS[0]).metric) == {METRICS[0]}


def test_curves_have_a_row_for_each_point():
    curves = curves_frame(*made_up_results())
    assert len(curves) == 8 * 2 * 2 and set(curves.curve) == {"precision@N", "recall@N"}


def test_the_papers_tables_are_found_under_our_names():
    assert paper_table(6, {"CLIP-RN50": "x"}).loc["x", "coco 8 bits i2t"] == "0.772"
    assert paper_table(7, {"DeiT": "DeiT"}, [64]).loc["DeiT", "coco i2t"] == "0.913"

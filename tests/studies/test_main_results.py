"""Table 1: the rows asked for, paired tests over queries, and what the metric alone does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults, validated
from dcmq.experiments.plan import PlannedRun
from dcmq.methods.registry import METHODS
from dcmq.reporting.metric_question import metric_paragraph, metric_table, published_lead
from dcmq.reporting.significance import significance, significance_table
from dcmq.studies import main_results as study

ROOT = Path(__file__).parents[2]
DEFAULTS = defaults(ROOT / "notebooks" / "main_results.ipynb")


def parameters(**changes):
    return validated(study.Parameters, DEFAULTS | changes)


def test_each_method_is_planned_at_each_length_and_seed():
    p = parameters(methods="DCMQ,DCMQ-multihot,DCMH,PQ", controls="teacher-OPQ-tags", bits="32,64", seeds="0,1")
    plan = p.plan()
    assert len(plan) == 5 * 2 * 2
    by_name = {run.variant: run.config for run in plan}
    assert by_name["DCMQ"].target == "npc" and by_name["DCMQ-multihot"].target == "multihot"
    assert by_name["DCMH"].method == "DCMH" and by_name["DCMH"].learning_rate == pytest.approx(
        1e-3 * METHODS["DCMH"].rate
    )
    assert len({run.config.student.image_encoder for run in plan}) == 1


def test_an_option_goes_to_its_method_alone():
    p = parameters(
        methods="DCMH,CMHH",
        controls="",
        settings="DCMH.gamma=0.5 frozen=layer4 image_encoder=resnet18 backbone_weights=imagenet",
    )
    options = {run.variant: run.config.options for run in p.plan()}
    assert options == {"DCMH": {"gamma": 0.5}, "CMHH": {}}
    assert all(run.config.student.frozen == "layer4" for run in p.plan())


def test_unknown_methods_are_refused_with_the_names_there_are():
    with pytest.raises(DcmqError, match="'DCMX' is not registered.*known: DCMQ"):
        parameters(methods="DCMX")
    with pytest.raises(DcmqError, match="curve_bits: 16 is none of the bits"):
        p = parameters(curve_bits=16)
        p.chosen(p.plan(), [{}] * len(p.plan()), "DCMQ")


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
    shown = significance_table(tests.reset_index())
    assert shown.loc["worse", "64 bits i2t"].endswith("*") and not shown.loc["noise", "64 bits i2t"].endswith("*")


def test_seeds_are_averaged_within_a_query():
    up, down = np.full(40, 0.6), np.full(40, 0.4)
    plan = [planned("DCMQ"), planned("DCMQ"), planned("even")]
    tests = significance(plan, [record(up), record(down), record(np.full(40, 0.5))], "mAP@all", 10, resamples=99)
    assert tests.difference.abs().max() < 1e-9


def frame():
    rows = []
    for name, hits, over_all in (("DCMQ", 0.6, 0.5), ("DCMH", 0.55, 0.4), ("PQ", 0.3, 0.28)):
        for seed in (0, 1):
            for metric, value in (("mAP@R (hits)", hits), ("mAP@all", over_all)):
                for direction in ("i2t", "t2i"):
                    rows.append(
                        dict(
                            variant=name,
                            seed=seed,
                            bits=64,
                            direction=direction,
                            gallery="gallery",
                            metric=metric,
                            value=value + 0.01 * seed,
                        )
                    )
    return pd.DataFrame(rows)


def test_the_metric_table_is_a_difference_on_the_same_codes():
    table = metric_table(frame(), 500)
    assert list(table.columns) == ["mAP@500 (hits)", "mAP@all", "difference"]
    assert table.loc["DCMH"].tolist() == ["0.555", "0.405", "0.150"]


def test_the_metric_paragraph_computes_like_for_like_and_mixed():
    text = metric_paragraph(frame(), 500, 0.26)
    assert "DCMQ less DCMH" in text and "+0.050 if both are measured by mAP@500 (hits)" in text
    assert "+0.100 if both by mAP@all" in text and "it would be +0.200" in text and "moves DCMH by 0.150" in text
    assert "missing" in metric_paragraph(frame().query("variant != 'DCMQ'"), 500, 0.26)


def test_the_published_lead_is_dcmqs_over_the_best_row_of_the_others():
    leads = published_lead()
    assert set(leads.index) == {"mirflickr", "nuswide", "coco"} and leads.between(0, 0.3).all()


def committed(folder):
    file = ROOT / "reports" / "main_results" / folder / "values.csv"
    if not file.is_file():
        pytest.skip(f"no report {folder}")
    values = pd.read_csv(file)
    record = json.loads((file.parent / "record.json").read_text())
    return values[(values.gallery == "gallery") & (values.metric == "mAP@all")], record["chance"]


@pytest.mark.parametrize("folder", [p.name for p in sorted((ROOT / "reports" / "main_results").glob("*"))])
def test_in_the_reports_methods_beat_chance_and_the_floor_is_near_it(folder):
    """Margins: .03 for whatever learns across modalities; within .05 of chance for PQ and OPQ, which do not."""
    values, chance = committed(folder)
    means = values.groupby("variant").value.mean()
    for name, value in means.items():
        if name in ("PQ", "OPQ"):
            assert abs(value - chance) < 0.05, name
        else:
            assert value > chance + 0.03, name

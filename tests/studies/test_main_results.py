"""Table 1: the rows that are planned, and the committed reports."""

import json
from pathlib import Path

import pandas as pd
import pytest
from made_up_runs import records_of
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.reporting.results import results_frame
from dcmq.studies.main_results import verdicts

ROOT = Path(__file__).parents[2]


def test_each_method_is_planned_at_each_length_and_seed():
    p = parameters(
        "main_results", methods="DCMQ,DCMQ-multihot,DCMH,PQ", controls="teacher-OPQ-tags", bits="32,64", seeds="0,1"
    )
    plan = p.plan()
    assert len(plan) == 5 * 2 * 2
    by_name = {run.variant: run.config for run in plan}
    assert by_name["DCMQ"].target == "npc" and by_name["DCMQ-multihot"].target == "multihot"
    assert by_name["DCMH"].method == "DCMH"
    assert len({run.config.student.image_encoder for run in plan}) == 1


def test_an_option_goes_to_its_method_alone():
    p = parameters(
        "main_results",
        methods="DCMH,CMHH",
        controls="",
        settings="DCMH.gamma=0.5 frozen=layer4 image_encoder=resnet18 backbone_weights=imagenet",
    )
    options = {run.variant: run.config.options for run in p.plan()}
    assert options["DCMH"]["gamma"] == 0.5 and "gamma" not in options["CMHH"]
    assert all(run.config.student.frozen == "layer4" for run in p.plan())


def test_unknown_methods_are_refused_with_the_names_there_are():
    with pytest.raises(DcmqError, match="'DCMX' is not registered.*known: DCMQ"):
        parameters("main_results", methods="DCMX")
    with pytest.raises(DcmqError, match="curve_bits: 16 is none of the bits"):
        p = parameters("main_results", curve_bits=16)
        p.curve_runs(p.plan(), [{}] * len(p.plan()))


def test_dcmq_is_judged_against_every_compared_method_at_each_length():
    p = parameters(
        "main_results", methods="DCMQ,DCMQ-multihot,DCMH,PQ", controls="teacher-OPQ-tags", bits="32,64", seeds="0,1,2"
    )
    plan = p.plan()
    levels = {"DCMQ": 0.5, "DCMQ-multihot": 0.6, "DCMH": 0.4, "PQ": 0.2, "teacher-OPQ-tags": 0.7}
    frame = results_frame(plan, records_of(plan, lambda run, _: levels[run.variant] + 0.1 * (run.tags["bits"] == 64)))
    words = {v.claim: v.word for v in verdicts(frame, 64, floor=0.35)}
    assert words == {
        "32 bits, DCMQ > DCMH, the best compared method by its mean": "holds",
        "32 bits, DCMQ > PQ": "not judged",
        "64 bits, DCMQ > DCMH, the best compared method by its mean": "holds",
        "64 bits, DCMQ > PQ": "not judged",
        "64 bits, DCMQ > DCMQ-multihot (a control, no claim of the paper)": "does not hold",
        "64 bits, DCMQ > teacher-OPQ-tags (a control, no claim of the paper)": "does not hold",
        "DCMQ, 64 bits > 32 bits": "holds",
    }


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

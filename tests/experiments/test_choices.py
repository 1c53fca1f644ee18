"""One search of settings for all rows: the same points, the choices that its record has, and none on an edge."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcmq.core.errors import DcmqError
from dcmq.experiments.choices import FOLDER, chosen_settings
from dcmq.methods.registry import METHODS

ROOT = Path(__file__).parents[2]
SEARCH = ROOT / "reports" / "choices" / "scenes-demo"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("choose_settings", ROOT / "scripts" / "choose_settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record():
    return json.loads((SEARCH / "record.json").read_text())


@pytest.fixture(scope="module")
def tried():
    """A row per trial and seed."""
    return pd.read_csv(SEARCH / "trials.csv")


def test_an_unknown_search_is_refused_and_an_unknown_row_has_nothing_chosen():
    with pytest.raises(DcmqError, match=r"choices=scene-demo is no search; did you mean scenes-demo\? \(known: "):
        chosen_settings("scene-demo", "DCMQ")
    assert chosen_settings("", "DCMQ") == {} == chosen_settings("scenes-demo", "mine")


def test_all_rows_try_the_same_points_each_in_its_own_ranges(script):
    count = 16
    places = {}
    for row in script.OWN:
        ranges = dict([*script.COMMON.items(), script.OWN[row]])
        found = script.trials(row, count)
        assert len(found) == count and all(list(settings) == list(ranges) for settings in found)
        low, high = (np.log([ranges[name][end] for name in ranges]) for end in (0, 1))
        places[row] = (np.log([list(settings.values()) for settings in found]) - low) / (high - low)
        assert (places[row] >= -1e-3).all() and (places[row] <= 1 + 1e-3).all()
    for row, place in places.items():
        assert np.abs(place - places["DCMQ"]).max() < 2e-3, row  # settings are rounded to three digits
    spread = np.sort(places["DCMQ"], axis=0)
    assert (
        np.abs(spread - (np.arange(count) + 0.5)[:, None] / count).max() < 0.5 / count + 2e-3
    )  # a point in each sixteenth


def test_settings_near_an_end_of_their_range_are_on_an_edge(script):
    inside = {"learning_rate": 1e-3, "backbone_lr_factor": 0.1, "tau": 0.2}
    assert script.on_edge("DCMQ", inside) == []
    assert script.on_edge("DCMQ", inside | {"tau": 0.99}) == ["tau"]
    assert script.on_edge("DCMQ", inside | {"learning_rate": 1.1e-4, "tau": 0.051}) == ["learning_rate", "tau"]


def test_every_row_that_is_trained_was_searched_for(script):
    trained = {name for name, row in METHODS.items() if not name.startswith("teacher-")} - {"PQ", "OPQ"}
    assert set(script.OWN) == trained


def test_what_is_trained_with_is_what_the_committed_search_chose(script, record):
    assert json.loads((FOLDER / "scenes-demo.json").read_text()) == record["chosen"]
    assert set(record["chosen"]) == set(script.OWN)
    for row, settings in record["chosen"].items():
        assert chosen_settings("scenes-demo", row) == settings
        assert settings in script.trials(row, record["parameters"]["trials"])
        assert not script.on_edge(row, settings), row


def test_every_choice_is_the_best_of_its_rows_trials(record, tried):
    seeds, trials = len(record["parameters"]["seeds"].split(",")), record["parameters"]["trials"]
    for row, settings in record["chosen"].items():
        of_row = tried[tried.row == row]
        assert len(of_row) == trials * seeds, row
        assert np.allclose(of_row["mAP@all"], (of_row.i2t + of_row.t2i) / 2, atol=1.1e-5)
        best = of_row.groupby("trial")["mAP@all"].mean().idxmax()
        for name, value in settings.items():
            assert np.allclose(of_row[of_row.trial == best][name], value, rtol=0, atol=5.1e-6), (row, name)


def test_no_report_is_judged_on_the_draws_that_choices_were_made_on(record):
    chosen_on = set(record["parameters"]["seeds"].split(","))
    assert record["made"]["dataset"]["choices"]["view"] == "validation"
    for path in (ROOT / "reports").glob("*/scenes-*/record.json"):
        if path.parts[-3] != "choices":
            seeds = str(json.loads(path.read_text())["parameters"].get("seeds", ""))
            assert not chosen_on & set(seeds.split(",")), path

"""The ablation's numbers: fresh runs against the committed record, and its judgements on made-up results."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from dcmq.ablation_npc import (
    Parameters,
    data_options,
    paper_table,
    results_frame,
    seed_means,
    table,
    tau_table,
    verdict,
)
from dcmq.errors import DcmqError
from dcmq.experiments import run_all
from dcmq.notebook import validated

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "reports" / "ablation_npc" / "scenes-clip-64bits-demo"
COMMITTED = ("scenes-clip-64bits-demo", "scenes-clip-64bits-demo-tau-sweep")


def defaults() -> dict:
    """The parameters cell of the notebook, as it stands."""
    notebook = nbformat.read(ROOT / "notebooks" / "ablation_npc.ipynb", as_version=4)
    source = next(c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    values = {}
    exec(source, values)
    return {k: v for k, v in values.items() if not k.startswith("__")}


@pytest.mark.slow
def test_fresh_runs_agree_with_the_committed_report():
    """Another CPU rounds otherwise, so the numbers may move by a few seed deviations, not more."""
    parameters = Parameters(**defaults())
    assert parameters.name == REPORT.name
    fresh = results_frame(run_all(parameters.configs(), parameters.workspace(), parameters.workers, parameters.r))
    committed = pd.read_csv(REPORT / "values.csv")
    keys = ["target", "seed", "tau", "direction", "gallery", "metric"]
    both = fresh.merge(committed, on=keys, suffixes=("", "_committed"))
    assert len(both) == len(fresh) == len(committed)
    assert (both.value - both.value_committed).abs().max() < 0.05
    assert both.value.between(0, 1).all()
    means = seed_means(fresh, parameters.tau, "mAP@all")
    assert (means.npc > means.raw).all() and (means.multihot > means.raw).all()


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_tables_are_computed_from_the_committed_runs(name):
    folder = REPORT.parent / name
    record = json.loads((folder / "record.json").read_text())
    parameters = Parameters(**record["parameters"])
    assert parameters.name == folder.name
    frame = results_frame(record["runs"])
    (metric,) = {name for name in record["runs"][0]["evaluation"]["i2t"]["gallery"] if name.endswith("(hits)")}
    shown = table(frame, parameters.tau, names={"mAP@R (hits)": metric})
    assert shown.to_csv(lineterminator="\n") == (folder / "table.csv").read_text()
    over_tau = tau_table(frame, "mAP@R (hits)").rename_axis(metric)
    assert over_tau.to_csv(lineterminator="\n") == (folder / "table-tau.csv").read_text()
    assert {run["config"]["seed"] for run in record["runs"]} >= {0, 1, 2}


def test_the_readme_shows_the_committed_tables():
    readme = (ROOT / "README.md").read_text()
    for path in (REPORT / "table.md", REPORT.with_name(REPORT.name + "-tau-sweep") / "table-tau.md"):
        assert path.read_text() in readme


def made_up(better, worse):
    rows = [
        (target, seed, 0.2, direction, "gallery", "mAP@all", values[seed])
        for target, values in (("npc", better), ("raw", worse), ("identity", worse), ("multihot", worse))
        for seed in range(len(values))
        for direction in ("i2t", "t2i")
    ]
    return pd.DataFrame(rows, columns=["target", "seed", "tau", "direction", "gallery", "metric", "value"])


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [
        ([0.5, 0.52, 0.51], [0.4, 0.41, 0.42], ": holds"),
        ([0.4, 0.41, 0.42], [0.5, 0.52, 0.51], "does not hold"),
        ([0.5, 0.4, 0.45], [0.4, 0.5, 0.44], "a tie"),
        ([0.5], [0.4], "one seed cannot tell"),
    ],
)
def test_verdicts_follow_the_paired_differences(better, worse, word):
    assert word in verdict(made_up(better, worse), 0.2, "mAP@all", "npc", "raw")


def test_the_papers_numbers_stand_in_the_order_of_ours():
    numbers = paper_table()
    assert numbers.shape == (4, 6)
    assert numbers.loc["teacher with NPC", "coco i2t"] == 0.859


def test_data_options_are_read_and_bad_ones_refused():
    assert data_options("query=219 ignore_classes=person,traffic_light label_missing=0.2") == {
        "query": 219,
        "ignore_classes": ("person", "traffic light"),
        "label_missing": 0.2,
    }
    for text in ("query", "query=many"):
        with pytest.raises(DcmqError, match="data_options"):
            data_options(text)


def test_a_row_for_each_temperature():
    frame = pd.concat([made_up([0.5, 0.6], [0.3, 0.4]), made_up([0.7, 0.8], [0.2, 0.2]).assign(tau=0.5)])
    shown = tau_table(frame, "mAP@all")
    assert shown.index.tolist() == ["tau 0.2", "tau 0.5"]
    assert shown.loc["tau 0.5", "teacher with NPC"] == ".750 ± .071"
    assert shown.loc["tau 0.2", "identity"] == ".350 ± .071"


def asked(**changes):
    """What the notebook's first two cells make of ``-p`` options: its runs, or one line that says what is wrong."""
    return validated(Parameters, defaults() | changes).configs()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(teachr="clip"), "did you mean 'teacher'"),
        (dict(bits="64"), "parameter 'bits'"),
        (dict(bits=30), "30 cannot be reached with K = 16; choose a positive multiple of 4"),
        (dict(seeds="0,,1"), "no comma-separated list"),
        (dict(seeds="0,0"), "names a value twice"),
        (dict(tau=0), "parameter 'tau'"),
        (dict(profile="quick"), "parameter 'profile'"),
        (dict(npc_scope="all"), "parameter 'npc_scope'"),
        (dict(image_encoder="resnet19"), "parameter 'image_encoder'"),
    ],
)
def test_bad_parameters_get_one_line_before_anything_runs(changes, words):
    with pytest.raises(DcmqError) as caught:
        asked(**changes)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_from_the_command_line_are_understood():
    assert [c.seed for c in asked(seeds=7)] == [7] * 4
    assert {c.tau for c in asked(tau=1, tau_sweep=0.5)} == {0.5, 1.0}


@pytest.mark.slow
def test_papermill_stops_at_a_misspelt_parameter(tmp_path):
    notebook = ROOT / "notebooks" / "ablation_npc.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb"), "-p", "sedes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "'sedes' (did you mean 'seeds'?) is no parameter of this notebook" in last

"""The ablation's parameters, tables and judgements, on made-up results and on the committed report."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults
from dcmq.studies.ablation_npc import LABELS, paper, tau_table, verdicts

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "ablation_npc.ipynb"
REPORT = ROOT / "reports" / "ablation_npc" / "scenes-clip-64bits-demo"


def test_the_committed_record_has_the_default_parameters_and_their_seeds():
    record = json.loads((REPORT / "record.json").read_text())
    by_whom = {"workers", "scheduler"}  # which decide nothing
    given, usual = (
        {n: v for n, v in p.items() if n not in by_whom} for p in (record["parameters"], defaults(NOTEBOOK))
    )
    assert given == usual
    assert {run["config"]["seed"] for run in record["runs"]} == set(parameters("ablation_npc").seed_list)


def made_up(better, worse):
    rows = [
        (LABELS[target], seed, 0.2, direction, "gallery", "mAP@all", values[seed])
        for target, values in (("identity", worse), ("multihot", worse), ("raw", worse), ("npc", better))
        for seed in range(len(values))
        for direction in ("i2t", "t2i")
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "tau", "direction", "gallery", "metric", "value"])


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [
        ([0.5, 0.52, 0.51, 0.51], [0.4, 0.41, 0.42, 0.41], "holds"),
        ([0.4, 0.41, 0.42, 0.41], [0.5, 0.52, 0.51, 0.51], "does not hold"),
        ([0.5, 0.4, 0.45], [0.4, 0.5, 0.44], "undecided"),
        ([0.5, 0.4, 0.45], [0.499, 0.4, 0.451], "a tie"),
        ([0.5], [0.4], "one seed cannot tell"),
    ],
)
def test_verdicts_follow_the_paired_differences(better, worse, word):
    judged = verdicts(made_up(better, worse))
    assert [v.word for v in judged] == [word] * 3
    assert "nan" not in str(judged[0])


def test_each_temperature_has_its_verdicts():
    better, worse = [0.5, 0.52, 0.51, 0.51], [0.4, 0.41, 0.42, 0.41]
    frame = pd.concat([made_up(better, worse), made_up(worse, better).assign(tau=0.5)])
    words = {v.claim: v.word for v in verdicts(frame)}
    assert words["tau 0.2: teacher with NPC > identity"] == "holds"
    assert words["tau 0.5: teacher with NPC > identity"] == "does not hold" and len(words) == 6
    assert {v.word for v in verdicts(frame, floor=0.6)} == {"not judged"}


def test_the_papers_numbers_stand_in_the_order_of_ours():
    numbers = paper()
    assert numbers.index.tolist() == list(LABELS.values()) and numbers.shape == (4, 6)
    assert numbers.loc["teacher with NPC", "coco i2t"] == "0.859"


def test_a_row_for_each_temperature():
    frame = pd.concat([made_up([0.5, 0.6], [0.3, 0.4]), made_up([0.7, 0.8], [0.2, 0.2]).assign(tau=0.5)])
    cells = tau_table(frame, "mAP@all")
    assert cells.index.tolist() == ["tau 0.2", "tau 0.5"]
    assert cells.loc["tau 0.5", "teacher with NPC"] == ".750 ± .071"
    assert cells.loc["tau 0.2", "identity"] == ".350 ± .071"


def test_settings_reach_every_run_and_the_folder_is_another():
    plain, changed = (parameters("ablation_npc", settings=s) for s in ("", "tau_q=0.1 augment=shift"))
    assert {(run.config.student.tau_q, run.config.augment) for run in changed.plan()} == {(0.1, "shift")}
    assert changed.name.startswith(plain.name) and changed.name != plain.name


def configs(**changes):
    """Settings of the runs that the notebook plans for ``-p`` options; or one line that says what is wrong."""
    return [run.config for run in parameters("ablation_npc", **changes).plan()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(teachr="clip"), "did you mean teacher?"),
        (dict(bits="64"), "parameter 'bits'"),
        (dict(bits=30), "30 cannot be reached with K = 16; choose a positive multiple of 4"),
        (dict(seeds="0,,1"), "no comma-separated list"),
        (dict(seeds="0,0"), "names a value twice"),
        (dict(tau=-1), "parameter 'tau'"),
        (dict(profile="quick"), "parameter 'profile'"),
        (dict(npc_scope="all"), "parameter 'npc_scope'"),
        (dict(settings="tau_q=-1"), "settings: tau_q: input should be greater than"),
        (dict(settings="frozen=layer9"), "settings: frozen"),
    ],
)
def test_bad_parameters_get_one_line_before_anything_runs(changes, words):
    with pytest.raises(DcmqError) as caught:
        configs(**changes)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_from_the_command_line_are_understood():
    assert [c.seed for c in configs(seeds=7)] == [7] * 4
    assert {c.tau for c in configs(tau=1, tau_sweep=0.5)} == {0.5, 1.0}


@pytest.mark.slow
def test_papermill_stops_at_a_misspelt_parameter(tmp_path):
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(tmp_path / "out.ipynb"), "-p", "sedes", "3"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert process.returncode != 0
    last = process.stderr.strip().splitlines()[-1]
    assert "'sedes' (did you mean seeds?) is no parameter of this notebook" in last

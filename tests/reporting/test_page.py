"""The newest report, and records of reports."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.core.sealed import read_sealed
from dcmq.reporting.page import where
from dcmq.reporting.report import write_record, write_report


def test_a_record_has_a_line_for_each_run(tmp_path):
    runs = [{"seed": seed, "losses": [0.5, {"i2t": 0.25}]} for seed in (0, 1)]
    for some in (runs, runs[:1], []):
        path = write_record(tmp_path / f"{len(some)}", {"bits": 64, "rows": ["a"]}, some, teacher="clip")
        assert read_sealed(path, "") == {
            "parameters": {"bits": 64, "rows": ["a"]},
            "teacher": "clip",
            "runs": some,
        }
    lines = (tmp_path / "2.json").read_text().splitlines()
    assert [json.loads(line.strip(" ,")) for line in lines if line.startswith('    {"seed"')] == runs


@pytest.mark.parametrize("name", ["record", "record.json"])
def test_write_record(name, tmp_path):
    path = write_record(tmp_path / name, {"bits": 64}, [{"seed": 0}], teacher="clip")
    assert path == tmp_path / "record.json"
    assert read_sealed(path, "") == {"parameters": {"bits": 64}, "teacher": "clip", "runs": [{"seed": 0}]}


@pytest.mark.parametrize("value", [float("nan"), np.float32(0.5), {1, 2}])
def test_write_record_refuses_what_json_cannot_hold(value, tmp_path):
    with pytest.raises(DcmqError, match="cannot be JSON"):
        write_record(tmp_path / "record.json", {}, [], value=value)
    assert not list(tmp_path.iterdir())


def run_record(seconds=5.8, finished="2026-11-23", loss=1.5, **more):
    measured = {"seconds": seconds, "i2t": {"mAP@all": 0.5}}
    return {"key": "a1", "training_seconds": seconds, "finished": finished, "loss": loss, "evaluation": measured} | more


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"seconds": 9.1}, True),
        ({"finished": "2027-01-01", "git": "0123456789ab+"}, True),
        ({"loss": 1.5000000000000002}, False),
        ({"key": "b2"}, False),
        ({"new": 1}, False),
    ],
)
def test_a_record_stays_where_only_times_and_dates_are_others(tmp_path, capsys, changes, kept):
    write_record(tmp_path / "record.json", {"bits": 64}, [run_record()], provenance={"finished": "2026-11-23"})
    before = (tmp_path / "record.json").read_bytes()
    assert not capsys.readouterr().out
    again = [run_record(**changes)]
    write_record(tmp_path / "record.json", {"bits": 64}, again, provenance={"finished": "2027-01-01"})
    assert ((tmp_path / "record.json").read_bytes() == before) == kept
    assert ("unchanged: record.json" in capsys.readouterr().out) == kept
    write_record(tmp_path / "record.json", {"bits": 32}, again)
    assert json.loads((tmp_path / "record.json").read_text())["parameters"] == {"bits": 32}


def test_a_damaged_record_is_written_anew(tmp_path):
    (tmp_path / "record.json").write_text('{"parameters"')
    write_record(tmp_path / "record.json", {}, [])
    assert read_sealed(tmp_path / "record.json", "") == {"parameters": {}, "runs": []}


def test_a_report_that_is_written_again_keeps_its_evidence(tmp_path, monkeypatch):
    """The table's seconds are those of the record beside it, which stays."""
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path))
    study = parameters("ablation_pqg")

    def table(seconds, value=".527"):
        return pd.DataFrame({"mAP": [value], "training": [f"{seconds} s"]}, index=["npc"])

    def files():
        return {file.name: file.read_bytes() for file in study.folder.iterdir()}

    write_report(study, {"table-size": table(5.6)}, [], [])
    before = files()
    assert set(before) == {"record.json", *(f"table-size{suffix}" for suffix in (".md", ".csv", ".tex"))}
    write_report(study, {"table-size": table("1,234.5")}, [], [])
    assert files() == before
    write_report(study, {"table-size": table(5.6, ".528")}, [], [])
    assert files() != before


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCMQ_REPORTS", raising=False)
    return tmp_path


def test_where_names_the_newest_report(home):
    for age, name in ((100, "old"), (0, "new")):
        for file in ("table.md", "figure.png", "record.json"):
            path = home / "reports" / "ablation_npc" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
            os.utime(path, (1e9 - age, 1e9 - age))
    run = home / "runs" / "npc-0123" / "record.json"
    run.parent.mkdir(parents=True)
    run.write_text("{}")
    lines = [line.split(maxsplit=1) for line in where("ablation_npc").splitlines()]
    assert lines == [
        ["table", "reports/ablation_npc/new/table.md"],
        ["figure", "reports/ablation_npc/new/figure.png"],
        ["report", "record      reports/ablation_npc/new/record.json"],
        ["run", "records        runs/*/record.json (1 of them)"],
    ]


def test_where_without_a_report_says_what_to_do(home):
    (home / "reports" / "other").mkdir(parents=True)
    with pytest.raises(
        DcmqError, match=r"no report of 'ablation_npc' in reports.*known: other.*: run its notebook first"
    ):
        where("ablation_npc")

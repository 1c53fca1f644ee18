"""The newest report, and records of reports."""

import json
import os

import numpy as np
import pytest

from dcmq.core.errors import DcmqError
from dcmq.reporting.page import where
from dcmq.reporting.report import write_record


@pytest.mark.parametrize("name", ["record", "record.json"])
def test_write_record(name, tmp_path):
    path = write_record(tmp_path / name, {"bits": 64}, [{"seed": 0}], teacher="clip")
    assert path == tmp_path / "record.json"
    assert json.loads(path.read_text()) == {"parameters": {"bits": 64}, "teacher": "clip", "runs": [{"seed": 0}]}


@pytest.mark.parametrize("value", [float("nan"), np.float32(0.5), {1, 2}])
def test_write_record_refuses_what_json_cannot_hold(value, tmp_path):
    with pytest.raises(DcmqError, match="cannot be JSON"):
        write_record(tmp_path / "record.json", {}, [], value=value)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
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

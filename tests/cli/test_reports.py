"""``dcmq reports``: what is passed to the notebooks, and the page."""

import json

import pytest
from commands import dcmq, run_command

from dcmq.studies.registry import reading_order


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCMQ_REPORTS", raising=False)
    (tmp_path / "notebooks").mkdir()
    for name in ("captions", "quickstart", "own"):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text("{}")
    folder = tmp_path / "reports" / "captions" / "scenes"
    folder.mkdir(parents=True)
    record = dict(notebook="captions", title="Which?", item="", claim="", verdicts=[], provenance={}, runs=[])
    (folder / "record.json").write_text(json.dumps(record))
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """The calls of the function that runs notebooks; it says that ``captions`` fails."""
    calls = []

    def run_notebooks(names, parameters, jobs, scheduler):
        calls.append((list(names), parameters, jobs, scheduler))
        return {name: "ValueError: no captions" for name in names if name == "captions"}

    monkeypatch.setattr("dcmq.reporting.run_notebooks.run_notebooks", run_notebooks)
    return calls


def test_run_passes_on_what_is_given(calls):
    words = ["--jobs", "2", "--seeds", "0,1", "--data-root", "d", "--epochs", "3", "--settings", "tau=0.1 bits=8"]
    words += ["--scheduler", "tcp://host:8786"]
    assert "written to reports/README.md" in run_command("reports", "run", "quickstart", "own", *words)
    parameters = {"seeds": "0,1", "data_root": "d", "epochs": "3", "settings": "tau=0.1 bits=8"}
    assert calls == [(["quickstart", "own"], parameters, 2, "tcp://host:8786")]


def test_run_runs_what_there_is_in_reading_order_and_says_what_failed(home, calls):
    result = dcmq("reports", "run")
    assert result.exit_code == 1 and result.stderr == "captions failed: ValueError: no captions\n"
    assert calls[0][0] == ["quickstart", "captions"] and calls[0][1] == {} and calls[0][2] >= 1
    assert (home / "reports" / "README.md").is_file()  # over those that did not fail


def test_an_unknown_notebook_is_one_line():
    result = dcmq("reports", "run", "quickstrat")
    assert result.exit_code == 1 and "no notebook 'quickstrat'" in result.stderr and result.stderr.count("\n") == 1
    assert "did you mean quickstart?" in result.stderr


def test_without_notebooks_a_line_says_where_they_come_from(home, monkeypatch):
    """As where the package came as a wheel."""
    monkeypatch.setenv("DCMQ_HOME", str(home / "elsewhere"))
    result = dcmq("reports", "run", "quickstart")
    told = f"there is no notebook in {home / 'elsewhere' / 'notebooks'}: the package brings none, so copy the folder"
    assert result.exit_code == 1 and result.stderr.startswith(told) and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no notebook that can be read"),
        ("[]", "is no notebook that can be read"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "has no cell that is tagged parameters"),
    ],
)
def test_a_file_that_is_no_notebook_of_dcmq_is_one_line(home, content, message):
    (home / "notebooks").mkdir(exist_ok=True, parents=True)
    (home / "notebooks" / "other.ipynb").write_text(content)
    result = dcmq("reports", "run", "other", "--jobs", "1")
    assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.stderr


def test_page_is_written_and_only_when_asked_for(home):
    run_command("reports", "page", "--help")
    assert not (home / "reports" / "README.md").exists()
    assert run_command("reports", "page") == "written to reports/README.md\n"
    assert f"## {reading_order().index('captions') + 1}. Which?" in (home / "reports" / "README.md").read_text()


def test_where_names_the_files_of_a_report():
    lines = run_command("reports", "where", "captions").splitlines()
    assert lines[0].split() == ["report", "record", "reports/captions/scenes/record.json"]
    assert lines[-1].endswith("(0 of them)")
    result = dcmq("reports", "where", "caption")
    assert result.exit_code == 1 and "did you mean captions?" in result.stderr and result.stderr.count("\n") == 1

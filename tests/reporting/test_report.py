"""A report's folder holds one report: nothing of a former one stays beside it, and nothing is written that cannot be whole."""

import os

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from kills import assert_goes_on
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.reporting.page import newest_report, write_page
from dcmq.reporting.report import write_report

TABLE = pd.DataFrame({"mAP": [".5"]}, index=["npc"])
FRAME = pd.DataFrame({"variant": ["npc"], "value": [0.5]})
FILES = {
    *(f"{name}.{suffix}" for name in ("table", "table-unseen") for suffix in ("md", "csv", "tex")),
    *(f"figure.{suffix}" for suffix in ("svg", "png")),
    "values.csv",
    "record.json",
}


@pytest.fixture
def figure():
    fig, axis = plt.subplots(figsize=(1, 1))
    axis.plot([0, 1])
    yield fig
    plt.close(fig)


def names(folder):
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def report(home, figure):
    """A report with two tables, a figure and values, beside which lie the executed notebook and somebody's own files."""
    study = parameters("ablation_pqg")
    folder = write_report(study, {"table": TABLE, "table-unseen": TABLE}, [], [], {"figure": figure}, FRAME, note=1)
    assert names(folder) == FILES
    for own in ("notebook.ipynb", "notes.md", "photo.png"):
        (folder / own).write_text("mine")
    return study, folder


def test_what_a_report_does_not_have_is_gone_after_it(report):
    study, folder = report
    assert write_report(study, {"table": TABLE}, [], [], note=2) == folder
    assert names(folder) == {"table.md", "table.csv", "table.tex", "record.json", "notes.md", "photo.png"}


def test_the_notebook_stays_beside_the_same_results(report, figure):
    study, folder = report
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    write_report(study, {"table": TABLE, "table-unseen": TABLE}, [], [], {"figure": figure}, FRAME, note=1)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_table_that_became_empty_is_gone(report, figure):
    study, folder = report
    empty = {"table": TABLE, "table-unseen": pd.DataFrame()}
    write_report(study, empty, [], [], {"figure": figure}, FRAME, note=2)
    assert not [name for name in names(folder) if name.startswith("table-unseen")]


def test_a_report_that_cannot_be_written_leaves_the_former_whole(report):
    study, folder = report
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(DcmqError, match="cannot be JSON"):
        write_report(study, {"table": TABLE * 2}, [], [], note=float("nan"))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_report_of_other_parameters_lies_elsewhere(report):
    study, folder = report
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for changes in (dict(seeds="0"), dict(data_options="train=300"), dict(settings="tau=0.5")):
        other = write_report(parameters("ablation_pqg", **changes), {"table": TABLE}, [], [])
        assert other != folder and newest_report("ablation_pqg") == other
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_report_that_is_the_same_as_before_is_the_newest_all_the_same(report, figure):
    study, folder = report
    write_report(parameters("ablation_pqg", seeds="0"), {"table": TABLE}, [], [])
    write_report(study, {"table": TABLE, "table-unseen": TABLE}, [], [], {"figure": figure}, FRAME, note=1)
    assert newest_report("ablation_pqg") == folder


def test_a_report_that_was_killed_at_any_file_is_whole_after_the_next(tmp_path, monkeypatch, figure):
    study = parameters("ablation_pqg")

    def write(place):
        monkeypatch.setenv("DCMQ_HOME", str(place))
        monkeypatch.setenv("DCMQ_REPORTS", str(place / "reports"))
        write_report(study, {"table": TABLE, "table-unseen": TABLE}, [], [], {"figure": figure}, FRAME, note=1)
        write_page(["ablation_pqg"])

    def write_over_another(place):
        if not (place / "reports").exists():
            with monkeypatch.context() as quiet:
                quiet.setattr("os.replace", replace)
                write(place)
                write_report(study, {"table": TABLE * 2, "table-old": TABLE}, [], [], {}, FRAME, note=2)
        write(place)

    replace = os.replace
    assert_goes_on(write, tmp_path / "new")
    assert_goes_on(write_over_another, tmp_path / "again")

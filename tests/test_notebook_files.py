"""Rules that every committed notebook keeps, seen without running it; and what nbval overlooks in comparing outputs."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
LONGEST_FUNCTION = 10  # lines; whatever is longer belongs in the package
LARGEST = 300_000  # bytes; reports have the figures in full

WIDGET = "application/vnd.jupyter.widget-view+json"  # shows nothing without the state of the widget

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def tree(cell):
    """The cell's code, with magics and shell lines left out."""
    return ast.parse("\n".join(line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!"))))


@each
def test_runs_anywhere(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@each
def test_holds_nothing_that_only_takes_room(path):
    """``make notebooks`` and scripts/clean_notebooks.py leave it so."""
    notebook = nbformat.read(path, as_version=4)
    assert not {"papermill", "widgets"} & notebook.metadata.keys()
    assert not any({"papermill", "execution"} & cell.metadata.keys() for cell in notebook.cells)
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert not [output for output in outputs if WIDGET in output.get("data", {})]
    assert path.stat().st_size < LARGEST


@each
def test_is_executed_in_order_and_without_errors(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run make notebooks"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"], "a warning or a plain progress bar"


@each
def test_output_that_depends_on_what_is_cached_is_not_compared(path):
    """A teacher's embeddings and runs show progress bars only where they are made, so those cells are exempt."""
    for cell in code_cells(path):
        calls = [node.func for node in ast.walk(tree(cell)) if isinstance(node, ast.Call)]
        names = {getattr(called, "attr", getattr(called, "id", None)) for called in calls}
        if names & {"load", "run_plan"}:
            assert "nbval-ignore-output" in cell.metadata.get("tags", [])


@each
def test_parameters_are_typed_literals(path):
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    for statement in tree(cell).body:
        assert isinstance(statement, ast.AnnAssign), "name: type = value  # help"
        ast.literal_eval(statement.value)  # a derived value would keep the old default


@each
def test_papermill_lists_every_parameter_with_its_help(path):
    """It gives up on a line with two equals signs, so a comment must do without."""
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    listed = papermill.inspect_notebook(path)
    assert list(listed) == [statement.target.id for statement in tree(cell).body]
    assert all(parameter["help"] for parameter in listed.values())


@each
def test_parameters_and_their_help_are_seen_without_scrolling(path):
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        assert len(line) <= 100 and len(line.partition("  # ")[2]) <= 70


@each
def test_no_table_is_cut(path):
    cut = re.compile(r"<t[dh]>[^<]*\.\.\.</t[dh]>")
    for cell in code_cells(path):
        for output in cell.outputs:
            assert not cut.search(output.get("data", {}).get("text/html", ""))


@each
def test_holds_no_class_and_no_long_function(path):
    for cell in code_cells(path):
        for node in ast.walk(tree(cell)):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < LONGEST_FUNCTION


@each
def test_names_no_place_of_the_machine_it_ran_on(path):
    assert str(ROOT) not in path.read_text(encoding="utf-8")


PROBE = """
import json, os
def pytest_collection_finish():
    print("SET", json.dumps(dict(os.environ)))
"""


@pytest.mark.slow
def test_a_notebook_that_is_tested_alone_leaves_the_committed_reports_alone(tmp_path):
    """pytest loads no tests/conftest.py where it is only given a notebook."""
    (tmp_path / "probe.py").write_text(PROBE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DCMQ_", "PYTEST_")) and "NUM_THR" not in k}
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "--collect-only", "-qs", "-p", "probe", "--nbval"]
    result = subprocess.run(
        [*command, "notebooks/quickstart.ipynb"],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("SET ")]
    variables = json.loads(line.removeprefix("SET "))
    assert not Path(variables["DCMQ_REPORTS"]).is_relative_to(ROOT)
    assert Path(variables["DCMQ_PUBLISHED"]) == ROOT / "reports"
    assert {variables[f"{library}_NUM_THREADS"] for library in ("OMP", "MKL", "OPENBLAS")} == {"1"}


def sanitized(text):
    for regex, replacement in get_sanitize_patterns(SANITIZE.read_text("utf-8")):
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("npc .516 ± .005", "npc .498 ± .011"),
        ("0.516", ".49"),
        ("difference +0.066, 8.1 sd", "difference -0.012, 0.4 sd"),
        ("loss 1.5e-05", "loss 2.25e+03"),
        ("hash 0123456789abcdef", "hash fedcba9876543210"),
        ("revision 9113e5d0aa12+", "revision 527f2c8b3e01"),
        ("in reports/ablation_npc/x/table.md", "in /tmp/a/reports/ablation_npc/x/table.md"),
        ("read /home/me/data/photos", "read /srv/photos"),
        (
            "unchanged: record.json that is there holds the same results\nwritten to reports/x",
            "written to reports/x",
        ),
        ("2026-11-23T01:09:16.885+00:00", "2025-01-02 03:04"),
        ("took 11.5 s of 02:13", "took 9 s of 1:02:13"),
        ("<Figure size 990x396 with 2 Axes>", "<Figure size 640x480 with 1 Axes>"),
    ],
)
def test_runs_that_differ_in_numbers_only_compare_equal(one, other):
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("npc > raw: holds (+.137)", "npc > raw: a tie (+.002)"),
        ("npc .516 ± .005", "npc .516"),
        ("64 bits", "32 bits"),
        ("3 seeds", "5 seeds"),
        ("i2t / t2i", "t2i / i2t"),
        ("reports/ablation_npc/scenes/table.md", "reports/ablation_npc/scenes/figure.png"),
        ("<td>a</td>", "<td>b</td>"),
        ("queries 500", "queries 499"),
    ],
)
def test_words_counts_and_structure_are_compared(one, other):
    assert sanitized(one) != sanitized(other)

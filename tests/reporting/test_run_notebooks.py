"""Notebooks in batch: one that fails stops nobody, and the page is made of the records."""

import json

import nbformat
import pytest

from dcmq.core.errors import DcmqError
from dcmq.reporting import page as overview
from dcmq.reporting import run_notebooks as batch

REPORT = """
import json, os
from pathlib import Path
folder = Path(os.environ["DCMQ_REPORTS"]) / {name!r} / "scenes-x"
folder.mkdir(parents=True)
verdicts = [{{"claim": "a > b", "word": "a tie", "detail": "difference +0.001"}}]
record = dict(notebook={name!r}, title="Which?", item="Table 3", claim="A is better.", verdicts=verdicts, provenance={{}}, given=seeds)
(folder / "record.json").write_text(json.dumps(record | {{"runs": []}}))
(folder / "table.md").write_text("| | x |\\n| --- | --- |\\n| a | .123 |\\n")
"""


def notebook(path, body):
    cells = [nbformat.v4.new_code_cell('seeds: str = "0"  # help', metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell(body))
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "reports"))
    (tmp_path / "notebooks").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_failing_notebook_is_told_and_the_others_run(home, capsys):
    notebook(home / "notebooks" / "ablation_npc.ipynb", REPORT.format(name="ablation_npc"))
    notebook(home / "notebooks" / "captions.ipynb", "raise ValueError('no captions here')")
    assert batch.main(["--jobs", "2", "--seeds", "7", "--data-root", "nowhere"]) == 1
    told = capsys.readouterr().err
    assert "captions failed: ValueError: no captions here" in told
    folder = home / "reports" / "ablation_npc" / "scenes-x"
    assert (
        json.loads((folder / "record.json").read_text())["given"] == 7
    )  # papermill's number; data_root is no parameter
    assert (folder / "notebook.ipynb").is_file()
    page = (home / "reports" / "README.md").read_text()
    assert "## 5. Which? (Table 3)" in page and "| a | .123 |" in page and "a > b: **a tie**" in page
    assert "[notebook.ipynb](ablation_npc/scenes-x/notebook.ipynb)" in page


def test_an_unknown_notebook_is_refused_before_any_runs(home):
    notebook(home / "notebooks" / "ablation_npc.ipynb", "")
    with pytest.raises(DcmqError, match=r"no notebook 'ablation' in notebooks \(there: ablation_npc\)"):
        batch.main(["ablation"])


def test_the_page_is_in_reading_order_with_generated_data_first(home):
    for name, data in (("captions", "scenes-x"), ("ablation_npc", "coco-x"), ("ablation_npc", "scenes-x")):
        folder = home / "reports" / name / data
        folder.mkdir(parents=True)
        record = dict(notebook=name, title=name, item="", claim="", verdicts=[], provenance={}, runs=[])
        (folder / "record.json").write_text(json.dumps(record))
    order = [f"{path.parent.name}/{path.name}" for path, _ in overview.collected(home / "reports")]
    assert order == ["ablation_npc/scenes-x", "ablation_npc/coco-x", "captions/scenes-x"]


@pytest.mark.slow
def test_every_notebook_runs_through_papermill_with_another_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path))
    assert batch.main(["--seeds", "1"]) == 0, capsys.readouterr().err
    assert {path.parent.parent.name for path in tmp_path.glob("*/*/record.json")} == set(overview.NOTEBOOKS)
    page = (tmp_path / "README.md").read_text()
    assert all(f"## {number}. " in page for number in range(1, len(overview.NOTEBOOKS) + 1))
    assert "one seed cannot tell" in page  # and no sd of a single value

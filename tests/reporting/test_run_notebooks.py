"""Notebooks in batch: one that fails stops nobody, and the page is made of the records."""

import json
import os
import time

import nbformat
import pytest

from dcmq.core.errors import DcmqError
from dcmq.core.executors import LostWorker
from dcmq.reporting.page import collected, page
from dcmq.reporting.run_notebooks import execute, notebook_parameters, run_notebooks
from dcmq.studies.registry import reading_order

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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "reports"))
    (tmp_path / "notebooks").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_failing_notebook_is_named_and_the_others_run(home):
    notebook(home / "notebooks" / "ablation_npc.ipynb", REPORT.format(name="ablation_npc"))
    notebook(home / "notebooks" / "captions.ipynb", "raise ValueError('no captions here')")
    failures = run_notebooks(["ablation_npc", "captions"], {"seeds": "7", "data_root": "nowhere"}, jobs=2)
    assert list(failures) == ["captions"]
    assert failures["captions"].startswith("ValueError: no captions here (all of it: runs/executed/captions.log")
    folder = home / "reports" / "ablation_npc" / "scenes-x"
    assert json.loads((folder / "record.json").read_text())["given"] == "7"  # and data_root is no parameter
    assert (folder / "notebook.ipynb").is_file()
    text = page(home / "reports", reading_order())
    number = reading_order().index("ablation_npc") + 1
    assert f"## {number}. Which? (Table 3)" in text and "| a | .123 |" in text and "a > b: **a tie**" in text
    assert "[notebook.ipynb](ablation_npc/scenes-x/notebook.ipynb)" in text


def test_an_unknown_notebook_is_refused_before_any_runs(home):
    notebook(home / "notebooks" / "ablation_npc.ipynb", "")
    with pytest.raises(
        DcmqError, match=r"no notebook 'ablation_np' in notebooks; did you mean ablation_npc\? \(known: ablation_npc\)"
    ):
        run_notebooks(["ablation_npc", "ablation_np"], {}, jobs=1)
    assert not (home / "runs").exists()


def test_where_there_is_no_notebook_at_all_it_is_said(home):
    with pytest.raises(DcmqError, match="no notebook in notebooks: set DCMQ_HOME to a checkout"):
        run_notebooks([], {}, jobs=1)


@pytest.mark.slow
def test_a_parameter_that_no_notebook_has_is_said(home, capsys):
    notebook(home / "notebooks" / "captions.ipynb", "raise ValueError('no captions here')")
    run_notebooks(["captions"], {"seeds": "7", "profile": "paper"}, jobs=1)
    assert "note: profile changes nothing, as it is no parameter of captions" in capsys.readouterr().err


def test_papermill_is_given_the_parameters_that_a_notebook_has(home):
    file = home / "notebooks" / "ablation_npc.ipynb"
    notebook(file, "")
    assert notebook_parameters(file, {"seeds": "0", "teacher": "clip"}) == {"seeds": "0"}
    several = 'seeds: str = "0"\nbits: int = 64\nworkers: int = 2\nwide: bool = True'
    cell = nbformat.v4.new_code_cell(several, metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), file)
    given = {"seeds": "0,1", "bits": "32", "wide": "false"}
    assert notebook_parameters(file, given) == {"seeds": "0,1", "bits": 32, "wide": False, "workers": 1}


@pytest.mark.parametrize("value", ["many", "1.5", "true", "", "null", "[" * 100_000, "[1]"])
def test_a_value_of_another_type_is_refused_before_any_notebook_runs(home, value):
    file = home / "notebooks" / "ablation_npc.ipynb"
    cell = nbformat.v4.new_code_cell("epochs: int = 0  # help", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), file)
    with pytest.raises(DcmqError, match=r"epochs: .* is no int; write it like 1") as caught:
        run_notebooks(["ablation_npc"], {"epochs": value}, jobs=1)
    assert len(str(caught.value)) < 120 and not (home / "runs").exists()


def is_gone(process, seconds=20):
    """True where there is no such process any more, or soon is not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


SLEEPING = """
import os, time
from pathlib import Path
Path({file!r}).write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.mark.slow
def test_an_interruption_leaves_no_notebook_running(home, monkeypatch):
    """What waits is not begun, and what runs is ended, its kernel too."""
    for name in ("ablation_npc", "captions", "cost"):
        notebook(home / "notebooks" / f"{name}.ipynb", SLEEPING.format(file=str(home / name)))

    def interrupted(_futures):
        while not (home / "ablation_npc").is_file() or not (home / "ablation_npc").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("dcmq.core.executors.as_completed", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_notebooks(["ablation_npc", "captions", "cost"], {}, jobs=1)
    assert time.monotonic() - start < 60 and not (home / "captions").exists() and not (home / "cost").exists()
    assert is_gone(int((home / "ablation_npc").read_text()))


DEADLY = """
import os, signal, time
from pathlib import Path
if not Path({file!r}).exists():
    Path({file!r}).touch()
    os.kill({process}, signal.SIGKILL)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_notebook_whose_kernel_or_process_is_killed_is_tried_again(home, capfd):
    kernel = DEADLY.format(file=str(home / "1"), process="os.getpid()")
    notebook(home / "notebooks" / "ablation_npc.ipynb", kernel + REPORT.format(name="ablation_npc"))
    process = DEADLY.format(file=str(home / "2"), process="os.getppid()")
    notebook(home / "notebooks" / "captions.ipynb", process + REPORT.format(name="captions"))
    notebook(home / "notebooks" / "cost.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    failures = run_notebooks(["ablation_npc", "captions", "cost"], {}, jobs=2)
    assert list(failures) == ["cost"] and "killed 3 times, most likely because memory was short" in failures["cost"]
    said = capfd.readouterr().err
    assert said.count("cost: its process was killed") == 3
    assert said.count("ablation_npc: its process") == said.count("captions: its process") == 1
    assert {path.parent.parent.name for path in home.glob("reports/*/*/notebook.ipynb")} == {"ablation_npc", "captions"}


def test_a_kernel_that_dies_before_it_answers_was_lost_like_any_other(home, monkeypatch):
    """jupyter_client says that by an error of no class of its own."""

    def execute_notebook(*_, **__):
        raise RuntimeError("Kernel died before replying to kernel_info")

    notebook(home / "notebooks" / "cost.ipynb", "")
    monkeypatch.setattr("papermill.execute_notebook", execute_notebook)
    with pytest.raises(LostWorker, match="its kernel was killed"):
        execute(home / "notebooks" / "cost.ipynb", {})


def test_the_page_is_in_reading_order_with_generated_data_first(home):
    for name, data in (("captions", "scenes-x"), ("ablation_npc", "coco-x"), ("ablation_npc", "scenes-x")):
        folder = home / "reports" / name / data
        folder.mkdir(parents=True)
        record = dict(notebook=name, title=name, item="", claim="", verdicts=[], provenance={}, runs=[])
        (folder / "record.json").write_text(json.dumps(record))
    order = [f"{path.parent.name}/{path.name}" for path, _ in collected(home / "reports", reading_order())]
    assert order == ["ablation_npc/scenes-x", "ablation_npc/coco-x", "captions/scenes-x"]


@pytest.mark.slow
def test_notebooks_run_through_papermill_with_another_seed(tmp_path, monkeypatch):
    """One that trains and one that does not; all of them are run at their defaults under --nbval."""
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path))
    names = ["similarity_histograms", "ablation_npc"]
    assert run_notebooks(names, {"seeds": "1", "epochs": "1"}, jobs=1) == {}
    assert {path.parent.parent.name for path in tmp_path.glob("*/*/record.json")} == set(names)
    text = page(tmp_path, reading_order())
    assert all(f"## {reading_order().index(name) + 1}. " in text for name in names)
    assert "one seed cannot tell" in text  # and no sd of a single value

"""Several runs at a time."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tiny import config, tiny_dataset

from dcmq.experiments.parallel import run_all
from dcmq.experiments.setup import ExperimentSetup


class Setup:
    """A setup whose data set is in memory."""

    @staticmethod
    def load():
        return tiny_dataset()


@pytest.mark.parametrize("workers", [1, 2])
def test_finished_runs_show_no_bar(home, capfd, workers):
    runs = [(config(epochs=1, seed=seed), Setup) for seed in (0, 1)]
    first = run_all(runs, workers=1, r=10)
    assert "training" in capfd.readouterr().err
    assert run_all(runs, workers=workers, r=10) == first
    assert "training" not in capfd.readouterr().err


@pytest.mark.slow
def test_trains_beside_others_in_a_kernel_whose_names_were_reset(home, monkeypatch):
    """IPython's ``%reset`` takes all names from ``__main__``, those too that Python's own start of processes reads."""
    monkeypatch.delattr(sys.modules["__main__"], "__spec__")
    setup = ExperimentSetup("scenes", "clip", options=dict(query=20, train=60, gallery=100))
    records = run_all([(config(epochs=1, seed=seed), setup) for seed in (0, 1)], workers=2, r=10)
    assert [record["config"]["seed"] for record in records] == [0, 1]


SCRIPT = """
import json, sys
from dcmq.core.errors import DcmqError
from dcmq.experiments.parallel import run_all
from dcmq.experiments.setup import ExperimentSetup
from tiny import config

if __name__ == "__main__":
    setup = ExperimentSetup("scenes", "clip", options=dict(query=20, train=60, gallery=100))
    try:
        records = run_all([(config(epochs=40, seed=seed), setup) for seed in range(3)], workers=int(sys.argv[1]), r=10)
        print(json.dumps([record["losses"] for record in records]))
    except DcmqError as error:
        sys.exit(str(error))
"""


def is_gone(group: int, seconds: float = 20) -> bool:
    """True where nobody is left in a process group, or soon is not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_leaves_a_line_no_process_and_all_that_was_trained(home, tmp_path, workers):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def start(folder):
        variables = os.environ | {"PYTHONPATH": tests, "DCMQ_HOME": str(folder), "DCMQ_PUBLISHED": ""}
        command = [sys.executable, str(script), str(workers)]
        return subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    process = start(home)
    deadline = time.monotonic() + 180
    while len(list(home.glob("runs/*/checkpoint.safetensors"))) < workers and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal and Jupyter do: everyone in the group gets it
    out, err = process.communicate(timeout=60)
    said = err.splitlines()[-1].rpartition("\r")[2]
    assert process.returncode == 1 and not out and "Traceback" not in err
    assert said.startswith("interrupted: ") and "of 3 runs are finished; started again, the others go on" in said
    assert is_gone(process.pid)
    again, err = start(home).communicate(timeout=300)
    whole, err = start(tmp_path / "undisturbed").communicate(timeout=300)
    assert again == whole != ""

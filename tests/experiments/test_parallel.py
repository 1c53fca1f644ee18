"""Several runs at a time."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tiny import config, tiny_dataset

from dcmq.core.errors import DcmqError
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


def started(script, home, *arguments):
    """A process of Python that runs the text ``script``."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    variables = os.environ | {
        "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tests}",
        "DCMQ_HOME": str(home),
        "DCMQ_PUBLISHED": "",
    }
    home.mkdir(exist_ok=True)
    file = home / "script.py"
    file.write_text(script)
    command = [sys.executable, str(file), *arguments]
    return subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


ALWAYS_KILLED = """
import os, signal, sys
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments.parallel import run_all
from dcmq.experiments.records import finished_record
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.dcmq.targets import npc, register_target
from tiny import config

@register_target
def too_large(similarity, labels):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    setup = ExperimentSetup("scenes", "clip", options=dict(query=20, train=60, gallery=100))
    configs = [config(epochs=2, seed=0, target="too_large"), *(config(epochs=2, seed=seed) for seed in (1, 2, 3))]
    try:
        run_all([(one, setup) for one in configs], workers=3, r=10)
    except DcmqError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_run_whose_process_is_always_killed_is_named_and_the_others_are_finished(tmp_path):
    out, err = started(ALWAYS_KILLED, tmp_path / "home").communicate(timeout=900)
    assert (
        out.startswith("too_large-16bits-seed0-") and "killed 3 times" in out and "the other runs are finished" in out
    )
    assert len(out.splitlines()) == 1 and "Traceback" not in err
    assert err.count("too_large-16bits-seed0-") == 3 and "the others go on" in err
    assert len(list((tmp_path / "home").glob("runs/*/record.json"))) == 3


@pytest.mark.slow
def test_somebody_elses_run_is_left_for_later(tmp_path):
    """Two processes, as two machines would, with one list and one folder: each run is trained once, by one of them."""
    whole, _ = started(SCRIPT, tmp_path / "alone", "1").communicate(timeout=900)
    both = [started(SCRIPT, tmp_path / "shared", "1") for _ in range(2)]
    outputs = [process.communicate(timeout=900)[0] for process in both]
    assert outputs == [whole, whole] and whole


def test_a_cluster_that_nobody_answers_for_is_said_in_one_line(home, monkeypatch):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr("dcmq.core.executors._CONNECTING", 0.3)
    with pytest.raises(
        DcmqError, match="scheduler: nobody answers at tcp://127.0.0.1:9 .*: start one with dask scheduler"
    ):
        run_all([(config(epochs=1), Setup)], scheduler="tcp://127.0.0.1:9", r=10)
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://127.0.0.1:9")
    with pytest.raises(DcmqError, match="nobody answers at tcp://127.0.0.1:9"):
        run_all([(config(epochs=1), Setup)], r=10)


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
    process = started(SCRIPT, home, str(workers))
    deadline = time.monotonic() + 180
    while len(list(home.glob("runs/*/checkpoint.safetensors"))) < workers and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal and Jupyter do: everyone in the group gets it
    out, err = process.communicate(timeout=60)
    said = err.splitlines()[-1].rpartition("\r")[2]
    assert process.returncode == 1 and not out and "Traceback" not in err
    assert said.startswith("interrupted: ") and "of 3 runs are finished; started again, the others go on" in said
    assert is_gone(process.pid)
    again, err = started(SCRIPT, home, str(workers)).communicate(timeout=900)
    whole, err = started(SCRIPT, tmp_path / "undisturbed", str(workers)).communicate(timeout=900)
    assert again == whole != ""

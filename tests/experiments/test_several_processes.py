"""Runs that several processes train together: recorded once, with the losses that one process has, for every trained method."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# Batch statistics are per process; everything else must agree, so they are left out.
TRAINED = """
import os, sys
from dataclasses import replace
import torch
sys.path.insert(0, {tests!r})
torch.nn.BatchNorm2d.forward = lambda self, x: x * self.weight[:, None, None] + self.bias[:, None, None]
from dcmq.config import MethodConfig
from dcmq.experiments import runs
from dcmq.experiments.parallel import run_all
from tasks import HASHING, SMALL
from tiny import config, tiny_dataset

dataset, teacher = tiny_dataset()
train = dataset.split.train[:48]  # three equal batches, also of two processes
dataset = replace(dataset, split=replace(dataset.split, train=train))
configs = [config(epochs=2), config(epochs=1, schedule="separate")]
configs += [MethodConfig(method=name, student=SMALL, epochs=2, batch_size=16, learning_rate=1e-3) for name in HASHING]
configs.append(MethodConfig(method="PQ", student=SMALL.model_copy(update={{"bits": 4}})))
for each in configs:
    record = runs.run(each, dataset, teacher, r=10)
    again = runs.run(each, dataset, teacher, r=10)
    assert record == again, each.label
print("done", os.environ.get("RANK"), flush=True)
"""

REFUSED = """
import sys
import torch
sys.path.insert(0, {tests!r})
from dcmq.core.errors import DcmqError
from dcmq.training.processes import by_first, open_fabric

calls = []
def make():
    calls.append(1)
    raise DcmqError("no room")
try:
    by_first(make)
except DcmqError as error:
    rank = open_fabric().global_rank
    assert str(error) == "no room" and len(calls) == (rank == 0)
    print("told", rank, flush=True)
assert by_first(lambda: 7) == 7
torch.distributed.destroy_process_group()  # else the threads that talk to the others may abort
"""


def ran(script: str, folder: Path, processes: int) -> str:
    folder.mkdir()
    file = folder / "script.py"
    file.write_text(script.format(tests=str(Path(__file__).parents[1])))
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {"DCMQ_HOME": str(folder), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, *launch, str(file)], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def records(folder: Path) -> dict[str, dict]:
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("runs/*/record.json"))]
    return {f"{record['config']['method']} {record['config'].get('schedule')}": record for record in found}


def test_two_processes_train_every_method_as_one_does(tmp_path):
    for name, processes in (("alone", 1), ("two", 2)):
        assert ran(TRAINED, tmp_path / name, processes).count("done") == processes
    alone, two = records(tmp_path / "alone"), records(tmp_path / "two")
    assert alone.keys() == two.keys() and len(alone) == 8
    for name, record in alone.items():
        assert two[name]["key"] == record["key"]
        assert two[name]["device"] == ("cpu" if name.startswith("PQ") else "2 x cpu")
        for mine, theirs in zip(two[name]["losses"], record["losses"], strict=True):
            assert mine == pytest.approx(theirs, rel=2e-3), name


def test_what_goes_wrong_in_the_first_process_is_told_to_all(tmp_path):
    assert sorted(ran(REFUSED, tmp_path / "two", 2).split("\n"))[-2:] == ["told 0", "told 1"]

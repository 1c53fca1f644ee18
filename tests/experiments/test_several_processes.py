"""Runs that several processes train together: recorded once, with the losses that one process has, for every trained method."""

import json
import subprocess
import sys
from collections.abc import Mapping
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


def ran(
    script: str, folder: Path, processes: int, surroundings: Mapping[str, str] = {}, seconds: int = 600  # noqa: B006
) -> str:
    folder.mkdir()
    file = folder / "script.py"
    file.write_text(script.format(tests=str(Path(__file__).parents[1])))
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {"DCMQ_HOME": str(folder), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", **surroundings}
    done = subprocess.run(
        [sys.executable, *launch, str(file)], capture_output=True, text=True, timeout=seconds, env=environment
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


ALONE = """
import sys
sys.path.insert(0, {tests!r})
from dcmq.experiments import runs
from dcmq.training.processes import is_first, world_size
from tiny import config, tiny_dataset

assert world_size() == 1 and is_first()
record = runs.run(config(epochs=1), *tiny_dataset(), r=10)
assert record == runs.run(config(epochs=1), *tiny_dataset(), r=10)
print("loss", record["losses"], flush=True)
"""
SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2",
    "SLURM_NODEID": "0", "SLURM_NODELIST": "node[1-2]", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2",
}  # fmt: skip


def test_what_a_shell_says_of_other_processes_is_not_waited_for(tmp_path):
    """As torchrun alone starts processes that train together, a run is trained here, to the same numbers."""
    said = set()
    for number, surroundings in enumerate(
        (
            {},
            {"WORLD_SIZE": "2"},
            {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
            {"WORLD_SIZE": "many", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"},
            SLURM,
            {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMI_SIZE": "4", "PMI_RANK": "3"},
        )
    ):
        said.add(ran(ALONE, tmp_path / str(number), 1, surroundings, seconds=120))
    assert len(said) == 1 and next(iter(said)).startswith("loss")

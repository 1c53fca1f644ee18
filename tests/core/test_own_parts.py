"""Own parts in other processes: what a cell defines trains there as it does here, and its runs have the same keys."""

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from dcmq.core.errors import DcmqError
from dcmq.core.own_parts import pack
from dcmq.core.registry import Registry
from dcmq.experiments.records import result_differences
from dcmq.methods.dcmq.targets import TARGETS, register_target

PARTS = """
import os
import torch
from torch import nn
from dcmq.methods.base import FitResult, register_method
from dcmq.methods.dcmq.losses import distillation_loss, register_loss
from dcmq.methods.dcmq.quantizer import ProductQuantizer, register_quantizer
from dcmq.methods.dcmq.targets import TARGETS, register_target
from dcmq.methods.hashing import HashTrainer, register_hashing
from dcmq.networks.encoders import register_image_encoder, with_head

POWER = 3
WEIGHTS = torch.tensor([1.0, 2.0])


def helper(matrix):
    return matrix**POWER


@register_target
def helped(similarity, labels):
    with open(f"{os.environ['DCMQ_HOME']}/target-{os.getpid()}", "w"):
        return helper(TARGETS["npc"](similarity, labels))


@register_loss
def weighed(batch):
    terms = distillation_loss(batch)
    spread = batch.codebooks.std(1).mean()
    within = (batch.image @ batch.image.T - batch.teacher_image @ batch.teacher_image.T).square().mean()
    return {"i2t": WEIGHTS[0] * terms["i2t"], "t2i": WEIGHTS[1] * terms["t2i"], "more": 1e-3 * within - 1e-3 * spread}


@register_quantizer
class Harder(ProductQuantizer):
    def weights(self, cosines, noise=None):
        return torch.softmax(super().weights(cosines, noise) / 0.3, -1)


@register_image_encoder("one_layer")
def one_layer(dimension, image_size, weights):
    backbone = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return with_head(backbone, 8, dimension)


@register_hashing("Pairwise", note="cosines follow shared labels")
class PairwiseTrainer(HashTrainer):
    def loss(self, rows, image, text):
        cosine = nn.functional.normalize(image) @ nn.functional.normalize(text).T
        return {"pairs": (cosine - self.similar(rows)).square().mean()}
"""

RUNS = """
import json
import os
from pathlib import Path
from dcmq.experiments.study import run_plan
from dcmq.studies.own_idea import Parameters

p = Parameters(
    idea="helped",
    rivals="weighed; Harder; one_layer; Pairwise",
    teacher="clip", dataset="scenes", data_root="", data_options="query=20 train=60 gallery=100", profile="demo",
    bits=16, seeds="0,1", validation=False, epochs=1, settings="batch_size=16 image_size=16", workers=WORKERS,
)
Path("records.json").write_text(json.dumps(run_plan(p)))
Path("kernel").write_text(str(os.getpid()))
"""


def run_cells(folder: Path, *cells: str) -> list[dict]:
    """The records that a notebook's cells leave, in a kernel of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return json.loads((folder / "records.json").read_text())


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """A function that makes a folder the home of all that follows."""

    def at(name):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv("DCMQ_HOME", str(folder))
        monkeypatch.setenv("DCMQ_PUBLISHED", "")
        return folder

    return at


@pytest.mark.slow
def test_parts_of_a_cell_train_in_other_processes_to_the_same_records(apart):
    here = apart("here")
    alone = run_cells(here, PARTS, RUNS.replace("WORKERS", "1"))
    there = apart("there")
    several = run_cells(there, PARTS, RUNS.replace("WORKERS", "2"))
    assert [record["key"] for record in several] == [record["key"] for record in alone]
    assert len({record["key"] for record in alone}) == 10
    for one, other in zip(alone, several, strict=True):
        assert result_differences(one, other) == []
    assert [file.name for file in here.glob("target-*")] == [f"target-{(here / 'kernel').read_text()}"]
    assert [file.name for file in there.glob("target-*")] != [f"target-{(there / 'kernel').read_text()}"]
    changed = run_cells(there, PARTS.replace("POWER = 3", "POWER = 5"), RUNS.replace("WORKERS", "2"))
    moved = [one["key"] != other["key"] for one, other in zip(several, changed, strict=True)]
    assert moved == [True, True] + [False] * 8


@pytest.fixture
def own_names(monkeypatch):
    monkeypatch.setattr(TARGETS, "_entries", dict(TARGETS))


def test_what_cannot_be_sent_is_named(own_names):
    lock = threading.Lock()

    @register_target
    def locked(similarity, labels):
        with lock:
            return similarity

    with pytest.raises(
        DcmqError, match="target: 'locked' cannot be sent to other processes .*set workers to 1"
    ) as caught:
        pack()
    assert "\n" not in str(caught.value)


def test_a_parcel_is_unpacked_where_nothing_was_imported(tmp_path):
    script = """
import linecache, sys
source = "def mine(similarity, labels):\\n    return similarity * FACTOR\\n"
linecache.cache["<cell>"] = (len(source), None, source.splitlines(True), "<cell>")
from dcmq.core.own_parts import pack
from dcmq.core.user_code import source_fingerprint
from dcmq.methods.dcmq.targets import register_target
FACTOR = 2.0
exec(compile(source, "<cell>", "exec"))
register_target(mine)
open("parcel", "wb").write(pack())
print(source_fingerprint(mine))
"""
    other = """
from dcmq.core.own_parts import unpack
unpack(open("parcel", "rb").read())
from dcmq.core.user_code import source_fingerprint
from dcmq.methods.dcmq.targets import TARGETS
assert TARGETS.of_users().keys() == {"mine"} and TARGETS["mine"](3.0, None) == 6.0
print(source_fingerprint(TARGETS["mine"]))
"""
    said = [
        subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True)
        for text in (script, other)
    ]
    assert [run.returncode for run in said] == [0, 0], said
    assert said[0].stdout == said[1].stdout != ""


def test_a_registry_is_sent_as_itself():
    assert pickle.loads(pickle.dumps(TARGETS)) is TARGETS
    assert isinstance(TARGETS, Registry)

"""A run on each kind of prepared data set, from its files to recorded metrics, and the notebook on one of them."""

import subprocess
import sys
from pathlib import Path

import miniature
import numpy as np
import pytest

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.catalog import ReadOptions
from dcmq.data.datasets import load_dataset, read_source
from dcmq.data.prepare import prepare
from dcmq.experiments.parallel import run_all
from dcmq.experiments.setup import ExperimentSetup

NOTEBOOK_ON = "mirflickr:20015"
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "ablation_npc.ipynb"
SETS = {
    "mirflickr:20015": (miniature.mirflickr, {"query": 5, "train": 20}),
    "nuswide:tc10": (miniature.nuswide, {"query": 10, "train": 40}),
    "folder": (miniature.folder, {}),
    "coco": (miniature.coco, {"query": 5, "train": 20}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_a_run_from_files_to_metrics(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "reports"))
    make, sizes = SETS[name]
    make(tmp_path / "files")
    source = read_source(name, tmp_path / "files", ReadOptions())
    prepare(source, tmp_path / "out", image_size=16, official=False, **sizes)
    data, rng = load_dataset(name, str(tmp_path / "out")), np.random.default_rng(0)
    texts = (data.labels @ rng.normal(size=(len(data.classes), 8))).astype(np.float32)
    images = texts + rng.normal(size=texts.shape).astype(np.float32)
    np.savez(tmp_path / "teacher.npz", image_id=data.ids, image=images, text=texts)
    student = StudentConfig(image_encoder="small_resnet", image_size=16, text_hidden=(16, 16), bits=16, subvector_dim=4)
    config = TrainConfig(student=student, epochs=1, batch_size=8)
    setup = ExperimentSetup(name, f"precomputed:{tmp_path / 'teacher.npz'}", str(tmp_path / "out"))
    record = run_all([(config, setup)], workers=1, r=10)[0]
    assert record["dataset"]["split"] == data.split.hash and record["dataset"]["choices"]["dropped"] is not None
    assert record["dataset"]["name"] == name.partition(":")[0]
    if name == NOTEBOOK_ON:  # a minute each, so on one of them
        run_the_notebook(tmp_path, name)


def run_the_notebook(tmp_path, name):
    parameters = dict(
        dataset=name,
        data_root=tmp_path / "out",
        teacher=f"precomputed:{tmp_path / 'teacher.npz'}",
        epochs=1,
        seeds=0,
        workers=1,
        settings="batch_size=8",
    )
    words = [str(word) for item in parameters.items() for word in ("-p", *item)]
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(tmp_path / "out.ipynb"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "reports").glob("ablation_npc/*/record.json"))) == 1

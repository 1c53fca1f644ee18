"""A run on each kind of prepared data set, from its files to recorded metrics."""

import miniature
import numpy as np
import pytest

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data import load_dataset
from dcmq.data.__main__ import main
from dcmq.experiments import Workspace, run_all

SETS = {
    "mirflickr:20015": (miniature.mirflickr, ["--expect", "none", "--query", "5", "--train", "20"]),
    "nuswide:tc10": (miniature.nuswide, ["--expect", "none", "--query", "10", "--train", "40"]),
    "folder": (miniature.folder, []),
    "coco": (miniature.coco, ["--expect", "none", "--query", "5", "--train", "20"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_a_run_from_files_to_metrics(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    make, words = SETS[name]
    make(tmp_path / "files")
    main(
        [
            "prepare",
            name,
            "--root",
            str(tmp_path / "files"),
            "--out",
            str(tmp_path / "out"),
            "--image-size",
            "16",
            *words,
        ]
    )
    data, rng = load_dataset(name, str(tmp_path / "out")), np.random.default_rng(0)
    texts = (data.labels @ rng.normal(size=(len(data.classes), 8))).astype(np.float32)
    pictures = texts + rng.normal(size=texts.shape).astype(np.float32)
    np.savez(tmp_path / "teacher.npz", image_id=data.ids, image=pictures, text=texts)
    student = StudentConfig(
        image_encoder="small_resnet", image_size=16, text_hidden=(16, 16), bits=16, subvector_length=4
    )
    config = TrainConfig(student=student, epochs=1, batch_size=8)
    workspace = Workspace(name, f"precomputed:{tmp_path / 'teacher.npz'}", str(tmp_path / "out"))
    record = run_all([config], workspace, workers=1, r=10)[0]
    assert record["dataset"]["split"] == data.split.hash and record["dataset"]["choices"]["dropped"] is not None
    assert record["dataset"]["name"] == name.partition(":")[0]

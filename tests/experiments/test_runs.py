"""Runs: recorded, found again, measured again without training, and never mistaken for another."""

import errno
import os
import shutil
import tempfile
from dataclasses import replace

import pytest
import torch
import torchvision
from tiny import config, tiny_dataset

from dcmq.config import EncodersConfig, MethodConfig, StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments import records, runs
from dcmq.experiments.keys import run_key
from dcmq.search.runs import model_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["identity", "multihot", "raw", "npc"])
def test_every_target_trains_and_is_far_above_chance(tmp_path, monkeypatch, target):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    dataset, teacher = tiny_dataset()
    record = runs.run(config(target=target, epochs=12), dataset, teacher, r=10)
    assert record["evaluation"]["i2t"]["gallery"]["mAP@all"] > dataset.chance() + 0.2
    assert record["evaluation"]["t2i"]["unseen"]["mAP@all"] > dataset.chance() + 0.2


def test_a_finished_run_is_found_and_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    data = tiny_dataset()
    first = runs.run(config(epochs=1), *data)
    trained = []
    assert runs.run(config(epochs=1), *data, on_epoch_end=trained.append) == first and not trained
    assert len(list((tmp_path / "runs").glob("*/record.json"))) == 1


def test_where_measuring_changes_a_run_is_measured_again_but_not_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    data, trained = tiny_dataset(), []
    first = runs.run(config(epochs=1), *data, on_epoch_end=trained.append)
    assert len(trained) == 1
    for module in (runs, records):
        monkeypatch.setattr(module, "evaluation_fingerprint", lambda: "another")
    second = runs.run(config(epochs=1), *data, on_epoch_end=trained.append)
    assert len(trained) == 1 and second["losses"] == first["losses"] and second["key"] == first["key"]
    assert second["evaluation"]["code"] == "another"
    metrics = [{k: v for k, v in r["evaluation"].items() if k not in ("code", "seconds")} for r in (first, second)]
    assert metrics[0] == metrics[1]
    other_r = runs.run(config(epochs=1), *data, on_epoch_end=trained.append, r=7)
    assert len(trained) == 1 and other_r["evaluation"]["R"] == 7


def test_what_killed_processes_left_goes_at_the_next_run_of_that_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    data = tiny_dataset()
    folder = runs.run_folder(config(epochs=1), runs.run(config(epochs=1), *data)["key"])
    whole = sorted(path.name for path in folder.iterdir())
    for name in (".checkpoint.safetensors.ab12_cd3", ".record.json.00000000"):
        (folder / name).write_bytes(b"half")
    (folder / "record.json").unlink()
    runs.run(config(epochs=1), *data)
    assert sorted(path.name for path in folder.iterdir()) == whole


def test_a_run_leaves_what_its_student_must_be_told_to_read_more(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    data = tiny_dataset()
    record = runs.run(config(epochs=1), *data)
    model = model_of(runs.run_folder(config(epochs=1), record["key"]))
    assert model.vocabulary == data[0].vocabulary and model.dataset_image_size == 16


def test_a_backbone_file_is_known_by_its_content(tmp_path):
    dataset, teacher = tiny_dataset()
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "a.pth")
    shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth")

    def key(name):
        student = StudentConfig(bits=16, subvector_dim=4, image_size=32, backbone_weights=str(tmp_path / name))
        return run_key(config(student=student), dataset, teacher)

    first = key("a.pth")
    assert key("b.pth") == first  # the same weights elsewhere
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "a.pth")
    assert key("a.pth") != first  # other weights under the same name
    with pytest.raises(DcmqError, match="no file"):
        key("c.pth")


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("PQ", {"bits": 8}, "PQ of 8 bits, seed 0, on tiny: 4 training vectors cannot fill 16 codewords"),
        ("OPQ", {"bits": 8}, "OPQ of 8 bits, seed 0, on tiny: 4 training vectors cannot fill 16 codewords"),
        ("PQ", {"bits": 64}, "PQ of 64 bits, seed 0, on tiny: bits: 64 need 16 sub-vectors, the features have 3 numbers"),
        ("CMMQ", {"bits": 12}, "CMMQ of 12 bits, seed 0, on tiny: bits: CMMQ's proxies need a Hadamard matrix"),
    ],
)
def test_what_a_method_refuses_says_of_which_run(tmp_path, monkeypatch, method, settings, words):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    dataset, teacher = tiny_dataset()
    if "training vectors" in words:
        dataset = replace(dataset, split=replace(dataset.split, train=dataset.split.train[:2]))
    student = EncodersConfig(image_encoder="small_resnet", image_size=16, text_hidden=(16, 16), **settings)
    with pytest.raises(DcmqError) as caught:
        runs.run(MethodConfig(method=method, student=student, epochs=1, batch_size=16), dataset, teacher)
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("*/record.json"))


def test_a_loss_that_is_no_number_says_of_which_run(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    dataset, teacher = tiny_dataset()
    wrong = replace(teacher, vectors=lambda: tuple(torch.full_like(part, float("nan")) for part in teacher.vectors()))
    with pytest.raises(DcmqError, match=r"^DCMQ \(npc\) of 16 bits, seed 0, on tiny: (target|the loss)"):
        runs.run(config(epochs=1), dataset, wrong)


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES], ids=errno.errorcode.get)
def test_a_run_that_cannot_be_written_is_one_line_and_is_trained_where_there_is_room_again(tmp_path, monkeypatch, code):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    data, made = tiny_dataset(), tempfile.mkstemp

    def refuse(*words, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(DcmqError, match="^(no space left to|cannot) write .*DCMQ_HOME") as caught:
        runs.run(config(epochs=1), *data)
    assert "\n" not in str(caught.value) and not list((tmp_path / "runs").glob("*/*.json"))
    monkeypatch.setattr(tempfile, "mkstemp", made)
    assert runs.run(config(epochs=1), *data)["losses"]

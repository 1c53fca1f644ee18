"""Prepared folders: the same data set as before, checked, and every way in which they can be wrong."""

import json
import shutil
from pathlib import Path

import miniature
import numpy as np
import pytest
from commands import run_command

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import official_counts
from dcmq.data.datasets import load_dataset, preparable
from dcmq.data.populations import check_counts
from dcmq.data.prepare import verify
from dcmq.data.prepared import description
from dcmq.data.splits import per_class_split


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))


@pytest.fixture
def own(tmp_path):
    return miniature.folder(tmp_path / "own")


def prepared(root, *words):
    run_command("data", "prepare", "folder", "--root", str(root), "--image-size", "8", *words)
    return load_dataset("folder", str(root))


def test_coco_prepared_is_the_same_data_set(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    options = dict(query=5, train=12, image_size=8)
    words = ["--query", "5", "--train", "12", "--expect", "none", "--out", str(tmp_path / "out")]
    printed = run_command("data", "prepare", "coco", "--root", str(root), "--image-size", "8", *words)
    direct, stored = load_dataset("coco", str(root), **options), load_dataset("coco", str(tmp_path / "out"), **options)
    assert stored.fingerprint == direct.fingerprint and stored.split.hash == direct.split.hash
    assert stored.captions == direct.captions and stored.vocabulary == direct.vocabulary
    assert np.array_equal(stored.images, direct.images) and (stored.bow != direct.bow).nnz == 0
    other = dict(query=6, train=9, seed=3)
    direct, stored = (
        load_dataset("coco", str(root), image_size=8, **other),
        load_dataset("coco", str(tmp_path / "out"), **other),
    )
    assert stored.fingerprint == direct.fingerprint and (stored.bow != direct.bow).nnz == 0
    assert (tmp_path / "out" / "splits" / "6-9-3.json").is_file()
    assert "2 without label" in printed and "fingerprint" in printed


def test_official_counts_are_asked_for_unless_told_otherwise(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    with pytest.raises(DcmqError, match=r"pictures \(the list of samples.* is 30, not 123,287.*--expect none"):
        run_command("data", "prepare", "coco", "--root", str(root))
    for name, counts in official_counts().items():
        check_counts(name, counts)
        with pytest.raises(DcmqError, match=r"kept \(the last filter"):
            check_counts(name, counts | {"kept": counts["kept"] - 1})


def test_missing_and_broken_images_are_named(own):
    (own / "bilder" / "größe 1.jpg").write_bytes(b"\xff\xd8 cut")
    with pytest.warns(UserWarning, match="cannot be decoded: .*größe 1.jpg"):
        data = prepared(own)
    assert len(data.ids) == 29 and description(own / "prepared" / "folder")["left_out"] == ["bilder/größe 1.jpg"]
    (own / "bilder" / "größe 2.jpg").unlink()
    (own / "bilder" / "größe 4.jpg").unlink()
    (own / "bilder" / "größe 4.jpg").symlink_to(own / "gone.jpg")
    with pytest.raises(DcmqError, match="2 of 30 pictures are not on disk .*größe 2.jpg.*--skip-missing"):
        prepared(own)
    with pytest.raises(DcmqError, match="preparing did not end|not prepared"):
        load_dataset("folder", str(own))
    with pytest.warns(UserWarning, match="2 samples left out"):
        data = prepared(own, "--skip-missing")
    assert data.choices["dropped"]["picture not on disk"] == 2 and len(data.ids) == 27
    (own / "bilder" / "größe 5.jpg").write_bytes(b"")
    with pytest.raises(DcmqError, match="2 of 28 pictures cannot be decoded"):
        prepared(own, "--skip-missing")


def test_links_are_followed_and_decoding_is_not_repeated(own, tmp_path):
    (tmp_path / "linked").symlink_to(own)
    data = prepared(tmp_path / "linked")
    stored = own / "prepared" / "folder" / "images.npy"
    made = stored.stat().st_mtime_ns
    assert prepared(own, "--seed", "1").fingerprint != data.fingerprint
    assert stored.stat().st_mtime_ns == made


def test_damage_is_noticed(own):
    prepared(own)
    out = own / "prepared" / "folder"
    assert verify(out)["name"] == "folder"
    assert "files by SHA-256" in run_command("data", "verify", "folder", "--root", str(own))
    for name in ("images.npy", "bow.npz", "manifest.parquet"):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole[:-1])
        with pytest.raises(DcmqError, match=f"{name} is .* bytes long.*prepare folder again"):
            load_dataset("folder", str(own))
        (out / name).write_bytes(whole)
    pixels = np.load(out / "images.npy", mmap_mode="r+")
    pixels[0, 0, 0, 0] ^= 1
    pixels.flush()
    with pytest.raises(DcmqError, match="images.npy differs from its checksum"):
        verify(out)
    pixels[0, 0, 0, 0] ^= 1
    pixels.flush()
    about = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps(about | {"choices": about["choices"] | {"content": "0"}}))
    with pytest.raises(DcmqError, match="split or choices differ"):
        verify(out)
    (out / "dataset.json").write_text("{")
    with pytest.raises(DcmqError, match="cannot be read"):
        load_dataset("folder", str(own))


def test_no_space_and_no_permission(own, monkeypatch):
    class Usage:
        free = 1000

    with monkeypatch.context() as patch:
        patch.setattr("dcmq.core.storage.shutil.disk_usage", lambda _: Usage)
        with pytest.raises(DcmqError, match="needs 0.0 GB at .* free some"):
            prepared(own)

    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    for method in ("is_file", "mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, denied)
            with pytest.raises(DcmqError, match="no permission; change that"):
                prepared(own)

    prepared(own)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", denied)
        with pytest.raises(DcmqError, match="data_root: .* may not be read: check its permissions"):
            load_dataset("folder", str(own))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(DcmqError, match="may not be read"):
        load_dataset("folder", str(own))


def test_names_of_populations():
    assert preparable("mirflickr") == "mirflickr:20015" and preparable("folder") == "folder"
    for name in ("mirflickr:2015", "scenes", "coco:x"):
        with pytest.raises(DcmqError, match="known: coco, folder, mirflickr:20015"):
            preparable(name)


def test_one_class_only_is_refused_wherever_it_comes_from(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    words = ["prepare", "coco", "--root", str(root), "--expect", "none", "--ignore-classes", "person,car,dog"]
    with pytest.raises(DcmqError, match="coco: one class only, 'toothbrush', in .*relevant to every query"):
        run_command("data", *words)
    with pytest.raises(DcmqError, match="one class only"):
        load_dataset("coco", str(root), query=5, train=5, ignore_classes=("person", "car", "dog"))


@pytest.mark.parametrize(
    ("content", "words"), [("[]", "has no annotations"), ("{}", "no annotation file"), ("{", "is no JSON")]
)
def test_a_json_that_is_not_cocos_is_named(tmp_path, content, words):
    root = miniature.coco(tmp_path / "coco")
    (root / "annotations" / "captions_val2014.json").write_text(content)
    with pytest.raises(DcmqError, match=f"captions_val2014.json.*{words}"):
        load_dataset("coco", str(root), query=5, train=12)


def test_another_data_set_in_the_folder(own):
    prepared(own)
    with pytest.raises(DcmqError, match="holds folder, not nuswide"):
        load_dataset("nuswide", str(own / "prepared" / "folder"))


def test_per_class_split_by_hand():
    labels = np.zeros((40, 3), np.uint8)
    labels[:4, 0], labels[3:14, 1], labels[10:, 2] = 1, 1, 1
    split = per_class_split(labels, 9, 15, seed=0)
    assert len(split.query) == 9 and len(split.train) == 15 and len(split.gallery) == 31 and len(split.validation) == 1
    assert (labels[split.query].sum(0) >= 3).all()
    assert not set(split.query) & set(split.gallery) and set(split.train) <= set(split.gallery)
    assert per_class_split(labels, 9, 15, seed=0).hash == split.hash != per_class_split(labels, 9, 15, seed=1).hash
    with pytest.raises(DcmqError, match="there are 40"):
        per_class_split(labels, 30, 15)


def test_two_releases_of_coco_are_not_pooled(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    for kind in ("instances", "captions"):
        shutil.copy(root / "annotations" / f"{kind}_val2014.json", root / "annotations" / f"{kind}_val2017.json")
    (root / "val2014").rename(root / "val2017")
    (root / "val2014").symlink_to(root / "val2017")
    with pytest.raises(DcmqError, match="picture 100 of instances_val2017.json.*keep one release"):
        load_dataset("coco", str(root), query=5, train=12)

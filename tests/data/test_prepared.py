"""Prepared folders: the same data set as before, checked, and every way in which they can be wrong."""

import json
import shutil
from functools import partial
from pathlib import Path

import miniature
import numpy as np
import pytest

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.data.catalog import official_counts
from dcmq.data.datasets import load_dataset, preparable
from dcmq.data.populations import check_counts
from dcmq.data.prepare import verify
from dcmq.data.prepared import description
from dcmq.data.splits import per_class_split
from dcmq.data.summary import prepared_summary

pytestmark = pytest.mark.usefixtures("home")


prepared = partial(miniature.prepared, "folder")


def test_coco_prepared_is_the_same_data_set(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    options = dict(query=5, train=12, image_size=8)
    miniature.prepared("coco", root, out=tmp_path / "out", query=5, train=12)
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
    summary = prepared_summary(tmp_path / "out", description(tmp_path / "out"))
    assert "30 images" in summary and "2 without label" in summary and "counts not compared" in summary


def test_official_counts_are_asked_for_unless_told_otherwise(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    with pytest.raises(DcmqError, match=r"images \(the list of samples.* is 30, not 123,287.*--expect none"):
        miniature.prepared("coco", root, official=True)
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
    with pytest.raises(DcmqError, match="2 of 30 images are not on disk .*größe 2.jpg.*--skip-missing"):
        prepared(own)
    with pytest.raises(DcmqError, match="preparing did not end|not prepared"):
        load_dataset("folder", str(own))
    with pytest.warns(UserWarning, match="2 samples left out: their images are not on disk"):
        data = prepared(own, skip_missing=True)
    assert data.choices["dropped"]["picture not on disk"] == 2 and len(data.ids) == 27
    (own / "bilder" / "größe 5.jpg").write_bytes(b"")
    with pytest.raises(DcmqError, match="2 of 28 images cannot be decoded"):
        prepared(own, skip_missing=True)


def test_links_are_followed_and_decoding_is_not_repeated(own, tmp_path):
    (tmp_path / "linked").symlink_to(own)
    data = prepared(tmp_path / "linked")
    stored = own / "prepared" / "folder" / "images.npy"
    written = stored.stat().st_mtime_ns
    assert prepared(own, seed=1).fingerprint != data.fingerprint
    assert stored.stat().st_mtime_ns == written


def test_damage_is_noticed(own):
    prepared(own)
    out = own / "prepared" / "folder"
    assert verify(out)["name"] == "folder"
    for name in ("images.npy", "bow.npz", "manifest.parquet", "classes.txt", "vocabulary.txt"):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        for read in (verify, lambda folder: load_dataset("folder", str(own))):
            with pytest.raises(DcmqError, match=f"{name} differs from its checksum in dataset.json: prepare folder"):
                read(out)
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
    other = about | {"choices": about["choices"] | {"content": "0"}}
    (out / "dataset.json").write_text(json.dumps(other))
    with pytest.raises(DcmqError, match="dataset.json was damaged or edited"):
        verify(out)
    del other["sha256"]  # as in folders that were prepared before
    (out / "dataset.json").write_text(json.dumps(other))
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
        with pytest.raises(DcmqError, match="needs 5.8 kB at .* and 1.0 kB are free there: free some"):
            prepared(own)

    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", denied)
        with pytest.raises(DcmqError, match="cannot write .*: Permission denied"):
            prepared(own)

    prepared(own)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", denied)
        with pytest.raises(DcmqError, match="data_root: .* may not be read: check its permissions"):
            load_dataset("folder", str(own))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(DcmqError, match="may not be read"):
        load_dataset("folder", str(own))


def test_folders_that_were_prepared_before_are_still_verified(own):
    prepared(own)
    out = own / "prepared" / "folder"
    about = json.loads((out / "dataset.json").read_text())
    del about["sha256"]
    (out / "images.proof.json").unlink()
    counts = {"pictures" if name == "images" else name: count for name, count in about["counts"].items()}
    (out / "dataset.json").write_text(json.dumps(about | {"counts": counts}))
    assert verify(out) == about


# What identifies a data set stays: committed runs, and folders that users prepared, are looked for by it. Digests were
# computed before the folders of the package were; without the hash of decoded images, which versions of Pillow differ in.
FINGERPRINTS = {
    "coco": ("d83d38bc731a0380", dict(query=5, train=12)),
    "mirflickr": ("a72ae71c9b99334b", dict(query=5, train=20)),
    "mirflickr:24581": ("3e6df238d994550e", dict(query=5, train=20)),
    "nuswide": ("3a43d05d4bac4426", dict(query=21, train=30)),
    "nuswide:tc10": ("85b6c6f95062efb4", dict(query=21, train=30)),
    "folder": ("3f960ca29a1e4efa", {}),
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprints_are_those_of_all_versions(tmp_path, name):
    expected, sizes = FINGERPRINTS[name]
    root = getattr(miniature, name.partition(":")[0])(tmp_path / "data")
    data = miniature.prepared(name, root, out=tmp_path / "out", **sizes)
    assert data.fingerprint == digest(data.choices, data.split.hash, data.ids, data.labels, list(data.vocabulary))
    choices = {name: value for name, value in data.choices.items() if name != "content"}
    assert digest(choices, data.split.hash, data.ids, data.labels, list(data.vocabulary)) == expected


def test_names_of_populations():
    assert preparable("mirflickr") == "mirflickr:20015" and preparable("folder") == "folder"
    for name in ("mirflickr:2015", "scenes", "coco:x"):
        with pytest.raises(DcmqError, match="known: coco, folder, mirflickr:20015"):
            preparable(name)


def test_one_class_only_is_refused_wherever_it_comes_from(tmp_path):
    root = miniature.coco(tmp_path / "coco")
    ignored = ("person", "car", "dog")
    with pytest.raises(DcmqError, match="coco: one class only, 'toothbrush', in .*relevant to every query"):
        miniature.prepared("coco", root, ignore_classes=ignored)
    with pytest.raises(DcmqError, match="one class only"):
        load_dataset("coco", str(root), query=5, train=5, ignore_classes=ignored)


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
    with pytest.raises(DcmqError, match="image 100 of instances_val2017.json.*keep one release"):
        load_dataset("coco", str(root), query=5, train=12)

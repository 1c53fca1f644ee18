"""Data sets: determinism, splits, texts, the COCO layout, and bad input."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.data.bow import bag_of_words
from dcmq.data.datasets import load_dataset
from dcmq.data.scenes.load import caption_pairs, load_scenes
from dcmq.data.scenes.sample import make_scene
from dcmq.data.splits import Split, draw_split
from dcmq.networks.inputs import resized_images

pytestmark = pytest.mark.usefixtures("home")

SMALL = dict(query=20, train=60, gallery=100)


def test_scenes_are_the_same_on_every_machine():
    samples = [make_scene(f"0:{i}") for i in range(32)]
    texts = [[list(s.labels), s.background, s.caption, s.tags] for s in samples]
    assert digest(texts) == "cc78ad3c4ca6d8c8"
    assert digest(np.stack([s.image for s in samples])) == "4490e21814efdd7e"


def test_scenes_load_twice_the_same_and_survive_a_damaged_cache(tmp_path):
    first = load_dataset("scenes", **SMALL)
    expected = np.array(first.images[:])
    (stored,) = (tmp_path / "home").rglob("*.npy")
    stored.write_bytes(stored.read_bytes()[:1000])
    second = load_dataset("scenes", **SMALL)
    assert np.array_equal(second.images, expected) and second.fingerprint == first.fingerprint
    assert load_dataset("scenes", seed=1, **SMALL).fingerprint != first.fingerprint


def test_the_fingerprint_of_scenes_is_that_of_all_versions():
    data = load_scenes(query=20, train=40, gallery=80)
    assert data.fingerprint == "613bfa29ae9191d3"  # committed runs are looked for by it


def test_scenes_texts_and_labels():
    data = load_dataset("scenes", query=100, train=300, gallery=900)
    assert 0.2 < data.chance() < 0.4
    assert (data.train_labels <= data.labels).all() and (data.train_labels.sum(1) > 0).all()
    assert 0.05 < 1 - data.train_labels.sum() / data.labels.sum() < 0.12
    row = int(np.flatnonzero(data.train_labels.sum(1) > 1)[0])
    names = [data.classes[c] for c in np.flatnonzero(data.train_labels[row])]
    assert data.label_sentences(np.array([row])) == [" ".join(names)]
    named = sum(any(w == c for w in data.tags[i]) for i in range(1000) for c in _names(data, i))
    assert 0.3 < named / data.labels.sum() < 0.7  # the rest is missing or a synonym


def _names(data, row):
    return [data.classes[c] for c in np.flatnonzero(data.labels[row])]


def test_teacher_pairs_are_never_benchmark_images():
    images, captions = caption_pairs(0, 0, 20)
    benchmark = {make_scene(f"0:{i}").image.tobytes() for i in range(20)}
    assert len(captions) == 20 and not benchmark & {image.tobytes() for image in images}


def test_validation_view_never_touches_queries():
    data = load_dataset("scenes", **SMALL)
    view = data.validation_view().split
    assert set(view.query) <= set(data.split.train) and not set(view.train) & set(view.query)
    assert not set(view.gallery) & set(data.split.query)


def test_splits_round_trip_and_notice_edits(tmp_path):
    split = draw_split(50, 5, 20)
    split.save(tmp_path / "s.json")
    assert Split.load(tmp_path / "s.json").hash == split.hash
    text = json.loads((tmp_path / "s.json").read_text())
    text["query"][0] = 49 if text["query"][0] != 49 else 48
    (tmp_path / "s.json").write_text(json.dumps(text))
    with pytest.raises(DcmqError, match="edited"):
        Split.load(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(train=200, gallery=100), "larger than the gallery"),
        (dict(query=0), "at least 1"),
        (dict(gallery=2_000_000), "the most is"),
        (dict(label_missing=1.5), "label_missing"),
        (dict(sead=1), "sead"),
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(DcmqError, match=words):
        load_dataset("scenes", **(SMALL | options))


def test_unknown_names_and_roots_are_refused(tmp_path):
    with pytest.raises(DcmqError, match="did you mean scenes"):
        load_dataset("scene")
    with pytest.raises(DcmqError, match="needs data_root"):
        load_dataset("coco")
    with pytest.raises(DcmqError, match="does not exist"):
        load_dataset("coco", str(tmp_path / "no"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DcmqError, match="is empty"):
        load_dataset("coco", str(tmp_path / "empty"))


def test_words_are_ranked_by_training_rows_then_alphabet():
    documents = ["Red dog, dog; a 7th", "blue dog", "cat blue", "cat cat cat cat zebra"]
    bow, words = bag_of_words(documents, np.array([0, 1, 2]), stop=False)
    assert words == ("blue", "dog", "cat", "red", "th")
    assert bow.toarray().tolist() == [[0, 1, 0, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    with pytest.raises(DcmqError, match="no text holds a word"):
        bag_of_words(["7", "!"], np.array([0, 1]))


@pytest.fixture
def coco(tmp_path):
    """Official layout in small: a grey image, a crowd, ids with gaps, an image without label."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for part, first in (("train2014", 1), ("val2014", 100)):
        (root / part).mkdir()
        images, annotations, captions = [], [], []
        for i in range(first, first + 12):
            name = f"COCO_{part}_{i:012d}.jpg"
            Image.new("L" if i % 5 == 0 else "RGB", (20, 14), 90).save(root / part / name)
            images.append({"id": i, "file_name": name})
            captions.append({"image_id": i, "caption": f"A photo of dog number {i}."})
            if i != first:  # the first has no label
                category = 90 if i % 2 else 3
                annotations.append({"image_id": i, "category_id": category, "iscrowd": i % 3 == 0})
                annotations.append({"image_id": i, "category_id": 1, "iscrowd": 0})
        categories = [{"id": c, "name": n} for c, n in ((90, "toothbrush"), (1, "person"), (3, "car"))]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
        (root / "annotations" / f"captions_{part}.json").write_text(json.dumps({"annotations": captions}))
    return root


def test_coco_layout(coco):
    data = load_dataset("coco", str(coco), query=4, train=10, image_size=16)
    assert data.classes == ("person", "car", "toothbrush")  # by category id
    assert len(data.ids) == 22 and data.choices["dropped"]["without label"] == 2
    assert data.images.shape == (22, 16, 16, 3) and len(data.split.gallery) == 18
    row = data.ids.tolist().index(3)
    assert data.labels[row].tolist() == [1, 0, 1] and data.label_sentences(np.array([row])) == ["person toothbrush"]
    assert "dog" in data.vocabulary and "of" not in data.vocabulary


def test_coco_can_ignore_categories(coco):
    data = load_dataset("coco", str(coco), query=4, train=10, image_size=16, ignore_classes=("person",))
    assert data.classes == ("car", "toothbrush") and (data.labels.sum(1) == 1).all()
    with pytest.raises(DcmqError, match="no category"):
        load_dataset("coco", str(coco), query=4, train=10, ignore_classes=("persn",))


def test_coco_names_and_counts_broken_images(coco):
    broken = coco / "train2014" / "COCO_train2014_000000000004.jpg"
    whole = load_dataset("coco", str(coco), query=4, train=10, image_size=16)
    broken.write_bytes(b"no image")
    with pytest.warns(UserWarning, match="cannot be decoded: .*000000000004"):
        data = load_dataset("coco", str(coco), query=4, train=10, image_size=16)
    assert data.choices["dropped"]["not decodable"] == 1 and 4 not in data.ids
    assert np.array_equal(data.images, whole.images[whole.ids != 4])
    (coco / "train2014" / "COCO_train2014_000000000006.jpg").unlink()
    with pytest.raises(DcmqError, match="2 of 22 images cannot be decoded .*000000000004"):
        load_dataset("coco", str(coco), query=4, train=10, image_size=16)


def test_coco_says_what_is_missing(coco):
    (coco / "annotations" / "captions_val2014.json").unlink()
    with pytest.raises(DcmqError, match="captions_val2014.json is missing"):
        load_dataset("coco", str(coco), query=4, train=10)


def test_images_are_resized_once_and_again_after_damage(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 20, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    stored = np.load(tmp_path / "images.npy", mmap_mode="r")
    small = np.array(resized_images(stored, 8))
    assert np.array_equal(small, resized_images(images, 8))  # in memory as on disk
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(images).permute(0, 3, 1, 2).double(), (8, 8), mode="bilinear", antialias=True
    )
    assert np.abs(small - exact.permute(0, 2, 3, 1).numpy()).max() <= 1
    (copy,) = tmp_path.glob("images-8-*.npy")  # its name tells the code that resized
    first = copy.stat().st_mtime_ns
    resized_images(stored, 8)
    assert copy.stat().st_mtime_ns == first
    copy.write_bytes(copy.read_bytes()[:200])
    assert np.array_equal(resized_images(stored, 8), small)
    assert resized_images(small, 8) is small


REAL_COCO = os.environ.get("DCMQ_TEST_COCO", "")


@pytest.mark.skipif(not REAL_COCO, reason="DCMQ_TEST_COCO does not name a folder in COCO's layout")
def test_a_real_coco_folder_loads():
    data = load_dataset("coco", REAL_COCO, query=100, train=500, image_size=64, ignore_classes=("person",))
    assert "person" not in data.classes and len(data.ids) == len(data.images) > 600
    assert 0.05 < data.chance() < 0.6
    assert all(data.captions) and data.bow.sum(1).mean() > 3

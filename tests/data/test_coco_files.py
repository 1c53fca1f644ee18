"""COCO's annotation files as others write them: what is missing, doubled or of another kind is named in one line."""

import json
import os
import shutil

import miniature
import numpy as np
import pytest
import torch
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import load_dataset
from dcmq.data.readers.coco import read_coco
from dcmq.teachers.base import Encoder
from dcmq.teachers.embeddings import embed

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def root(tmp_path):
    return miniature.coco(tmp_path / "coco")


def changed(root, part, change, name="instances_train2014"):
    """Change the list ``part`` of an annotation file."""
    path = root / "annotations" / f"{name}.json"
    content = json.loads(path.read_text())
    content[part] = change(content[part])
    path.write_text(json.dumps(content))


def first(**fields):
    """A change of the first entry; a field that is None goes."""
    return lambda entries: [{k: v for k, v in (entries[0] | fields).items() if v is not None}, *entries[1:]]


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("images", first(file_name=None), "entry 0 of images in instances_train2014.json has None as file_name"),
        ("images", first(file_name=7), "has 7 as file_name, where a text is meant"),
        ("images", first(id="1"), "has '1' as id, where a whole number is meant"),
        ("images", first(id=10**30), "as id, where a whole number is meant"),
        ("images", lambda entries: [*entries, entries[0]], "image 1 stands twice in instances_train2014.json"),
        ("images", lambda entries: [*entries, "x"], "entry 15 of images"),
        (
            "images",
            first(file_name="../../secret.jpg"),
            "names the image '../../secret.jpg', which is not in .*not read",
        ),
        ("images", first(file_name="/etc/passwd"), "names the image '/etc/passwd'"),
        ("images", lambda entries: None, "has no images: it is no annotation file"),
        ("annotations", first(category_id=None), "entry 0 of annotations .* has None as category_id"),
        ("annotations", first(category_id=7), "labels image 2 with category 7, which its categories lack"),
        ("annotations", first(image_id=True), "has True as image_id"),
        ("categories", lambda entries: None, "has no categories"),
        ("categories", first(name=None), "entry 0 of categories .* has None as name"),
        ("categories", first(name=" \n"), "category 90 of instances_train2014.json has no name"),
        ("categories", first(name="person"), "category 90 is 'person' and in instances_val2014.json 'toothbrush'"),
    ],
)
def test_entries_that_are_not_as_they_should_be(root, part, change, words):
    changed(root, part, change)
    with pytest.raises(DcmqError, match=words) as caught:
        read_coco(root)
    assert "\n" not in str(caught.value)


def test_two_categories_of_one_name_are_refused(root):
    for part in ("train2014", "val2014"):
        changed(root, "categories", first(name="dog"), f"instances_{part}")
    with pytest.raises(DcmqError, match="two categories of .* are called 'dog'"):
        read_coco(root)


@pytest.mark.parametrize("caption", [None, 7, []])
def test_annotations_without_a_caption_are_left_out_and_counted(root, caption):
    whole = read_coco(root)
    changed(root, "annotations", lambda entries: [e | {"caption": caption} for e in entries], "captions_train2014")
    with pytest.warns(
        UserWarning, match=r"\d+ annotations of captions_train2014.json have no caption: they are left out"
    ):
        source = read_coco(root)
    assert source.dropped["without caption"] == 14 and len(source.ids) == len(whole.ids) - 14


def test_names_and_captions_are_in_one_normal_form(root):
    for part in ("train2014", "val2014"):
        changed(root, "categories", first(name="cafe\u0301"), f"instances_{part}")
    changed(root, "annotations", first(caption="un cafe\u0301", image_id=2), "captions_train2014")
    Image.new("RGB", (9, 9)).save(root / "train2014" / "cafe\u0301.jpg")
    changed(root, "images", lambda entries: [entries[0], entries[1] | {"file_name": "café.jpg"}, *entries[2:]])
    source = read_coco(root)
    assert "café" in source.classes and source.captions[0][0] == "un café" and source.files[0].is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(), "coco: 28 samples are too few for query=5000 and train=10000: choose both, such as query=2 train=24"),
        (dict(query=20, train=20), "too few for query=20 and train=20"),
        (dict(query=0, train=5), "query is 0, and must be at least 1"),
        (dict(image_size=0), "image_size is 0, and must be at least 1"),
        (dict(words=0), "words is 0, and must be at least 1"),
        (dict(seed=-1), "seed is -1, and must be at least 0"),
        (dict(train=1e2), "train is 100.0, and must be a whole number from 1 on"),
        (dict(image_size=32.0), "image_size is 32.0, and must be a whole number"),
        (dict(query=float("nan")), "query is nan, and must be a whole number"),
        (dict(seed="x"), "seed is 'x', and must be a whole number from 0 on"),
        (dict(query=True), "query is True"),
    ],
)
def test_sizes_that_cannot_be_are_said_before_anything_is_decoded(root, options, words, tmp_path):
    with pytest.raises(DcmqError, match=words):
        load_dataset("coco", str(root), **options)
    assert not list(tmp_path.rglob("images.npy"))


def test_images_that_are_not_on_disk_are_not_said_to_be_broken(root):
    for file in (root / "val2014").iterdir():
        file.unlink()
    with pytest.raises(DcmqError, match="14 of 28 images are not on disk"):
        load_dataset("coco", str(root), query=4, train=10, image_size=8)


def test_a_replaced_image_is_decoded_again_whatever_its_size(root):
    file = root / "train2014" / "COCO_train2014_000000000002.jpg"
    for color in ("red", "blue"):
        Image.new("RGB", (20, 20), color).save(file, "BMP")
        image = load_dataset("coco", str(root), query=4, train=10, image_size=8).images[0]
        assert np.array_equal(image[0, 0], {"red": [255, 0, 0], "blue": [0, 0, 255]}[color])


def test_a_file_nested_beyond_reason_is_one_line(root):
    (root / "annotations" / "instances_train2014.json").write_text("[" * 100_000)
    with pytest.raises(DcmqError, match="is no JSON"):
        read_coco(root)


def test_two_images_of_one_file_are_refused(root):
    changed(root, "images", lambda rows: [*rows[:2], rows[2] | {"file_name": rows[1]["file_name"]}, *rows[3:]])
    with pytest.raises(DcmqError, match="images 2 and 3 are one file, .*: keep one"):
        read_coco(root)


def test_halves_of_letters_and_line_ends_in_names_are_read(root):
    for part in ("train2014", "val2014"):
        changed(root, "categories", first(name="tooth\nbrush \ud83d"), f"instances_{part}")
    caption = {"caption": "a red \ud83d thing 😀"}
    changed(root, "annotations", lambda rows: [row | caption for row in rows], "captions_train2014")
    source = read_coco(root)
    assert "tooth brush \ufffd" in source.classes and source.captions[0][0] == "a red \ufffd thing 😀"
    data = miniature.prepared("coco", root, out=root / "prepared" / "coco", query=5, train=12)
    assert data.classes == source.classes and data.captions == source.captions


@pytest.mark.parametrize("instead", ["mkdir", "mkfifo"])
@pytest.mark.parametrize("name", ["instances_train2014", "captions_val2014"])
def test_annotations_that_are_no_file_are_one_line(root, name, instead):
    path = root / "annotations" / f"{name}.json"
    path.unlink()
    getattr(os, instead)(path)
    with pytest.raises(DcmqError, match=f"{path} cannot be read"):
        read_coco(root)


def loaded(root):
    return load_dataset("coco", str(root), query=4, train=10, image_size=8)


def prepared(root):
    return miniature.prepared("coco", root, root.parent / "out", query=4, train=10)


@pytest.mark.parametrize("load", [loaded, prepared])
def test_a_replaced_image_gives_the_data_another_fingerprint_until_it_is_put_back(root, load):
    file = root / "train2014" / "COCO_train2014_000000000002.jpg"
    first, content, state = load(root), file.read_bytes(), file.stat()
    assert "content" not in first.choices and first.image_code
    Image.new("RGB", (16, 12), "red").save(file)
    replaced = load(root)
    assert replaced.fingerprint != first.fingerprint and replaced.choices.keys() - first.choices.keys() == {"content"}
    Image.new("RGB", (16, 12), "blue").save(file)
    assert load(root).fingerprint not in (first.fingerprint, replaced.fingerprint)
    file.write_bytes(content)  # at another time
    again = load(root)
    assert file.stat().st_mtime_ns != state.st_mtime_ns
    assert (again.fingerprint, again.image_code, again.choices) == (first.fingerprint, first.image_code, first.choices)


def test_the_two_ways_to_read_images_agree_on_what_was_replaced(root):
    assert loaded(root).fingerprint == prepared(root).fingerprint
    Image.new("RGB", (16, 12), "red").save(root / "train2014" / "COCO_train2014_000000000002.jpg")
    one, other = loaded(root), prepared(root)
    assert (one.fingerprint, one.image_code) == (other.fingerprint, other.image_code) and "content" in one.choices


def test_what_was_first_is_remembered_when_the_cache_is_deleted(root, home):
    first = loaded(root).fingerprint
    shutil.rmtree(home / "cache")
    assert loaded(root).fingerprint == first
    Image.new("RGB", (16, 12), "red").save(root / "train2014" / "COCO_train2014_000000000002.jpg")
    shutil.rmtree(home / "cache")
    assert loaded(root).fingerprint != first


def test_the_teachers_vectors_are_those_of_the_replaced_image(root):
    file = root / "train2014" / "COCO_train2014_000000000002.jpg"

    class Mean(Encoder):
        name = description = fingerprint = "mean"
        parameters = 0
        reads_any_text = False

        def encode_images(self, images):
            return torch.nn.functional.normalize(torch.from_numpy(images).float().mean((1, 2)), dim=1)

        def encode_texts(self, texts):
            return torch.eye(3)[[0] * len(texts)]

    for color, expected in (("red", [1, 0, 0]), ("blue", [0, 0, 1])):
        Image.new("RGB", (20, 20), color).save(file, "BMP")
        assert embed(Mean(), loaded(root), progress=False).image[0].tolist() == expected


def test_a_damaged_note_on_the_first_images_is_named(root, home, capsys):
    first = loaded(root).fingerprint
    (note,) = (home / "runs" / "contents").glob("*.json")
    note.write_text(note.read_text().replace('"images": "', '"images": "0'))
    assert loaded(root).fingerprint == first
    assert f"{note} was damaged or edited: the images that are there now are taken" in capsys.readouterr().err


def test_polygons_are_left_out_and_texts_that_look_like_them_are_not(root, monkeypatch):
    text = 'a dog "segmentation": [[1, 2]] and "segmentation": [3]'
    changed(root, "annotations", lambda entries: [e | {"caption": text} for e in entries], "captions_train2014")
    before = read_coco(root)
    shapes = [[[1.5, -2e3], [3, 4]], [], None, {"counts": [1, 2], "size": [3, 4]}, [[[7]]]]

    def with_shapes(entries):
        return [e | {"segmentation": shapes[i % len(shapes)]} for i, e in enumerate(entries)]

    changed(root, "annotations", with_shapes)
    sizes, loads = [], json.loads
    monkeypatch.setattr(
        json, "loads", lambda content, **options: sizes.append(len(content)) or loads(content, **options)
    )
    after = read_coco(root)
    assert (after.labels == before.labels).all() and after.captions == before.captions and after.files == before.files
    assert sizes[0] < (root / "annotations" / "instances_train2014.json").stat().st_size
    assert {text} <= {caption for row in after.captions for caption in row}


@pytest.mark.parametrize("shape", ['[[1, "2"]]', "[[1, 2x]]", "[[1, 2"])
def test_polygons_that_are_no_json_are_still_refused(root, shape):
    path = root / "annotations" / "instances_train2014.json"
    changed(root, "annotations", lambda entries: [*entries[:-1], entries[-1] | {"segmentation": "HERE"}])
    path.write_text(path.read_text().replace('"HERE"', shape))
    if shape == '[[1, "2"]]':
        assert len(read_coco(root).ids)  # is JSON, and not read
    else:
        with pytest.raises(DcmqError, match="is no JSON"):
            read_coco(root)

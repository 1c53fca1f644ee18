"""COCO's annotation files as others write them: what is missing, doubled or of another kind is named in one line."""

import json

import miniature
import numpy as np
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import load_dataset
from dcmq.data.readers.coco import read_coco

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

"""What is explored: of a data set, and of a collection of one's own images whose files come and go."""

import io
from dataclasses import replace

import numpy as np
import pytest
from finished_run import CONFIG, VOCABULARY
from PIL import Image
from tiny import several_labels, tagged_dataset, tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.data.class_names import named_classes
from dcmq.data.words import LETTERS
from dcmq.explore.items import items_of_collection, items_of_dataset
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent


@pytest.fixture
def collection(tmp_path):
    """Three images, one of them small, and a text."""
    root = tmp_path / "images"
    root.mkdir()
    for name, size in (("a.png", (300, 200)), ("b.jpg", (900, 600)), ("größe.png", (12, 8))):
        Image.new("RGB", size, "red").save(root / name)
    model = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    collection = Collection.create(tmp_path / "mine", model)
    collection.update_images(root)
    collection.add_texts(["red boat"])
    return collection


def size_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size


def test_the_items_of_a_data_set_are_its_rows():
    data = several_labels()[0]
    items = items_of_dataset(data)
    assert len(items) == 90 and items.ids[7] == "7"
    assert items.text(7) == data.captions[7][0]
    assert items.label_names(7) == [name for name, has in zip(data.classes, data.labels[7], strict=True) if has]
    for name in ("query", "train"):
        assert np.flatnonzero(items.splits == name).tolist() == sorted(getattr(data.split, name).tolist())
    for kind in ("images", "texts"):
        assert items.gallery(kind).tolist() == sorted(data.split.gallery.tolist())
    assert np.array_equal(np.asarray(items.image(3)), data.images[3])


def test_a_row_without_written_text_shows_the_words_of_its_bag():
    data = tiny_dataset()[0]
    assert items_of_dataset(data).text(0) == data.vocabulary[data.labels[0].argmax()]


def test_rows_in_no_part_of_the_split_are_not_searched_in():
    data = tiny_dataset()[0]
    split = replace(
        data.split, gallery=data.split.gallery[1:], train=np.setdiff1d(data.split.train, data.split.gallery[:1])
    )
    items = items_of_dataset(replace(data, split=split))
    left_out = int(data.split.gallery[0])
    assert items.splits[left_out] == "unused" and left_out not in items.gallery("images")


def test_items_are_called_by_id_or_row():
    items = items_of_dataset(tagged_dataset())  # ids from 100 on
    assert items.rows_of(["103", 0, np.int64(2)]) == [3, 0, 2]
    for wrong in (40, -1, "3", True, None, 1.5):
        with pytest.raises(DcmqError, match="is no id and no row from 0 to 39 of tiny"):
            items.rows_of([wrong])


def test_classes_are_named_by_all_their_words():
    items = items_of_dataset(tagged_dataset())  # boat, fire truck, cat
    assert named_classes("a Boat on fire", items.classes, items.word_pattern) == [0]
    assert named_classes("truck on fire, cat", items.classes, items.word_pattern) == [1, 2]
    assert named_classes("boats", items.classes, items.word_pattern) == []


def test_thumbnails_are_no_larger_than_asked_and_never_enlarged(collection):
    items = items_of_collection(collection)
    assert [size_of(items.thumbnail(row, 64)) for row in range(3)] == [(64, 43), (64, 43), (12, 8)]


def test_a_collection_has_images_and_then_texts(collection):
    items = items_of_collection(collection)
    assert items.ids.tolist() == ["a.png", "b.jpg", "größe.png", "red boat"]
    assert items.gallery("images").tolist() == [0, 1, 2] and items.gallery("texts").tolist() == [3]
    assert items.text(0) == "" and items.text(3) == "red boat"
    assert items.labels is None and items.label_names(0) == []
    assert size_of(items.thumbnail(3, 64)) == (64, 64)  # a grey tile: a text has no image


def test_a_file_that_is_gone_leaves_a_grey_tile_that_differs_from_one_of_a_text(collection):
    items = items_of_collection(collection)
    before = items.thumbnail(0, 64)
    (collection.root / "a.png").unlink()
    (collection.root / "b.jpg").write_bytes(b"no image")
    gone = items.thumbnail(0, 64)
    assert size_of(gone) == (64, 64) and gone != before
    assert items.thumbnail(1, 64) == gone != items.thumbnail(3, 64)


def test_an_empty_collection_is_refused(collection, tmp_path):
    empty = Collection.create(tmp_path / "empty", collection.model)
    with pytest.raises(DcmqError, match="empty is empty: fill it with dcmq search build"):
        items_of_collection(empty)


def test_a_kind_that_no_item_has_is_refused(collection, tmp_path):
    texts = Collection.create(tmp_path / "texts", collection.model)
    texts.add_texts(["sea"])
    items = items_of_collection(texts)
    assert items.gallery("texts").tolist() == [0]
    with pytest.raises(DcmqError, match="texts holds no images"):
        items.gallery("images")

"""Words are cut alike for training and for search."""

import miniature
import numpy as np
import pytest

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.bow import bag_of_words
from dcmq.data.datasets import load_dataset
from dcmq.data.words import LATIN, LETTERS, LETTERS_AND_DIGITS, words
from dcmq.methods.dcmq.student import make_student
from dcmq.search.pretrained import PretrainedStudent


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (LATIN, ["project", "red", "gr", "boat", "red"]),
        (LETTERS, ["project", "red", "größe", "boat", "red", "写真"]),
        (LETTERS_AND_DIGITS, ["project365", "red", "größe", "boat_2", "red", "写真"]),
    ],
)
def test_words_of_a_text_by_each_pattern(pattern, expected):
    assert words("Project365 RED größe, a boat_2 red 写真", pattern) == expected


@pytest.mark.parametrize("pattern", [LATIN, LETTERS])
def test_a_search_reads_a_tag_as_training_counted_it(pattern):
    """The bag of ``project365`` holds the word ``project``, so a search for the tag must find that word."""
    texts = ["project365 sky", "sky 2007", "boat"]
    bow, vocabulary = bag_of_words(texts, np.arange(3), pattern=pattern)
    config = TrainConfig(
        student=StudentConfig(bits=16, subvector_dim=4, image_encoder="small_resnet", image_size=16, text_hidden=(4, 4))
    )
    model = PretrainedStudent(make_student(config, len(vocabulary)), config, vocabulary, 16, pattern)
    assert vocabulary == ("sky", "boat", "project")
    assert model.unknown_words("Project365") == []
    np.testing.assert_array_equal(model.bags(texts).numpy(), bow.toarray())


@pytest.mark.parametrize(
    ("name", "layout", "choices", "pattern"),
    [
        ("coco", miniature.coco, dict(query=5, train=12), LATIN),
        ("folder", miniature.folder, dict(query=5, train=12), LETTERS),
        ("mirflickr:20015", miniature.mirflickr, dict(query=24, train=8), LETTERS_AND_DIGITS),  # tags come as a list
    ],
)
def test_a_prepared_data_set_says_what_its_words_are(tmp_path, monkeypatch, name, layout, choices, pattern):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    data = miniature.prepared(name, layout(tmp_path / "root"), out=tmp_path / "out", **choices)
    assert data.word_pattern == data.validation_view().word_pattern == pattern
    assert all(words(word, pattern) == [word] for word in data.vocabulary)


def test_a_data_set_that_is_not_prepared_has_latin_words(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    options = dict(query=5, train=12, image_size=8)
    assert load_dataset("coco", str(miniature.coco(tmp_path / "coco")), **options).word_pattern == LATIN
    assert load_dataset("scenes", query=5, train=20, gallery=30).word_pattern == LATIN

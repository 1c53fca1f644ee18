"""Words are cut alike for training and for search."""

import unicodedata

import miniature
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.bow import bag_of_words
from dcmq.data.datasets import load_dataset
from dcmq.data.words import LATIN, LETTERS, LETTERS_AND_DIGITS, folded, unspaced_script, words
from dcmq.methods.dcmq.student import make_student
from dcmq.search.pretrained import PretrainedStudent


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (LATIN, ["project", "red", "tr", "ume", "boat", "red"]),
        (LETTERS, ["project", "red", "träume", "boat", "red", "写真"]),
        (LETTERS_AND_DIGITS, ["project365", "red", "träume", "boat_2", "red", "写真"]),
    ],
)
def test_words_of_a_text_by_each_pattern(pattern, expected):
    assert words("Project365 RED Träume, a boat_2 red 写真", pattern) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हरा घर और नीली नाव", ["हरा", "घर", "और", "नीली", "नाव"]),  # Hindi, with vowel signs and a virama
        ("பச்சை வட்டம்", ["பச்சை", "வட்டம்"]),  # Tamil
        ("قِطَّةٌ حَمْراءُ", ["قِطَّةٌ", "حَمْراءُ"]),  # Arabic with vowel marks
        ("שָׁלוֹם", ["שָׁלוֹם"]),  # vowelled Hebrew
        ("별 하늘", ["별", "하늘"]),  # a syllable of Hangul is a word
        ("a b é", []),  # single letters are none
        ("pl\u200bain so\u00adft \ufeffred", ["plain", "soft", "red"]),  # what has no width
        ("İnci STRASSE Straße", ["i̇nci", "strasse", "strasse"]),
        ("ＲＥＤ ﬁsh", ["red", "fish"]),  # full width, ligatures
        ("moon2 red_boat", ["moon", "red", "boat"]),
        ("红色 船 狗", ["红色", "船", "狗"]),  # where spaces were put, one character may be a word
        ("1\ufe0f\u20e3 red\ufe0f \u2139\ufe0f", ["red"]),  # emoji, and what chooses among forms of a character
    ],
)
def test_words_of_any_language_keep_their_marks(text, expected):
    expected = [folded(word) for word in expected]
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words(unicodedata.normalize(form, text), LETTERS) == expected


def test_no_word_is_made_of_marks_alone():
    assert words("में नहीं") == words("كلَّ") == []  # by the rule of English captions
    assert words("\u0301\u0302 \u20e3", LETTERS_AND_DIGITS) == []


def test_a_script_without_spaces_is_named():
    assert unspaced_script("สีแดง") == "Thai" and unspaced_script("a 赤い ship") == "Chinese"
    assert unspaced_script("ひらがな") == "Hiragana" and unspaced_script("ｱｶｲ") == "Katakana"
    assert unspaced_script("हरा घर red 별") == ""


@given(st.text(), st.sampled_from([LATIN, LETTERS, LETTERS_AND_DIGITS]))
def test_words_are_parts_of_the_folded_text_in_order_and_do_not_change_when_cut_again(text, pattern):
    found, rest = words(text, pattern), folded(text)
    for word in found:
        rest = rest[rest.index(word) + len(word) :]
        assert words(word, pattern) == [word]


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

"""What a teacher reads of a row: label sentences, captions, tags, sums of them, and words that it finds itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_dataset
from torch.nn import functional as F

from dcmq.core.errors import DcmqError
from dcmq.teachers.texts import nearest_names, sentences, text_kinds, text_vectors


def encoded(text):
    """A made-up unit vector of a text, another for each."""
    generator = torch.Generator().manual_seed(sum(map(ord, text)) * 31 + len(text))
    return F.normalize(torch.randn(8, generator=generator), dim=0)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A teacher that reads any text, a data set with captions and tags, and what was read."""
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    dataset, teacher = tiny_dataset()
    names = [dataset.classes[row.argmax()] for row in dataset.labels]
    dataset = replace(
        dataset,
        captions=tuple((f"a {name} thing", "another") for name in names),
        tags=tuple((name, "photo") for name in names),
    )
    read = []

    def encode_texts(texts):
        read.extend(texts)
        return torch.stack([encoded(text) for text in texts])

    return replace(teacher, encode_texts=encode_texts), dataset, read


def test_labels_are_the_embeddings_that_are_there(reader):
    teacher, dataset, read = reader
    assert text_vectors(teacher, dataset, "labels") is teacher.text and not read


@pytest.mark.parametrize(("kind", "words"), [("captions", "a {} thing"), ("tags", "{} photo")])
def test_each_row_has_the_vector_of_its_own_text_and_each_text_is_read_once(reader, kind, words):
    teacher, dataset, read = reader
    vectors = text_vectors(teacher, dataset, kind)
    for row, label in enumerate(dataset.labels):
        torch.testing.assert_close(vectors[row], encoded(words.format(dataset.classes[label.argmax()])))
    assert len(read) == len(set(read)) == 3
    assert torch.equal(text_vectors(teacher, dataset, kind), vectors) and len(read) == 3  # from the file
    text_vectors(replace(teacher, fingerprint="another"), dataset, kind)
    assert len(read) == 6


def test_a_sum_is_of_unit_vectors_and_at_length_one_again(reader):
    teacher, dataset, _ = reader
    parts = [text_vectors(teacher, dataset, kind) for kind in ("labels", "tags")]
    both = text_vectors(teacher, dataset, "labels+tags")
    torch.testing.assert_close(both[7], (parts[0][7] + parts[1][7]) / (parts[0][7] + parts[1][7]).norm())
    torch.testing.assert_close(both.norm(dim=1), torch.ones(len(both)))


def test_the_nearest_names_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    image, words = (F.normalize(torch.from_numpy(rng.normal(size=(n, 5))).float(), dim=1) for n in (12, 9))
    train = torch.tensor([1, 4, 5, 7])
    chosen = nearest_names(image, words, train, 3)
    for i in range(12):
        score = [
            float(image[i] @ word) - sum(float(image[t] @ word) for t in train.tolist()) / len(train) for word in words
        ]
        assert chosen[i].tolist() == sorted(sorted(range(9), key=lambda w: -score[w])[:3])  # noqa: B023


def test_a_word_near_every_image_is_not_the_name_of_all():
    common, own = torch.tensor([1.0, 0, 0]), torch.eye(3)[1:]
    image = F.normalize(common + 0.2 * own.repeat(4, 1), dim=1)
    words = torch.stack([common, *own])
    assert (image @ words.T).argmax(1).tolist() == [0] * 8  # without the means
    assert nearest_names(image, words, torch.arange(8), 1).flatten().tolist() == [1, 2] * 4


def test_names_need_no_labels_and_stand_in_the_vocabularys_order(reader):
    teacher, dataset, _ = reader
    found = sentences(teacher, dataset, "names")
    assert set(found) == {"a b c"}  # three words are all that there are
    assert text_vectors(teacher, dataset, "names").shape == teacher.text.shape
    other = np.zeros_like(dataset.labels)
    other[:, 0] = 1
    blind = replace(dataset, labels=other, train_labels=other)
    assert sentences(teacher, blind, "names") == found
    five = replace(dataset, vocabulary=("e", "d", "c", "b", "a"), bow=dataset.bow[:, [0, 1, 2, 0, 1]])
    rows = [row.split() for row in sentences(teacher, five, "names")]
    assert len({*map(tuple, rows)}) > 1
    assert all(len(row) == 3 and row == sorted(row, reverse=True) for row in rows)


@pytest.mark.parametrize("kind", ["", "label", "labels+labels", "labels+", "tags,captions"])
def test_unknown_kinds_are_refused_in_one_line(kind):
    with pytest.raises(DcmqError, match="teacher_text: .* is none of labels, captions, tags, names") as caught:
        text_kinds(kind)
    assert "\n" not in str(caught.value)


def test_a_teacher_from_a_file_reads_label_sentences_alone():
    dataset, teacher = tiny_dataset()
    for kind in ("captions", "names", "labels+captions"):
        with pytest.raises(DcmqError, match="tiny cannot read .*; choose .* teacher_text=labels"):
            text_vectors(teacher, dataset, kind)


def test_missing_texts_are_named(reader):
    teacher, dataset, _ = reader
    with pytest.raises(DcmqError, match="not every sample of tiny has captions"):
        text_vectors(teacher, replace(dataset, captions=()), "captions")

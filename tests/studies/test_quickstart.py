"""The quickstart's query, ranking and files."""

import json

import numpy as np
import pytest
import torch
from notebook_parameters import parameters
from tiny import TAGS, tagged_dataset

from dcmq.core.errors import DcmqError
from dcmq.data.class_names import named_classes
from dcmq.data.words import LETTERS_AND_DIGITS
from dcmq.methods.dcmq.losses import soft_cross_entropy
from dcmq.studies import quickstart


def test_unknown_words_are_named_with_known_ones_like_them():
    assert quickstart.unknown_text([], TAGS) == "every word is known"
    assert quickstart.unknown_text(["seas"], TAGS) == "the student does not know seas; did you mean sea?"
    lines = quickstart.unknown_text(["seas", "xyz"], TAGS).splitlines()
    assert lines[1:] == ["the student does not know xyz", "it knows 5 words, such as red, blue, boat, sea, cat"]


def test_a_class_is_in_the_query_if_all_its_words_are():
    data = tagged_dataset()
    assert named_classes("a Fire-Truck or cat", data.classes, data.word_pattern) == [1, 2]
    assert named_classes("fire", data.classes, data.word_pattern) == []
    others = ("собака", "7", "red", "tree", "___", "雪")
    asked = {"red boat": [2], "большая собака": [0], "room 7": [], "雪": [], "boat": [], "___": []}
    assert {text: named_classes(text, others, LETTERS_AND_DIGITS) for text in asked} == asked
    held = quickstart.holds(data, np.arange(40), [0, 2])
    assert held.tolist() == [bool(row[0] or row[2]) for row in data.labels]


def test_the_table_and_the_verdict_follow_the_labels():
    data = tagged_dataset()
    gallery = data.split.gallery
    with_cat = gallery[data.labels[gallery, 2] == 1]
    order = np.concatenate([with_cat, np.setdiff1d(gallery, with_cat)])
    table = quickstart.table(data, order[:3], np.array([0.5, 0.25, 0.125]), [2])
    assert table["holds cat"].tolist() == ["yes"] * 3 and table["image"].tolist() == [str(i + 100) for i in order[:3]]
    (best,) = quickstart.verdicts(data, order, [2], first=len(with_cat))
    (worst,) = quickstart.verdicts(data, order[::-1], [2], first=len(gallery) - len(with_cat))
    (random,) = quickstart.verdicts(data, order, [2], first=len(gallery))
    assert best.claim == "the first images show a cat more often than the gallery does"
    first, share = len(with_cat), len(with_cat) / len(gallery)
    assert (
        best.detail
        == f"{first} of the first {first} do; of {first} drawn at random it would be about {share * first:.0f}"
    )
    assert (best.word, worst.word, random.word) == ("holds", "does not hold", "a tie")
    assert quickstart.verdicts(data, order, [])[0].word == "not judged here"


def test_the_loss_stands_beside_that_of_a_student_to_which_all_are_alike():
    target = torch.softmax(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)), 1)
    alike = soft_cross_entropy(torch.zeros(16, 16), target).item()
    config = {"batch_size": 16, "loss": "distillation"}
    losses = [{"i2t": 2.5, "t2i": 2.25}, {"i2t": 1.0, "t2i": 1.5}]
    record = {"config": config, "losses": losses, "student_parameters": 12345, "training_seconds": 6.04}
    assert quickstart.training_text(record).splitlines() == [
        "12,345 parameters; the training took 6.0 s",
        f"loss 4.75 after the first epoch, 2.50 after the last; {2 * alike:.2f} if all samples of a batch were alike to it",
    ]
    record["config"]["loss"] = "my_own"
    assert quickstart.training_text(record).endswith("2.50 after the last")


def test_ids_lead_back_to_rows_and_files_are_measured(tmp_path):
    data = tagged_dataset()
    assert quickstart.rows_of(data, data.ids[[5, 2]]).tolist() == [5, 2]
    for name, size in (("images", 1234), ("model", 99)):
        (tmp_path / f"{name}.safetensors").write_bytes(bytes(size))
    table = quickstart.files_table(tmp_path, 32)
    assert table["size on disk"].tolist() == ["1.2 kB", "0.1 kB"] and "32 images" in table.iloc[0, 0]


def test_a_quickstart_trains_one_student_of_the_seed_asked_for():
    chosen = parameters("quickstart", seed=3, bits=32)
    (run,) = chosen.plan()
    assert (run.config.seed, run.config.student.bits, run.config.target) == (3, 32, "npc")
    other = parameters("quickstart", seed=3, bits=32, words="cat")
    assert chosen.name != other.name and chosen.collection_folder == other.collection_folder
    assert chosen.collection_folder != parameters("quickstart", seed=4, bits=32).collection_folder
    with pytest.raises(DcmqError, match="seeds"):
        parameters("quickstart", seeds="0,1")
    assert json.loads(chosen.model_dump_json())["words"] == chosen.words

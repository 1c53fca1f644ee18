"""Training on other texts than label sentences, and on a gallery whose labels nobody knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import config, tiny_dataset
from torch.nn import functional as F

from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.targets import npc
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.teachers.texts import text_vectors


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A data set with tags, and a teacher that reads any text by its length and first letter."""
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    dataset, teacher = tiny_dataset()

    def encode_texts(texts):
        numbers = [torch.Generator().manual_seed(ord(text[0]) + 1000 * len(text)) for text in texts]
        return F.normalize(torch.stack([torch.randn(8, generator=number) for number in numbers]), dim=1)

    tags = tuple((dataset.classes[row.argmax()],) for row in dataset.labels)
    return replace(dataset, tags=tags), replace(teacher, encode_texts=encode_texts), tmp_path / "checkpoint.safetensors"


def trainer(task, **changes):
    dataset, teacher, file = task
    return Trainer(config(**changes), dataset, teacher, file, "key")


def test_the_target_is_of_what_the_teacher_reads(task):
    dataset, teacher, _ = task
    rows = torch.tensor([3, 8, 20, 41])
    for kind in ("labels", "tags", "names", "labels+tags"):
        text = text_vectors(teacher, dataset, kind)
        target = trainer(task, teacher_text=kind).target(rows)
        torch.testing.assert_close(target, npc(teacher.image[rows] @ text[rows].T))


def test_an_unknown_kind_is_refused_before_training(task):
    with pytest.raises(DcmqError, match="teacher_text: 'title' is none of"):
        trainer(task, teacher_text="title")


def test_on_the_gallery_all_of_it_is_trained_on_and_no_label_is_read(task):
    dataset, teacher, file = task
    other = np.roll(dataset.labels, 1, axis=1)
    states = []
    for number, labels in enumerate((dataset.labels, other)):
        relabelled = replace(dataset, labels=labels, train_labels=labels)
        run = Trainer(
            config(teacher_text="tags", train_on="gallery", epochs=1),
            relabelled,
            teacher,
            file.with_name(f"{number}"),
            "",
        )
        seen, target = set(), run.target
        run.target = lambda rows, seen=seen, target=target: seen.update(rows.tolist()) or target(rows)
        states.append(run.run().state_dict())
        assert seen == set(dataset.split.gallery.tolist())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("kind", ["labels", "tags+labels"])
def test_labels_of_the_gallery_are_not_for_the_teacher(kind):
    with pytest.raises(DcmqError, match="nobody may know the gallery's labels"):
        config(train_on="gallery", teacher_text=kind)


def test_a_target_of_labels_needs_the_training_set(task):
    with pytest.raises(DcmqError, match="train_on: target multihot gives no numbers without labels"):
        trainer(task, teacher_text="tags", train_on="gallery", target="multihot")
    for target in ("npc", "raw", "identity"):
        trainer(task, teacher_text="tags", train_on="gallery", target=target)
    trainer(task, teacher_text="tags", train_on="gallery", npc_scope="dataset")

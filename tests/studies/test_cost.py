"""Table 5: sizes and times of teacher and students, and the verdicts on them."""

import pandas as pd
import pytest
import torch
from notebook_parameters import parameters
from tiny import TAG_STUDENT, TAGS, tagged_dataset

from dcmq.config import TrainConfig
from dcmq.experiments.efficiency import Size, student_size
from dcmq.methods.dcmq.student import make_student
from dcmq.studies import cost as study
from dcmq.teachers.base import Encoder
from dcmq.teachers.registry import resolve_teacher

CONFIG = TrainConfig(student=TAG_STUDENT)


def test_teacher_and_students_are_sized():
    data, student = tagged_dataset(), make_student(CONFIG, len(TAGS)).eval()
    sizes = study.sizes({"DCMQ 16 bits": student}, data, resolve_teacher("clip", "scenes"))
    assert list(sizes) == ["teacher", "DCMQ 16 bits"]
    assert sizes["DCMQ 16 bits"] == student_size(student, torch.zeros(1, len(TAGS)))


class Half(Encoder):
    """A teacher that embeds everything alike."""

    def encode_images(self, images):
        return torch.ones(len(images), 2)

    def encode_texts(self, texts):
        return torch.ones(len(texts), 2)


def test_the_teacher_and_every_student_are_timed():
    data, students = tagged_dataset(), {"DCMQ 16 bits": make_student(CONFIG, len(TAGS)).eval()}
    times = study.times(parameters("cost", batch=4, repeats=1), students, data, Half())
    assert list(times) == ["teacher", "DCMQ 16 bits"] and all(t > 0 for pair in times.values() for t in pair)


def forms_of(scores, teacher=0.5):
    rows = [("teacher", "embeddings", "float32", 1024.0, [teacher]), ("DCMQ 64 bits", "codes", "uint8", 8.0, scores)]
    frame = pd.DataFrame(rows, columns=["model", "form", "kind", "item", "scores"])
    return frame.assign(items=10, header=100, file=(100 + 10 * frame["item"]).astype(int))


@pytest.mark.parametrize(
    ("scores", "word"),
    [([0.6, 0.61], "holds"), ([0.4, 0.41], "does not hold"), ([0.45, 0.56], "a tie"), ([0.6], "one seed cannot tell")],
)
def test_codes_are_held_against_the_teacher(scores, word):
    sizes = {"teacher": Size(9, 9, 0, 50, 1), "DCMQ 64 bits": Size(5, 5, 5, 40, 2)}
    words = {v.claim: v.word for v in study.verdicts(forms_of(scores), sizes, "mAP@all")}
    assert words["DCMQ 64 bits: codes rank better than the teacher itself"] == word
    assert words["DCMQ 64 bits: codes are 128 times smaller than the teacher's embeddings, or more"] == "holds"
    assert words["a gallery file holds items x bits / 8 bytes and a header"] == "holds"
    assert words["the student has fewer parameters than the teacher"] == "holds"
    assert words["the student has fewer MACs per text than the teacher"] == "does not hold"


def test_without_a_teachers_model_its_size_is_not_judged():
    sizes = {"DCMQ 64 bits": Size(5, 5, 5, 40, 2)}
    words = [v.word for v in study.verdicts(forms_of([0.6, 0.6]), sizes, "mAP@all") if "MACs" in v.claim]
    assert words == ["not judged here"] * 2


def test_smaller_codes_than_they_should_be_are_noticed():
    forms = forms_of([0.6, 0.6]).assign(file=[99, 99])
    words = {v.claim: v.word for v in study.verdicts(forms, {}, "mAP@all")}
    assert words["a gallery file holds items x bits / 8 bytes and a header"] == "does not hold"

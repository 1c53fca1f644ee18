"""Table 5: sizes and times of teacher and students, and the verdicts on them."""

import pandas as pd
import pytest
import torch
from made_up_runs import records_of
from notebook_parameters import parameters
from tiny import TAG_STUDENT, TAGS, tagged_dataset

from dcmq.config import TrainConfig
from dcmq.experiments.efficiency import Size, student_size
from dcmq.methods.dcmq.student import make_student
from dcmq.reporting.results import results_frame
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
    ("gaps", "word"), [([0.1] * 4, "holds"), ([-0.1] * 4, "does not hold"), ([0.05, -0.03, 0.02, -0.01], "undecided")]
)
def test_codes_are_held_against_the_teacher_on_the_data_of_the_same_seed(gaps, word):
    plan = parameters("cost", seeds="0,1,2,3", bits="64").plan()
    frame = results_frame(plan, records_of(plan))
    whole = frame[(frame.gallery == "gallery") & (frame.metric == "mAP@all")].set_index(["seed", "direction"]).value
    teachers = {
        seed: {d: {"mAP@all": whole[seed, d] - gap + 0.001 * seed} for d in ("i2t", "t2i")}
        for seed, gap in enumerate(gaps)
    }
    (verdict,) = study.quality_verdicts(frame, teachers, "mAP@all")
    assert verdict.claim == "DCMQ 64 bits: codes rank better than the teacher itself" and verdict.word == word
    found = verdict.parts[0].difference
    assert found.mean == pytest.approx(sum(gaps) / 4 - 0.0015) and found.units == "4 seeds"


def test_sizes_and_bytes_are_judged_by_what_the_paper_says():
    sizes = {"teacher": Size(9, 9, 0, 50, 1), "DCMQ 64 bits": Size(5, 5, 5, 40, 2)}
    words = {v.claim: v.word for v in study.verdicts(forms_of([0.6]), sizes)}
    assert words["DCMQ 64 bits: codes are 128 times smaller than the teacher's embeddings, or more"] == "holds"
    assert words["a gallery file holds items x bits / 8 bytes and a header"] == "holds"
    assert words["the student has fewer parameters than the teacher"] == "holds"
    assert words["the student has fewer MACs per text than the teacher"] == "does not hold"


def test_without_a_teachers_model_its_size_is_not_judged():
    sizes = {"DCMQ 64 bits": Size(5, 5, 5, 40, 2)}
    words = [v.word for v in study.verdicts(forms_of([0.6, 0.6]), sizes) if "MACs" in v.claim]
    assert words == ["not judged here"] * 2


def test_smaller_codes_than_they_should_be_are_noticed():
    forms = forms_of([0.6, 0.6]).assign(file=[99, 99])
    words = {v.claim: v.word for v in study.verdicts(forms, {})}
    assert words["a gallery file holds items x bits / 8 bytes and a header"] == "does not hold"

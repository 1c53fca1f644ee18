"""Tables of what models cost: forms of the gallery, sizes and times, and the paper's numbers beside them."""

import pandas as pd
import torch
from tiny import TAG_STUDENT, TAGS, tagged_dataset

from dcmq.config import TrainConfig
from dcmq.experiments.efficiency import Size
from dcmq.methods.dcmq.student import make_student
from dcmq.reporting import cost_paper, cost_tables, gallery_forms
from dcmq.teachers.base import TeacherEmbeddings, l2_normalize

CONFIG = TrainConfig(student=TAG_STUDENT)


def test_every_form_of_the_gallery_is_measured():
    data = tagged_dataset()
    texts = l2_normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    embeddings = TeacherEmbeddings(lambda: (texts, texts), "t", "t", 0, "t")
    forms = gallery_forms.storage({"DCMQ 16 bits": make_student(CONFIG, len(TAGS)).eval()}, data, embeddings)
    assert forms["item"].tolist() == [6 * 4, 6 * 2, 16 * 4, 16 * 2, 2]
    assert (forms.file == forms.header + 32 * forms["item"]).all() and (forms["items"] == 32).all()
    assert gallery_forms.halved(embeddings).image.dtype == torch.float32
    assert torch.equal(gallery_forms.halved(embeddings).image, texts.half().float())


def test_times_of_the_teacher_are_extrapolated_to_the_training_data():
    data = tagged_dataset()
    table = cost_tables.time_table({"teacher": (0.5, 0.25), "DCMQ 16 bits": (0.002, 0.001)}, data)
    seconds = 0.5 * 16 + 0.25 * len(set(data.label_sentences(data.split.train)))
    assert table.loc["s for the teacher to embed the training data, extrapolated", "DCMQ 16 bits"] == f"{seconds:.1f}"
    assert table.loc["ms per image"].tolist() == ["500.000", "2.000"]


def test_tables_are_joined_by_model_and_gaps_are_named():
    one = pd.DataFrame({"DCMQ 64 bits": {"a": "1"}})
    other = pd.DataFrame({"teacher": {"b": "2"}, "DCMQ 64 bits": {"b": "3"}})
    whole = cost_tables.joined(one, other)
    assert list(whole) == ["teacher", "DCMQ 64 bits"]
    assert whole.loc["a"].tolist() == [gallery_forms.UNKNOWN, "1"]
    assert whole.loc["b"].tolist() == ["2", "3"]


def test_the_paper_contradicts_itself_in_its_own_numbers():
    notes = cost_paper.paper_notes({"RN50": (Size(38_320_000, 63_690_000, 0, 0, 0), 1024)})
    assert notes[0] == "Codes of 8 bytes are codes of 64 bits."
    assert notes[1].endswith("in Table 1 (MS COCO) that of 128 bits.")
    assert any("nearest to those of RN50, 102.01" in note for note in notes)


def test_the_papers_student_is_a_resnet18_with_a_head_and_an_mlp():
    size, numbers = cost_paper.real_students((64,))["student 64 bits"]
    assert numbers == 256
    assert size.image_parameters == 11_176_512 + 513 * 256
    assert size.text_parameters == 2027 * 4096 + 4097 * 1024 + 1025 * 256

"""Frozen teachers: RaBitQ's estimate, and OPQ by what it is trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tasks import numbers, task_of
from torch.nn import functional as F

from dcmq.methods.controls import TeacherOpq, TeacherRabitq
from dcmq.methods.registry import METHODS


def task_of_teacher(tmp_path, dimension=32, gap=0.0, seed=0):
    """A task whose teacher's two modalities are different points, ``gap`` apart."""
    task = task_of("teacher-RaBitQ-labels", tmp_path, seed=seed)
    n = len(task.dataset.ids)
    away = torch.zeros(dimension)
    away[0] = gap
    image, text = (F.normalize(numbers(n, dimension, seed=s) + sign * away) for s, sign in ((0, 1), (1, -1)))
    return replace(task, teacher=replace(task.teacher, vectors=lambda: (image, text)))


def estimates(task):
    rows = np.arange(len(task.dataset.ids))
    made = TeacherRabitq(task, "labels")
    image, text = made.embed(rows)
    return made, made.scores(made.queries(image), made.codes(text)), image @ text.T


def test_rabitq_estimates_the_cosine_without_bias(tmp_path):
    errors = torch.stack(
        [score - cosine for seed in range(40) for _, score, cosine in [estimates(task_of_teacher(tmp_path, seed=seed))]]
    )
    assert errors.std() == pytest.approx(1 / 32**0.5, rel=0.35)  # the paper's bound is of this order
    assert errors.mean(0).std() < 1.3 * errors.std() / 40**0.5  # each pair's own mean goes to 0 with the rotations
    wide = estimates(task_of_teacher(tmp_path, dimension=256))
    assert (wide[1] - wide[2]).std() < errors.std() / 2


def test_rabitq_of_one_vector_by_the_formula(tmp_path):
    made, scores, _ = estimates(task_of_teacher(tmp_path))
    (query, _), (_, item) = made.embed(np.array([3])), made.embed(np.array([5]))
    o, q, c = item[0] - made.mean, query[0] - made.mean, made.mean
    rotated = (o / o.norm()) @ made.rotation
    code = torch.tensor([1 if x >= 0 else -1 for x in rotated]) / len(rotated) ** 0.5
    estimate = (code @ (q @ made.rotation)) / (code @ rotated) * o.norm() + item[0] @ c + query[0] @ c - c @ c
    assert scores[3, 5].item() == pytest.approx(estimate.item(), abs=1e-5)
    assert made.bytes_per_item == 32 / 8 + 8


def test_rabitq_distances_are_those_of_faiss(tmp_path):
    faiss = pytest.importorskip("faiss")
    made, scores, _ = estimates(task_of_teacher(tmp_path))
    rows = np.arange(90)
    image, text = made.embed(rows)
    turned = torch.cat(made.embed(made.train)) @ made.rotation
    index = faiss.IndexRaBitQ(32, faiss.METRIC_L2)
    index.train(turned.numpy())
    index.add((text @ made.rotation).contiguous().numpy())
    index.qb = 0  # queries as they are
    distance, found = index.search((image[:10] @ made.rotation).contiguous().numpy(), 90)
    ours = (2 - 2 * scores[:10]).gather(1, torch.from_numpy(found))
    assert torch.allclose(ours, torch.from_numpy(distance), atol=1e-4)


def test_codebooks_fit_what_they_are_trained_on(tmp_path):
    task = task_of_teacher(tmp_path, dimension=16, gap=3.0)
    made = {on: TeacherOpq(task, "labels", trained_on=on) for on in (("images",), ("texts",), ("images", "texts"))}
    image, text = made["images",].embed(task.dataset.split.train)
    distortion = {on: (each.codec.distortion(image), each.codec.distortion(text)) for on, each in made.items()}
    assert distortion["images",][0] < distortion["images", "texts"][0] < distortion["texts",][0]
    assert distortion["texts",][1] < distortion["images", "texts"][1] < distortion["images",][1]


def test_the_rows_say_what_they_are_trained_on_and_read():
    for text in ("labels", "captions", "tags"):
        for modality in ("images", "texts"):
            row = METHODS[f"teacher-OPQ({modality})-{text}"]
            assert modality in row.note and row.text_input == text
        assert "RaBitQ" in METHODS[f"teacher-RaBitQ-{text}"].name

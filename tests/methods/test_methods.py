"""All methods alike: runs that resume, rankings, bytes, keys, and what is refused."""

from collections import Counter

import numpy as np
import pytest
import torch
from tasks import HASHING, SMALL, task_of
from tiny import tiny_dataset
from torch.nn import functional as F

from dcmq.core.errors import DcmqError
from dcmq.experiments.keys import run_key, training_fingerprint
from dcmq.experiments.settings import parsed_settings
from dcmq.methods import hashing
from dcmq.methods.base import CONTROL, OWN, FitTask
from dcmq.methods.hashing import signs
from dcmq.methods.registry import METHODS
from dcmq.retrieval.evaluate import evaluate
from dcmq.training.batches import epoch_batches


@pytest.mark.slow
@pytest.mark.parametrize("name", HASHING)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(name, tmp_path):
    whole = METHODS[name].fit(task_of(name, tmp_path))

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.epoch == 2:
            raise Stop

    other = task_of(name, tmp_path / "again")
    with pytest.raises(Stop):
        METHODS[name].fit(FitTask(**(vars(other) | {"on_epoch_end": stop})))
    resumed = METHODS[name].fit(other)
    assert resumed.history == whole.history and len(whole.history) == 3
    for a, b in zip(whole.retriever.embed(np.arange(90)), resumed.retriever.embed(np.arange(90)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "name", [n for n in METHODS if METHODS[n].algorithm != "DCMQ" and not n.endswith(("captions", "tags"))]
)
def test_every_method_ranks_and_says_its_bytes(name, tmp_path):
    given = task_of(name, tmp_path, student=SMALL.model_copy(update={"bits": 8}), epochs=1)
    if name in ("PQ", "OPQ"):  # three words make too short a vector for two sub-vectors of K = 16 from 50 samples
        given = task_of(name, tmp_path, student=SMALL.model_copy(update={"bits": 4}))
    fitted = METHODS[name].fit(given)
    result = evaluate(fitted.retriever, given.dataset, 10)
    for direction in ("i2t", "t2i"):
        assert 0 <= result[direction]["gallery"]["mAP@all"] <= 1
        assert ("by Hamming radius" in result[direction]["gallery"]) == (fitted.retriever.radius > 0)
    fixed = {"teacher-labels": 8 * 4, "teacher-RaBitQ-labels": 8 / 8 + 2 * 4}  # the teacher has eight numbers
    assert fitted.retriever.bytes_per_item == fixed.get(name, given.config.student.bits / 8)


@pytest.mark.slow
def test_the_learning_methods_learn(tmp_path):
    for name in HASHING:
        given = task_of(name, tmp_path, epochs=20, options={"eta": 0.01} if name == "DCMH" else {})
        result = evaluate(METHODS[name].fit(given).retriever, given.dataset, 10)
        for direction in ("i2t", "t2i"):
            assert result[direction]["gallery"]["mAP@all"] > given.dataset.chance() + 0.2, (name, direction)


def test_the_floor_is_blind_across_modalities_and_sees_within_one(tmp_path):
    given = task_of("PQ", tmp_path, student=SMALL.model_copy(update={"bits": 4}))
    retriever = METHODS["PQ"].fit(given).retriever
    split, labels = given.dataset.split, torch.from_numpy(given.dataset.labels).float()
    image, _ = retriever.embed(np.arange(90))
    relevant = labels[split.query] @ labels[split.gallery].T > 0
    scores = retriever.scores(retriever.queries(image[split.query]), retriever.codes(image[split.gallery]))
    first = scores.argsort(dim=1, descending=True)[:, :5]
    assert relevant.float().gather(1, first).mean() > given.dataset.chance() + 0.3


def test_signs_have_no_third_symbol():
    assert signs(torch.tensor([[0.0, -0.0, 1e-9, -1e-9]])).tolist() == [[1, 1, 1, -1]]


@pytest.mark.parametrize("n", [17, 33, 49])
def test_no_batch_is_a_remainder_of_one(n):
    sizes = [len(rows) for rows in epoch_batches(np.arange(n), 16, torch.Generator())]
    assert sum(sizes) == n and min(sizes) >= 8 and max(sizes) <= 16


def test_samples_without_a_label_are_like_nobody():
    assert hashing.share_a_label(torch.zeros(2, 3), torch.ones(2, 3)).tolist() == [[0, 0], [0, 0]]


def test_unknown_methods_and_options_are_refused_by_name(tmp_path):
    with pytest.raises(DcmqError, match="'DCMHH' is not registered; did you mean DCMH"):
        METHODS["DCMHH"]
    with pytest.raises(DcmqError, match=r"DCMH.beta is no option of DCMH \(known: gamma, eta\)"):
        METHODS["DCMH"].fit(task_of("DCMH", tmp_path, options={"beta": 1.0}))
    with pytest.raises(DcmqError, match="'DCMH.etta' is no setting; did you mean DCMH.eta"):
        parsed_settings("DCMH.etta=1")
    with pytest.raises(DcmqError, match="'PQ.beta' is no setting"):
        parsed_settings("PQ.beta=1")


def test_captions_are_not_read_where_nobody_can(tmp_path):
    given = task_of("teacher-captions", tmp_path)
    assert not given.teacher.reads_any_text
    with pytest.raises(DcmqError, match="tiny cannot read captions; choose the methods that end in -labels"):
        METHODS["teacher-captions"].fit(given)


def test_every_row_says_what_it_is():
    for name, row in METHODS.items():
        assert row.name == name and row.reference and row.note
        assert row.fidelity in ("as published", "adapted", "reconstruction", "inspired by", "control", "own")
    kinds = Counter(row.fidelity for row in METHODS.values())
    assert kinds[CONTROL] == 3 + 6 * 3  # three targets, and six kinds of search of three texts
    assert {name for name, row in METHODS.items() if row.fidelity == OWN} == {"DCMQ-shared", "DCMQ-best"}


def test_a_methods_runs_have_their_own_key(tmp_path):
    tasks = [task_of(name, tmp_path) for name in HASHING]
    assert len({training_fingerprint(task.config) for task in tasks}) == len(HASHING)
    keys = {run_key(task.config, task.dataset, task.teacher) for task in tasks}
    assert len(keys) == len(HASHING)


def test_tanh_outputs_stay_inside_one():
    network = hashing.TanhEncoder(SMALL, 3, 16).eval()
    dataset, _ = tiny_dataset()
    with torch.no_grad():
        image = network.encode_images(torch.from_numpy(dataset.images[:4]))
    assert image.abs().max() < 1 and torch.isfinite(F.normalize(image)).all()

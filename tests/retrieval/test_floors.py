"""Rankings by cues alone, against loops."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tiny import tiny_dataset

from dcmq.retrieval.floors import floors, query_blind_floor, shares_by_cue


class Unreadable:
    """Images that nobody may look at."""

    shape, dtype = (90, 16, 16, 3), np.dtype(np.uint8)

    def __getitem__(self, rows):
        raise AssertionError("an image was read")


def dataset_with_backgrounds(follow):
    """Samples of one to three labels; the background is the first label where ``follow``, else random."""
    data, _ = tiny_dataset()
    rng = np.random.default_rng(2)
    labels = data.labels | (rng.random(data.labels.shape) < 0.2).astype(np.uint8)
    backgrounds = labels.argmax(1) if follow else rng.integers(0, 3, len(labels))
    return replace(data, labels=labels, backgrounds=backgrounds, images=Unreadable())


def test_shares_are_those_of_pairs_of_different_samples():
    rng = np.random.default_rng(0)
    cue, labels = rng.integers(0, 4, 30), np.eye(3, dtype=np.uint8)[rng.integers(0, 3, 30)]
    cue[cue == 3] = 2
    cue[0] = 3  # alone: no other sample has its cue
    related = [(cue[i], cue[j], (labels[i] * labels[j]).any()) for i in range(30) for j in range(30) if i != j]
    found = shares_by_cue(cue, labels, 5)
    for a in range(5):
        for b in range(5):
            hits = [hit for x, y, hit in related if (x, y) == (a, b)] or [hit for *_, hit in related]
            assert found[a, b] == pytest.approx(np.mean(hits))


def test_a_ranking_by_the_number_of_labels_is_that_of_its_shares():
    data = dataset_with_backgrounds(False)
    split, number = data.split, data.labels.sum(1)
    table = shares_by_cue(number[split.train].astype(int), data.labels[split.train], 4)
    unseen = np.setdiff1d(split.gallery, split.train)
    found = floors(data, 10)["number of labels"]
    for name, gallery in (("gallery", split.gallery), ("unseen", unseen)):
        values = []
        for q in split.query:
            score, hits = table[number[q], number[gallery]], data.labels[gallery] @ data.labels[q] > 0
            orders = [np.random.default_rng(i).permutation(len(gallery)) for i in range(200)]
            ranked = [hits[order[np.argsort(-score[order], kind="stable")]] for order in orders]
            values.append(np.mean([average_precision_score(h, -np.arange(len(h))) for h in ranked]))
        assert found[name]["mAP@all (tie-averaged)"] == pytest.approx(np.mean(values), abs=0.01)


def test_a_background_that_tells_the_label_is_a_floor_and_a_random_one_is_not():
    told, random = (floors(dataset_with_backgrounds(follow), 10) for follow in (True, False))
    assert list(told) == ["chance", "number of labels", "background", "background and number of labels"]
    assert told["background"]["unseen"]["mAP@all"] > told["chance"]["unseen"]["mAP@all"] + 0.2
    assert random["background"]["unseen"]["mAP@all"] < random["chance"]["unseen"]["mAP@all"] + 0.1
    assert told["chance"] == random["chance"]


def test_the_floor_that_reads_no_query_is_that_of_the_judged_gallery():
    data = dataset_with_backgrounds(True)
    found = floors(replace(data, backgrounds=np.zeros(0, int)), 10)
    assert list(found) == ["chance", "number of labels"]
    assert query_blind_floor(found) == max(found[name]["unseen"]["mAP@all"] for name in found)
    trained = replace(data, split=replace(data.split, train=data.split.gallery))
    found = floors(trained, 10)
    assert query_blind_floor(found) == max(found[n]["gallery"]["mAP@all"] for n in ("chance", "number of labels"))

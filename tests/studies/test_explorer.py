"""The explorer's study: numbers on all queries, of two students of nobody and their teacher, and of a collection."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benches import random_student
from notebook_parameters import parameters
from tiny import several_labels

from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.explorer import Explorer
from dcmq.explore.failures import asked_queries, query_precisions
from dcmq.explore.items import items_of_dataset
from dcmq.explore.rankers import ranker_of_teacher
from dcmq.studies import explorer as study


@pytest.fixture
def explorer():
    data, embeddings = several_labels()
    students = [random_student(study.WITH), random_student(study.WITHOUT, seed=1)]
    return Explorer(Bench(items_of_dataset(data), [*students, ranker_of_teacher(embeddings, data)]))


@pytest.fixture
def unlabelled(explorer):
    items = replace(explorer.bench.items, labels=None, train_labels=None)
    return Explorer(Bench(items, [explorer.bench.rankers[study.WITH]]))


def frame_of(gaps):
    values = np.linspace(0.2, 0.6, len(gaps))
    return pd.DataFrame({"direction": "i2t", study.WITH: values + gaps, study.WITHOUT: values})


def test_every_query_is_measured_in_both_directions_and_the_gallery_stays(explorer):
    explorer.gallery = "texts"
    frame = study.precisions(explorer)
    assert explorer.gallery == explorer.bench.gallery == "texts"
    queries, teacher = asked_queries(explorer.bench), explorer.bench.rankers["teacher tiny"]
    for direction, gallery in (("i2t", "texts"), ("t2i", "images")):
        explorer.gallery = gallery
        part = frame[frame.direction == direction]
        assert part.row.tolist() == queries.tolist()
        assert part["teacher tiny"].tolist() == query_precisions(explorer.bench, teacher).tolist()


def test_the_table_has_a_line_per_direction_and_ranker(explorer):
    frame = study.precisions(explorer)
    table = study.table(explorer, frame)
    assert table.index.tolist() == [
        f"{direction}, {name}" for direction in ("i2t", "t2i") for name in (study.WITH, study.WITHOUT, "teacher tiny")
    ]
    part = frame[frame.direction == "i2t"]
    line = table.loc["i2t, without NPC"]
    assert line["mean AP"] == f"{part[study.WITHOUT].mean():.3f}"
    assert line["mean AP of its worst tenth"] == f"{np.sort(part[study.WITHOUT])[:2].mean():.3f}"
    share = sum(a > b for a, b in zip(part[study.WITH], part[study.WITHOUT], strict=True)) / 20
    assert line["queries better answered with NPC"] == f"{share:.0%}"


@pytest.mark.parametrize(
    ("gaps", "word"),
    [
        ([0.1] * 30, "holds"),
        ([-0.1] * 30, "does not hold"),
        ([0.1] * 16 + [-0.1] * 14, "undecided"),
        ([0.001] * 16 + [-0.001] * 14, "a tie"),
    ],
)
def test_the_verdict_follows_the_queries(gaps, word):
    (verdict,) = study.verdicts(frame_of(np.array(gaps)))
    assert verdict.word == word and "of these two trained students alone" in verdict.detail
    assert verdict.parts[0].difference.mean == pytest.approx(np.mean(gaps))
    assert f"{np.mean(np.array(gaps) > 0):.0%} of 30 queries better" in verdict.claim


def test_the_worst_queries_are_those_of_the_left_ranker(explorer):
    explorer.left = study.WITHOUT
    precisions = query_precisions(explorer.bench, explorer.bench.rankers[study.WITHOUT])
    precision = dict(zip(asked_queries(explorer.bench).tolist(), precisions, strict=True))
    worst = study.worst_queries(explorer, 5)
    assert [precision[row] for row in worst] == sorted(precision.values())[:5]


def test_without_labels_what_there_is_is_counted(unlabelled):
    frame = study.precisions(unlabelled)
    assert frame.empty
    assert study.table(unlabelled, frame)["items"].to_dict() == {"images": 90, "texts": 90}
    assert [verdict.word for verdict in study.verdicts(frame)] == ["not judged here"]
    assert study.worst_queries(unlabelled, 3) == unlabelled.bench.items.gallery("images")[:3].tolist()
    assert study.figure(unlabelled, frame).axes


def test_the_figure_has_a_mark_per_query(explorer):
    frame = study.precisions(explorer)
    for axis in study.figure(explorer, frame).axes:
        assert sum(len(line.get_xdata()) for line in axis.lines[:2]) == 20


def test_a_collection_needs_no_run_and_names_its_report():
    p = parameters("explorer", collection="somewhere/holidays")
    assert p.plan() == [] and p.name.startswith("collection-holidays-")
    assert p.name != parameters("explorer", collection="elsewhere/holidays").name
    with pytest.raises(DcmqError, match="nothing is trained for one, so settings and seed would change nothing"):
        parameters("explorer", collection="somewhere/holidays", seed=1, settings="tau=0.5")
    assert [run.config.target for run in parameters("explorer").plan()] == ["npc", "raw"]

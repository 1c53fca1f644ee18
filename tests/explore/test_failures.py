"""Failures: AP of every query as the reports measure it, their order, and precision curves, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from benches import random_bench

from dcmq.core.errors import DcmqError
from dcmq.explore import failures
from dcmq.explore.bench import Bench
from dcmq.explore.failures import asked_queries, precision_points, query_precisions, worst_first
from dcmq.explore.requests import answer
from dcmq.explore.search import query_ranking


def by_hand(bench, ranker, row):
    """AP of one query: the mean, over relevant items, of the share of relevant ones up to it."""
    bench.set("query", {"kind": "text" if bench.gallery == "images" else "image", "row": int(row)})
    labels, hits, precisions = bench.items.labels, 0, []
    for rank, other in enumerate(query_ranking(bench, ranker).rows.tolist(), 1):
        if (labels[row] & labels[other]).any():
            hits += 1
            precisions.append(hits / rank)
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("gallery", ["images", "texts"])
@pytest.mark.parametrize("name", ["one", "teacher tiny"])
def test_average_precisions_by_hand(gallery, name):
    bench = random_bench()
    bench.set("gallery", gallery)
    ranker, queries = bench.rankers[name], asked_queries(bench)
    assert queries.tolist() == np.flatnonzero(bench.items.splits == "query").tolist()
    expected = [by_hand(bench, ranker, row) for row in queries]
    assert query_precisions(bench, ranker).tolist() == pytest.approx(expected, abs=1e-9)


def test_worst_first():
    left, right = np.array([0.5, 0.1, 0.9, 0.3]), np.array([0.5, 0.6, 0.2, 0.2])
    assert worst_first(left, right, "lowest").tolist() == [1, 3, 0, 2]
    assert worst_first(left, right, "difference").tolist() == [2, 1, 3, 0]
    with pytest.raises(DcmqError, match="a difference needs two rankers"):
        worst_first(left, None, "difference")


def test_the_table_of_failures():
    bench = random_bench()
    result = answer(bench, "failures", {"order": "difference", "limit": 5})[0]
    gaps = [abs(left - right) for left, right in (query["ap"] for query in result["queries"])]
    assert gaps == sorted(gaps, reverse=True) and len(gaps) == 5
    precisions = [query_precisions(bench, bench.rankers[name]) for name in ("one", "two")]
    assert max(abs(precisions[0] - precisions[1])) == pytest.approx(gaps[0], abs=2e-4)
    assert result["means"] == pytest.approx([p.mean() for p in precisions], abs=1e-4)
    assert result["kind"] == "text" and result["asked"] == result["all"] == 20


def test_precision_by_rank():
    relevant = np.array([False, True, True, False])
    ranks, precision = precision_points(relevant)
    assert ranks.tolist() == [1, 2, 3, 4] and precision.tolist() == pytest.approx([0, 1 / 2, 2 / 3, 1 / 2])
    ranks, precision = precision_points(np.arange(100_000) % 2 == 0)
    assert len(ranks) < 200 and ranks[0] == 1 and ranks[-1] == 100_000
    assert precision[-1] == pytest.approx(0.5)


def test_curves_end_at_chance():
    result = answer(random_bench(), "precision_curves", {})[0]
    assert [curve["precision"][-1] for curve in result["curves"]] == [result["chance"]] * 2


def test_of_a_very_large_gallery_a_sample_of_the_queries_is_asked(monkeypatch):
    bench = random_bench()
    monkeypatch.setattr(failures, "_MOST_PAIRS", 5 * len(bench.items.gallery("images")) + 1)
    asked = asked_queries(bench)
    assert len(set(asked.tolist())) == 5 and (bench.items.splits[asked] == "query").all()
    assert asked.tolist() == asked_queries(bench).tolist()
    result = answer(bench, "failures", {})[0]
    assert (result["asked"], result["all"]) == (5, 20)


def test_without_labels_nothing_is_a_failure():
    bench = random_bench()
    unlabelled = Bench(replace(bench.items, labels=None), list(bench.rankers.values()))
    with pytest.raises(DcmqError, match="tiny has no labelled queries"):
        answer(unlabelled, "failures", {})
    with pytest.raises(DcmqError, match="what is relevant to this query is not known"):
        answer(unlabelled, "precision_curves", {})


@pytest.mark.parametrize("arguments", [{"order": "random"}, {"limit": 0}, {"sort": "lowest"}])
def test_bad_arguments_are_refused_in_a_line(arguments):
    with pytest.raises(DcmqError, match=r"failures: \w+: .*") as error:
        answer(random_bench(), "failures", arguments)
    assert "\n" not in str(error.value)

"""Rankings on the bench, against loops: order, ties, relevance, and what one finds and the other misses."""

import numpy as np
import pytest
import torch
from benches import random_bench

from dcmq.core.errors import DcmqError
from dcmq.explore.requests import answer
from dcmq.explore.search import Ranking, precisions_at_hits, query_ranking, ranked, ranks_of
from dcmq.retrieval.measures import average_precision
from dcmq.retrieval.metrics import tie_permutation


def search(bench, **arguments):
    return answer(bench, "search", arguments)[0]


def test_rows_come_by_falling_score_and_ties_in_the_order_of_the_metrics():
    rows, scores = np.array([10, 20, 30, 40, 50]), torch.tensor([0.5, 0.9, 0.5, -0.1, 0.5])
    tied = [rows[place] for place in tie_permutation(5).tolist() if scores[place] == 0.5]
    ranking = ranked(scores, rows)
    assert ranking.rows.tolist() == [20, *tied, 40]
    assert ranking.scores.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.5, -0.1])


def test_ranks_under_another_ranking():
    ranking = Ranking(np.array([7, 3, 9]), np.zeros(3))
    assert ranks_of(np.array([9, 7, 3]), ranking).tolist() == [3, 1, 2]


def test_precision_at_each_relevant_item():
    assert precisions_at_hits(np.array([True, False, True, True])).tolist() == pytest.approx([1, 2 / 3, 3 / 4])
    assert average_precision(precisions_at_hits(np.array([False, False]))) == 0


@pytest.mark.parametrize("query", ["image", "text"])
@pytest.mark.parametrize("gallery", ["images", "texts"])
def test_all_four_directions_against_a_loop(query, gallery):
    bench = random_bench()
    row = int(bench.items.gallery("images")[4])  # of the gallery itself
    bench.set("query", {"kind": query, "row": row})
    bench.set("gallery", gallery)
    teacher = bench.rankers["teacher tiny"]
    ranking = query_ranking(bench, teacher)
    asked = teacher.embeddings[f"{query}s"][row]
    scores = {other: float(asked @ teacher.embeddings[gallery][other]) for other in bench.items.gallery(gallery)}
    if f"{query}s" == gallery:
        del scores[row]  # nothing finds itself
    assert set(ranking.rows.tolist()) == set(scores)
    assert ranking.scores.tolist() == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-6)
    assert ranking.scores.tolist() == pytest.approx([scores[other] for other in ranking.rows.tolist()], abs=1e-6)


def test_relevance_is_a_shared_label():
    bench = random_bench()
    column = search(bench, k=10)["columns"][0]
    labels, row = bench.items.labels, bench.query["row"]
    expected = [any(labels[row, c] and labels[other, c] for c in range(3)) for other in column["rows"]]
    assert column["relevant"] == expected
    assert column["precision"] == pytest.approx(sum(expected) / 10)


def test_words_are_relevant_by_the_classes_that_they_name_and_else_unknown():
    bench = random_bench()
    bench.set("right", "")
    bench.set("query", {"kind": "words", "text": "something green"})
    (column,) = search(bench, k=5)["columns"]
    assert column["relevant"] == bench.items.labels[column["rows"], 1].tolist()
    bench.set("query", {"kind": "words", "text": "something"})
    (column,) = search(bench, k=5)["columns"]
    assert "relevant" not in column and "ap" not in column


def test_what_both_find_and_where_each_item_stands_with_the_other():
    bench = random_bench()
    found = search(bench, k=15)
    left, right = found["columns"]
    assert found["shared"] == len(set(left["rows"]) & set(right["rows"]))
    other = query_ranking(bench, bench.rankers["two"]).rows.tolist()
    assert left["other_ranks"] == [other.index(row) + 1 for row in left["rows"]]


def test_a_ranker_that_cannot_read_the_query_says_so_and_the_other_answers():
    bench = random_bench()
    bench.set("right", "teacher tiny")  # known by its embeddings alone
    bench.set("query", {"kind": "words", "text": "green"})
    found = search(bench)
    student, teacher = found["columns"]
    assert len(student["rows"]) == 24 and "other_ranks" not in student and found["shared"] is None
    assert teacher == {"name": "teacher tiny", "error": teacher["error"]}
    assert "reads no other words" in teacher["error"]


def test_one_ranker_on_both_sides_is_shown_once():
    bench = random_bench()
    bench.set("right", bench.left)
    assert [column["name"] for column in search(bench)["columns"]] == ["one"]


@pytest.mark.parametrize("k", [0, 201, "many", None])
def test_a_number_of_results_that_cannot_be_is_refused(k):
    with pytest.raises(DcmqError, match="search: k: input should be"):
        search(random_bench(), k=k)

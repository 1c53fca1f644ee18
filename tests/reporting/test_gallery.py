"""Samples in figures, and the first results of a student."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import STUDENT, several_labels, tiny_dataset

from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import Student
from dcmq.reporting import gallery
from dcmq.retrieval.evaluate import evaluate
from dcmq.retrieval.metrics import tie_permutation


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return Student(STUDENT, 3).eval()


def test_the_first_results_are_those_that_the_metrics_count(student):
    data, _ = several_labels()
    measured = evaluate(QuantizedRetriever(student, data), data, 10)
    for direction in ("i2t", "t2i"):
        rows, hits = gallery.search(student, data, direction, 5)
        assert rows.shape == hits.shape == (20, 5) and np.isin(rows, data.split.gallery).all()
        assert hits.mean() == pytest.approx(measured[direction]["gallery"]["precision@N"]["5"])
        for query, results, hit in zip(data.split.query, rows, hits, strict=True):
            assert hit.tolist() == [bool((data.labels[query] & data.labels[row]).any()) for row in results]


def test_queries_in_chunks_find_the_same():
    data, _ = several_labels()
    generator = torch.Generator().manual_seed(0)
    tables = torch.randn(20, 4, 16, generator=generator)
    codes = torch.randint(16, (70, 4), generator=generator)
    whole = gallery.ranked_rows(tables, codes, data, 5)
    for one, other in zip(whole, gallery.ranked_rows(tables, codes, data, 5, chunk=3), strict=True):
        assert np.array_equal(one, other)


def test_equal_scores_are_in_the_order_of_the_metrics():
    data, _ = several_labels()
    tables = torch.randint(3, (20, 4, 16), generator=torch.Generator().manual_seed(0)).float()
    codes = torch.randint(16, (70, 4), generator=torch.Generator().manual_seed(1))
    place = {int(item): i for i, item in enumerate(tie_permutation(70))}
    rows, _ = gallery.ranked_rows(tables, codes, data, 10, chunk=1)
    for table, found in zip(tables, rows, strict=True):
        score = [sum(float(table[m, c]) for m, c in enumerate(code)) for code in codes.tolist()]
        expected = sorted(range(70), key=lambda item, score=score: (-score[item], place[item]))
        assert found.tolist() == data.split.gallery[expected[:10]].tolist()


def test_a_row_without_any_text_is_shown_without_text():
    data, _ = tiny_dataset()
    assert gallery.text_of(data, 0) == ""
    tagged = replace(data, tags=((),) * 90, captions=(("a red dot",),) * 90)
    assert gallery.text_of(tagged, 0) == "a red dot"

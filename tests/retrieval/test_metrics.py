"""Metrics against loops on hand-worked rankings, and against scikit-learn where conventions agree."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from dcmq.core.errors import DcmqError
from dcmq.retrieval.measures import ranked_relevance, tie_averaged_average_precision
from dcmq.retrieval.metrics import evaluate_ranking, precision_recall_by_radius


def ap_hits(relevant, r):
    """The mean of the precision at each hit among the first r."""
    hits, total = 0, 0.0
    for rank, hit in enumerate(relevant[:r], 1):
        if hit:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def single(score, relevant, **options):
    """Metrics of one query whose relevant items are given."""
    gallery = torch.tensor([[int(hit), 1 - int(hit)] for hit in relevant])
    return evaluate_ranking(lambda rows: torch.tensor([score]), torch.tensor([[1, 0]]), gallery, **options)


def test_a_ranking_worked_by_hand():
    # ranks:              1  2  3  4  5
    result = single([5.0, 4, 3, 2, 1], [1, 0, 1, 0, 1], r=3)
    assert result.map_at_r_hits == pytest.approx((1 + 2 / 3) / 2)
    assert result.map_at_all == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert result.precision_at == pytest.approx({1: 1, 2: 1 / 2, 5: 3 / 5})
    assert result.recall_at == pytest.approx({1: 1 / 3, 2: 1 / 3, 5: 1})
    assert list(result.to_dict())[:3] == ["mAP@3 (hits)", "mAP@all", "mAP@all (tie-averaged)"]


def random_case(ties):
    generator = torch.Generator().manual_seed(3)
    score = torch.rand(9, 60, generator=generator)
    labels = (torch.rand(69, 4, generator=generator) < 0.3).long()
    return ((score * 6).floor() if ties else score), labels[:9], labels[9:]


def test_agrees_with_loops_and_with_scikit_learn_without_ties():
    score, queries, gallery = random_case(ties=False)
    result = evaluate_ranking(lambda rows: score[rows], queries, gallery, r=20, chunk=4)
    for q in range(9):
        relevant = (gallery @ queries[q] > 0).numpy()
        order = np.argsort(-score[q].numpy())
        assert result.average_precision_hits[q].item() == pytest.approx(ap_hits(relevant[order], 20))
        expected = average_precision_score(relevant, score[q]) if relevant.any() else 0.0
        assert result.average_precision_all[q].item() == pytest.approx(expected)
    assert result.map_at_all_tie_averaged == pytest.approx(result.map_at_all)


def test_tie_averaged_ap_is_the_mean_over_tie_orders():
    score, queries, gallery = random_case(ties=True)
    results = [evaluate_ranking(lambda rows: score[rows], queries, gallery, tie_seed=s) for s in range(400)]
    assert np.mean([r.map_at_all for r in results]) == pytest.approx(results[0].map_at_all_tie_averaged, abs=2e-3)
    assert len({round(r.map_at_all_tie_averaged, 10) for r in results}) == 1
    assert len({r.map_at_all for r in results}) > 1


@pytest.mark.parametrize(
    ("groups", "hits"),
    [((1, 2, 3), 2), ((3, 3), 4), ((6,), 3), ((2, 1, 1, 2), 1), ((4, 2), 6), ((1,) * 5, 2), ((3,), 0)],
)
def test_tie_averaged_ap_is_exactly_the_mean_over_all_orders_of_each_group(groups, hits):
    n = sum(groups)
    group = np.repeat(np.arange(len(groups)), groups)
    relevant = np.zeros(n, bool)
    relevant[np.random.default_rng(n).permutation(n)[:hits]] = True
    orders = itertools.product(*(itertools.permutations(np.flatnonzero(group == g)) for g in range(len(groups))))
    expected = np.mean([ap_hits(relevant[list(itertools.chain(*order))], n) for order in orders])
    ranks = np.flatnonzero(relevant) + 1
    result = tie_averaged_average_precision(relevant, group[1:] == group[:-1], np.arange(1, hits + 1) / ranks)
    assert result == pytest.approx(expected, abs=1e-12)


def test_ranks_are_those_of_a_stable_sort_after_the_positions():
    generator = np.random.default_rng(0)
    for score in (
        generator.standard_normal(300),
        generator.integers(-3, 3, 300),
        np.tile([0.0, -0.0, 1e-40, -1e-40, np.inf, -np.inf], 50),
    ):
        score, position = score.astype(np.float32), generator.permutation(300)
        relevant = generator.random(300) < 0.3
        order = sorted(range(300), key=lambda i: (-score[i], position[i]))
        hit, tied = ranked_relevance(score, position, relevant)
        assert hit.tolist() == [relevant[i] for i in order]
        assert tied.tolist() == [score[i] == score[j] for i, j in itertools.pairwise(order)]


def test_threads_do_not_matter_and_are_given_back(monkeypatch):
    monkeypatch.setattr("dcmq.retrieval.metrics._LARGE", 0)
    score, queries, gallery = random_case(ties=True)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(evaluate_ranking(lambda rows: score[rows], queries, gallery, chunk=2))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert results[0].to_dict() == results[1].to_dict()
    assert torch.equal(results[0].average_precision_all, results[1].average_precision_all)


def test_chunks_do_not_matter():
    score, queries, gallery = random_case(ties=True)
    whole, *parts = [evaluate_ranking(lambda rows: score[rows], queries, gallery, chunk=c) for c in (100, 1, 4)]
    for part in parts:
        torch.testing.assert_close(part.average_precision_all, whole.average_precision_all)
        assert part.map_at_all_tie_averaged == pytest.approx(whole.map_at_all_tie_averaged)
        assert part.recall_at == pytest.approx(whole.recall_at)


def test_queries_without_relevant_items_count_as_zero_and_are_reported():
    score, gallery = torch.rand(2, 5), torch.tensor([[1, 0, 0]] * 5)
    queries = torch.tensor([[1, 0, 0], [0, 1, 0]])
    result = evaluate_ranking(lambda rows: score[rows], queries, gallery)
    assert (result.queries_without_relevant, result.queries_without_hit) == (1, 1)
    assert result.map_at_all == 0.5


def test_nan_and_empty_input_are_refused():
    with pytest.raises(DcmqError, match="NaN"):
        single([float("nan"), 1.0], [1, 0])
    with pytest.raises(DcmqError, match="nothing to rank"):
        evaluate_ranking(lambda rows: torch.zeros(0, 1), torch.zeros(0, 2), torch.zeros(1, 2))


def test_interpolated_precision_is_the_best_at_any_larger_recall():
    score, queries, gallery = random_case(ties=False)
    queries = torch.cat([queries, torch.zeros(1, 4, dtype=torch.long)])  # one query without a relevant item
    score = torch.cat([score, score[:1]])
    result = evaluate_ranking(lambda rows: score[rows], queries, gallery, r=10)
    expected = np.zeros(11)
    for values, own in zip(score, queries, strict=True):
        hits = [int((own * gallery[i]).sum() > 0) for i in values.argsort(descending=True)]
        for level in range(11):
            reached = [sum(hits[:n]) / n for n in range(1, 61) if sum(hits) and sum(hits[:n]) / sum(hits) >= level / 10]
            expected[level] += max(reached, default=0.0) / len(score)
    assert list(result.interpolated_precision.values()) == pytest.approx(expected)
    assert list(result.interpolated_precision) == [level / 10 for level in range(11)]


def test_precision_and_recall_by_radius_count_pairs():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 2, (12, 6), generator=generator) * 2.0 - 1
    labels = torch.randint(0, 2, (12, 2), generator=generator)
    queries, gallery = codes[:4], codes[4:]

    def score(rows):
        return (queries[rows] @ gallery.T - 6) / 2

    curve = precision_recall_by_radius(score, labels[:4], labels[4:], 6, chunk=3)
    for radius in range(7):
        near = hits = total = 0
        for q in range(4):
            for i in range(8):
                relevant = bool((labels[q] * labels[4 + i]).sum())
                total += relevant
                if (queries[q] != gallery[i]).sum() <= radius:
                    near, hits = near + 1, hits + relevant
        assert curve["precision"][radius] == pytest.approx(hits / near if near else 0)
        assert curve["recall"][radius] == pytest.approx(hits / total)


def test_each_querys_ap_is_written_in_thousandths():
    score, queries, gallery = random_case(ties=False)
    result = evaluate_ranking(lambda rows: score[rows], queries, gallery, r=10)
    lines = result.per_query()
    assert set(lines) == {"mAP@10 (hits)", "mAP@all"}
    values = np.array(lines["mAP@all"].split(), int) / 1000
    assert values.mean() == pytest.approx(result.map_at_all, abs=5e-4)


def test_labels_and_scores_of_another_shape_are_refused_and_never_measured():
    one_hot = torch.eye(3)
    numbers, scores = torch.arange(3), torch.eye(3)
    with pytest.raises(DcmqError, match=r"labels are \(3,\) and \(3,\).*one-hot"):
        evaluate_ranking(lambda rows: scores[rows], numbers, numbers)
    with pytest.raises(DcmqError, match=r"labels are \(3, 3\) and \(3, 2\)"):
        evaluate_ranking(lambda rows: scores[rows], one_hot, one_hot[:, :2])
    with pytest.raises(DcmqError, match=r"scores are \(3, 2\), not \(3, 3\)"):
        evaluate_ranking(lambda rows: scores[rows, :2], one_hot, one_hot)
    with pytest.raises(DcmqError, match="r is -1"):
        evaluate_ranking(lambda rows: scores[rows], one_hot, one_hot, r=-1)
    with pytest.raises(DcmqError, match=r"labels are \(3,\)"):
        precision_recall_by_radius(lambda rows: scores[rows], numbers, one_hot, 2)


def test_arrays_are_read_as_tensors_are_and_minus_one_is_no_label():
    labels, scores = torch.eye(3), torch.eye(3)
    wanted = evaluate_ranking(lambda rows: scores[rows], labels, labels).to_dict()
    assert evaluate_ranking(lambda rows: scores.numpy()[rows], labels.numpy(), labels.numpy()).to_dict() == wanted
    signed = 2 * labels - 1
    assert evaluate_ranking(lambda rows: scores[rows], signed, signed).to_dict() == wanted
    distances = lambda rows: -(1 - scores[rows])  # noqa: E731
    assert precision_recall_by_radius(distances, signed, signed, 1) == precision_recall_by_radius(distances, labels, labels, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk": -1}, "chunk is -1"),
        ({"chunk": 1.5}, "chunk is 1.5"),
        ({"r": 2.5}, "r is 2.5"),
        ({"r": True}, "r is True"),
        ({"r": None}, "r is None"),
        ({"tie_seed": 2**65}, "tie_seed is"),
        ({"query_labels": torch.full((3, 3), torch.nan)}, "labels are not all 0 and 1"),
        ({"query_labels": torch.rand(3, 3)}, "labels are not all 0 and 1"),
        ({"query_labels": torch.eye(3).to(torch.complex64)}, "labels are not all 0 and 1"),
        ({"query_labels": torch.zeros(3, 0), "gallery_labels": torch.zeros(3, 0)}, r"labels are \(3, 0\)"),
        ({"query_labels": [["a", "b", "c"]] * 3}, "labels are no numbers"),
        ({"score": lambda rows: torch.eye(3, dtype=torch.float64)[rows] * 1e300}, "too large for float32"),
        ({"score": lambda rows: torch.eye(3, dtype=torch.complex64)[rows]}, "real numbers"),
    ],
)
def test_what_could_only_be_measured_wrong_is_refused_in_a_line(changes, message):
    given = {"score": lambda rows: torch.eye(3)[rows], "query_labels": torch.eye(3), "gallery_labels": torch.eye(3)}
    with pytest.raises(DcmqError, match=message) as caught:
        evaluate_ranking(**(given | changes))
    assert "\n" not in str(caught.value)


def test_labels_may_be_of_any_number_type():
    wanted = evaluate_ranking(lambda rows: torch.eye(3)[rows], torch.eye(3), torch.eye(3)).to_dict()
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float64):
        assert evaluate_ranking(lambda rows: torch.eye(3)[rows], torch.eye(3).to(kind), torch.eye(3)).to_dict() == wanted

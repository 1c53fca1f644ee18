"""From student and teacher to metrics, against loops over single pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from tiny import STUDENT, tiny_dataset

from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import Student
from dcmq.retrieval.evaluate import DIRECTIONS, INTRA, evaluate, evaluate_teacher, judged_gallery
from dcmq.retrieval.metrics import own_pair_recall
from dcmq.retrieval.retriever import Retriever
from dcmq.retrieval.thresholds import over_pairs


def relevance(dataset, gallery):
    labels = dataset.labels.astype(int)
    return labels[dataset.split.query] @ labels[gallery].T > 0


class Points(Retriever):
    """Given points of images and texts, ranked by their dot product."""

    bytes_per_item = 32

    def __init__(self, image, text):
        self.image, self.text = image, text

    def embed(self, rows):
        return self.image[rows], self.text[rows]

    def codes(self, embeddings):
        return embeddings

    def queries(self, embeddings):
        return embeddings

    def scores(self, queries, codes):
        return queries @ codes.T


def noisy_points(dataset, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.from_numpy(dataset.labels).float()
    return Points(*(labels + torch.randn(labels.shape, generator=generator) for _ in range(2)))


def test_verdicts_are_about_unseen_items_where_there_are_any():
    dataset, _ = tiny_dataset()
    trained_on_all = replace(dataset, split=replace(dataset.split, train=dataset.split.gallery))
    for data, judged in ((dataset, "unseen"), (trained_on_all, "gallery")):
        result = evaluate(noisy_points(data), data, 10)
        for direction in DIRECTIONS:
            assert judged_gallery(result[direction]) == judged
            for extra in ("AP per query", "pairs"):
                assert [name for name, metrics in result[direction].items() if extra in metrics] == [judged]
            assert "AUC within a background" not in result[direction][judged]
        for direction in INTRA:
            assert list(result[direction]) == [judged] and judged_gallery(result[direction]) == judged


def test_within_one_modality_the_gallery_is_the_same_modality():
    dataset, _ = tiny_dataset()
    points = noisy_points(dataset)
    result = evaluate(points, dataset, 10)
    unseen = np.setdiff1d(dataset.split.gallery, dataset.split.train)
    for direction, own in (("i2i", points.image), ("t2t", points.text)):
        scores = (own[dataset.split.query] @ own[unseen].T).numpy()
        hits = relevance(dataset, unseen)
        expected = np.mean([average_precision_score(h, s) for h, s in zip(hits, scores, strict=True)])
        assert result[direction]["unseen"]["mAP@all"] == pytest.approx(expected, abs=1e-6)


def test_the_own_pair_is_ranked_among_the_queries():
    dataset, _ = tiny_dataset()
    points, query = noisy_points(dataset), dataset.split.query
    result = evaluate(points, dataset, 10)
    for direction, asked, stored in (("i2t", points.image, points.text), ("t2i", points.text, points.image)):
        scores = asked[query] @ stored[query].T
        ranks = [sorted(row, reverse=True).index(row[i]) for i, row in enumerate(scores.tolist())]
        expected = {str(n): pytest.approx(np.mean([rank < n for rank in ranks])) for n in (1, 5, 10)}
        assert result[direction]["own pair"] == expected


def test_own_pairs_among_equal_scores_count_by_chance():
    assert own_pair_recall(lambda rows: torch.zeros(20, 20)[rows], 20) == {"1": 0.05, "5": 0.25, "10": 0.5}


def test_the_auc_within_a_background_is_the_mean_over_queries_that_have_one():
    dataset, _ = tiny_dataset()
    backgrounds = np.random.default_rng(0).integers(0, 2, len(dataset.ids))
    backgrounds[dataset.split.query[:3]] = 2  # nothing in the gallery has it
    points = noisy_points(dataset)
    result = evaluate(points, replace(dataset, backgrounds=backgrounds), 10)
    unseen, values = np.setdiff1d(dataset.split.gallery, dataset.split.train), []
    for q in dataset.split.query[3:]:
        own = unseen[backgrounds[unseen] == backgrounds[q]]
        hits = dataset.labels[own] @ dataset.labels[q] > 0
        values.append(roc_auc_score(hits, (points.image[q] @ points.text[own].T).numpy()))
    found = result["i2t"]["unseen"]
    assert found["AUC within a background"] == pytest.approx(np.mean(values)) and found["queries without AUC"] == 3


def test_the_threshold_is_chosen_on_the_cut_without_its_own_items():
    dataset, _ = tiny_dataset()
    dataset = replace(
        dataset, split=replace(dataset.split, train=dataset.split.gallery)
    )  # so the cut is in the gallery
    points, split = noisy_points(dataset), dataset.split
    others = np.setdiff1d(split.gallery, split.validation)
    result = evaluate(points, dataset, 10)["t2i"]["gallery"]["pairs"]
    parts = []
    for rows, items in ((split.query, split.gallery), (split.validation, others)):
        parts += [
            (points.text[rows] @ points.image[items].T).numpy(),
            dataset.labels[rows] @ dataset.labels[items].T > 0,
        ]
    expected = over_pairs(*parts)
    assert result.pop("threshold") == pytest.approx(expected.pop("threshold"))
    assert result == pytest.approx(expected)


def test_of_many_pairs_some_queries_are_pooled(monkeypatch):
    dataset, _ = tiny_dataset()
    assert evaluate(noisy_points(dataset), dataset, 10)["i2t"]["unseen"]["pairs"]["queries"] == 20
    monkeypatch.setattr("dcmq.retrieval.evaluate.PAIRS", 100)  # 20 items are unseen
    assert evaluate(noisy_points(dataset), dataset, 10)["i2t"]["unseen"]["pairs"]["queries"] == 5


def test_quantized_retrieval_is_the_sum_of_cosines_with_the_nearest_codewords():
    dataset, _ = tiny_dataset()
    torch.manual_seed(0)
    student = Student(STUDENT, 3).eval()
    result = evaluate(QuantizedRetriever(student, dataset), dataset, 10)
    codebooks = student.quantizer.codebooks.detach()
    unseen = np.setdiff1d(dataset.split.gallery, dataset.split.train)
    for name, gallery in (("gallery", dataset.split.gallery), ("unseen", unseen)):
        with torch.no_grad():
            queries = student.encode_images(torch.from_numpy(dataset.images[dataset.split.query]))
            items = student.encode_texts(torch.from_numpy(dataset.bow[gallery].toarray()))
        score = np.zeros((len(queries), len(items)))
        for i, item in enumerate(items):
            for m, codebook in enumerate(codebooks):
                part = slice(4 * m, 4 * m + 4)
                codeword = codebook[torch.cosine_similarity(item[part], codebook).argmax()].numpy()
                for q, query in enumerate(queries.numpy()):
                    own = query[part]
                    score[q, i] += own @ codeword / np.linalg.norm(own) / np.linalg.norm(codeword)
        # Texts of one label are equal here, so whole groups tie: only the tie-averaged value has no order in it.
        hits = relevance(dataset, gallery)
        assert len({tuple(s) for s in score.round(5).T}) <= 3
        expected = []
        for s, h in zip(score.round(5), hits, strict=True):
            orders = [np.random.default_rng(i).permutation(len(s)) for i in range(300)]
            ranked = [order[np.argsort(-s[order], kind="stable")] for order in orders]
            expected.append(np.mean([average_precision_score(h[r], -np.arange(len(r))) for r in ranked]))
        assert result["i2t"][name]["mAP@all (tie-averaged)"] == pytest.approx(np.mean(expected), abs=0.01)


def test_the_continuous_gallery_ranks_by_the_cosine_of_the_embeddings():
    dataset, _ = tiny_dataset()
    torch.manual_seed(0)
    student = Student(STUDENT, 3).eval()
    result = evaluate(QuantizedRetriever(student, dataset), dataset, 10)
    gallery = dataset.split.gallery
    with torch.no_grad():
        queries = student.encode_texts(torch.from_numpy(dataset.bow[dataset.split.query].toarray()))
        items = student.encode_images(torch.from_numpy(dataset.images[gallery]))
    expected = []
    for query, hits in zip(queries, relevance(dataset, gallery), strict=True):
        cosines = [torch.cosine_similarity(query, item, dim=0).item() for item in items]
        expected.append(average_precision_score(hits, cosines))
    assert result["t2i"]["continuous"]["mAP@all"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_codeword_statistics_are_those_of_the_gallery():
    dataset, _ = tiny_dataset()
    torch.manual_seed(0)
    student = Student(STUDENT, 3).eval()
    statistics = evaluate(QuantizedRetriever(student, dataset), dataset, 10)["codewords"]["image"]
    with torch.no_grad():
        items = student.encode_images(torch.from_numpy(dataset.images[dataset.split.gallery]))
    codebooks = student.quantizer.codebooks.detach()
    entropies, dead = [], 0
    for m, codebook in enumerate(codebooks):
        counts = [0] * len(codebook)
        for item in items:
            cosines = torch.cosine_similarity(item[4 * m : 4 * m + 4][None], codebook)
            counts[int(cosines.argmax())] += 1
        shares = [c / len(items) for c in counts if c]
        entropies.append(-sum(p * np.log(p) for p in shares) / np.log(len(codebook)))
        dead += counts.count(0)
    assert statistics["entropy"] == pytest.approx(np.mean(entropies))
    assert statistics["dead"] == pytest.approx(dead / codebooks.shape[0] / codebooks.shape[1])
    assert sum(statistics["usage"]) == pytest.approx(1) and statistics["usage"] == sorted(
        statistics["usage"], reverse=True
    )


def test_the_teachers_own_retrieval_and_its_similarities():
    dataset, teacher = tiny_dataset()
    result = evaluate_teacher(teacher, dataset, 10)
    split, hits = dataset.split, relevance(dataset, dataset.split.gallery)
    cosine = (teacher.image[split.query] @ teacher.text[split.gallery].T).numpy()
    expected = np.mean([average_precision_score(h, c) for h, c in zip(hits, cosine, strict=True)])
    assert result["i2t"]["mAP@all"] == pytest.approx(expected, abs=1e-6)
    assert result["similarity"] == pytest.approx(
        {
            "lowest": cosine.min(), "highest": cosine.max(), "sd": cosine.std(),
            "relevant": cosine[hits].mean(), "irrelevant": cosine[~hits].mean(),
        }, rel=1e-5,
    )  # fmt: skip

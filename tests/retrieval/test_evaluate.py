"""From student and teacher to metrics, against loops over single pairs."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from tiny import STUDENT, tiny_dataset

from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import Student
from dcmq.retrieval.evaluate import evaluate, evaluate_teacher


def relevance(dataset, gallery):
    labels = dataset.labels.astype(int)
    return labels[dataset.split.query] @ labels[gallery].T > 0


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

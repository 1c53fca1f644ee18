"""Metrics of a trained method, and of the teacher itself, in both directions."""

import numpy as np
import torch
from torch.nn import functional as F

from dcmq.codes.usage import codeword_statistics
from dcmq.data.dataset import RetrievalDataset
from dcmq.retrieval.metrics import evaluate_ranking, precision_recall_by_radius
from dcmq.retrieval.retriever import Retriever
from dcmq.teachers.base import TeacherEmbeddings

DIRECTIONS = ("i2t", "t2i")  # query modality first: i2t is an image query on a gallery of texts


def evaluate(retriever: Retriever, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """All metrics of retrieval: ``{direction: {gallery: {metric: value}}, "codewords": {modality: {statistic: value}}}``.

    Galleries: ``gallery`` is the whole, as codes; ``unseen`` leaves the training samples out and is absent where nothing
    else is in it; ``continuous`` is the whole, not compressed, by the cosine of the embeddings: what compression costs.
    The whole has ``AP per query`` too, and ``by Hamming radius`` where that ranks. Codeword statistics are the gallery's.

    Args:
        r: R of mAP@R (hits).
    """
    split = dataset.split
    query_image, query_text = retriever.embed(split.query)
    gallery_image, gallery_text = retriever.embed(split.gallery)
    labels = torch.from_numpy(np.asarray(dataset.labels))
    query_labels, gallery_labels = labels[split.query], labels[split.gallery]
    unseen = torch.from_numpy(np.flatnonzero(~np.isin(split.gallery, split.train)))
    result = {"codewords": {}}
    for direction, modality, query, gallery in (
        ("i2t", "text", query_image, gallery_text),
        ("t2i", "image", query_text, gallery_image),
    ):
        codes, queries = retriever.codes(gallery), retriever.queries(query)
        score = _scorer(retriever, queries, codes)
        metrics = evaluate_ranking(score, query_labels, gallery_labels, r=r)
        result[direction] = {"gallery": metrics.to_dict() | {"AP per query": metrics.per_query()}}
        if retriever.radius:
            pairs = precision_recall_by_radius(score, query_labels, gallery_labels, retriever.radius)
            result[direction]["gallery"]["by Hamming radius"] = pairs
        if len(unseen):
            score = _scorer(retriever, queries, codes[unseen])
            result[direction]["unseen"] = evaluate_ranking(score, query_labels, gallery_labels[unseen], r=r).to_dict()
        score = _cosine_scorer(F.normalize(query, dim=1), F.normalize(gallery, dim=1))
        result[direction]["continuous"] = evaluate_ranking(score, query_labels, gallery_labels, r=r).to_dict()
        if retriever.codebooks is not None:
            result["codewords"][modality] = codeword_statistics(codes, retriever.codebooks)
    return result


def evaluate_teacher(teacher: TeacherEmbeddings, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """The teacher's own retrieval, continuous, with label sentences as text: ``{direction: {metric: value}}``.

    Under ``similarity``, its cosines of query images and gallery sentences: lowest, highest, standard deviation (``sd``), and
    the means over relevant and irrelevant pairs.

    Args:
        r: R of mAP@R (hits).
    """
    split = dataset.split
    labels = torch.from_numpy(np.asarray(dataset.labels))
    query_labels, gallery_labels = labels[split.query], labels[split.gallery]
    result = {}
    for direction, query, gallery in (("i2t", teacher.image, teacher.text), ("t2i", teacher.text, teacher.image)):
        score = _cosine_scorer(query[split.query], gallery[split.gallery])
        result[direction] = evaluate_ranking(score, query_labels, gallery_labels, r=r).to_dict()
    sums, lowest, highest = torch.zeros(6, dtype=torch.float64), float("inf"), -float("inf")
    images, texts = teacher.image[split.query], teacher.text[split.gallery]
    for image, image_labels in zip(images.split(128), query_labels.split(128), strict=True):
        cosine = image @ texts.T
        relevant = image_labels.float() @ gallery_labels.T.float() > 0
        lowest, highest = min(lowest, cosine.min().item()), max(highest, cosine.max().item())
        parts = (torch.ones_like(cosine), cosine, cosine**2, relevant, cosine[relevant], cosine[~relevant])
        sums += torch.stack([part.sum(dtype=torch.float64) for part in parts])
    n, total, squares, num_relevant, relevant_total, irrelevant_total = sums.tolist()
    result["similarity"] = {
        "lowest": lowest,
        "highest": highest,
        "sd": max(0.0, squares / n - (total / n) ** 2) ** 0.5,
        "relevant": relevant_total / max(num_relevant, 1),
        "irrelevant": irrelevant_total / max(n - num_relevant, 1),
    }
    return result


def _scorer(retriever: Retriever, queries: torch.Tensor, codes: torch.Tensor):
    return lambda rows: retriever.scores(queries[rows], codes)


def _cosine_scorer(queries: torch.Tensor, items: torch.Tensor):
    """Scores of rows of normalized ``queries`` and ``items``: their cosines."""
    return lambda rows: queries[rows] @ items.T

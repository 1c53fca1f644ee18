"""From a trained method to metrics, in both directions."""

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
    The whole has ``AP per query`` too, and by Hamming radius where that ranks. Codeword statistics are the gallery's.
    """
    split = dataset.split
    query_image, query_text = retriever.embed(split.query)
    gallery_image, gallery_text = retriever.embed(split.gallery)
    labels = torch.from_numpy(np.asarray(dataset.labels))
    unseen = np.flatnonzero(~np.isin(split.gallery, split.train))
    result = {"codewords": {}}
    for direction, modality, query, gallery in (
        ("i2t", "text", query_image, gallery_text),
        ("t2i", "image", query_text, gallery_image),
    ):
        codes, queries = retriever.codes(gallery), retriever.queries(query)
        unit, items = F.normalize(query, dim=1), F.normalize(gallery, dim=1)

        def score(part, q=queries, c=codes):
            return retriever.scores(q[part], c)

        def measured(score, rows=slice(None)):
            return evaluate_ranking(score, labels[split.query], labels[split.gallery[rows]], r=r)

        whole = measured(score)
        result[direction] = {"gallery": whole.to_dict() | {"AP per query": whole.per_query()}}
        if retriever.radius:
            pairs = precision_recall_by_radius(score, labels[split.query], labels[split.gallery], retriever.radius)
            result[direction]["gallery"]["by Hamming radius"] = pairs
        if len(unseen):
            kept = codes[torch.from_numpy(unseen)]
            result[direction]["unseen"] = measured(lambda part, s=score, c=kept: s(part, c=c), unseen).to_dict()
        result[direction]["continuous"] = measured(lambda part, q=unit, g=items: q[part] @ g.T).to_dict()
        if retriever.codebooks is not None:
            result["codewords"][modality] = codeword_statistics(codes, retriever.codebooks)
    return result


def evaluate_teacher(teacher: TeacherEmbeddings, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """The teacher's own retrieval, continuous, with label sentences as text: ``{direction: {metric: value}}``.

    Under ``similarity``, its cosines of query pictures and gallery sentences: lowest, highest, sd, and the means over
    relevant and irrelevant pairs.
    """
    split = dataset.split
    labels = torch.from_numpy(np.asarray(dataset.labels))
    query_labels, gallery_labels = labels[split.query], labels[split.gallery]
    result = {}
    for direction, query, gallery in (("i2t", teacher.image, teacher.text), ("t2i", teacher.text, teacher.image)):
        rows, items = query[split.query], gallery[split.gallery]
        metrics = evaluate_ranking(
            lambda part, rows=rows, items=items: rows[part] @ items.T, query_labels, gallery_labels, r=r
        )
        result[direction] = metrics.to_dict()
    sums, lowest, highest = torch.zeros(6, dtype=torch.float64), float("inf"), -float("inf")
    images, texts = teacher.image[split.query], teacher.text[split.gallery]
    for image, own in zip(images.split(128), query_labels.split(128), strict=True):
        cosine = image @ texts.T
        relevant = own.float() @ gallery_labels.T.float() > 0
        lowest, highest = min(lowest, cosine.min().item()), max(highest, cosine.max().item())
        parts = (torch.ones_like(cosine), cosine, cosine**2, relevant, cosine[relevant], cosine[~relevant])
        sums += torch.stack([part.sum(dtype=torch.float64) for part in parts])
    n, total, squares, n_relevant, of_relevant, of_irrelevant = sums.tolist()
    result["similarity"] = {
        "lowest": lowest,
        "highest": highest,
        "sd": max(0.0, squares / n - (total / n) ** 2) ** 0.5,
        "relevant": of_relevant / max(n_relevant, 1),
        "irrelevant": of_irrelevant / max(n - n_relevant, 1),
    }
    return result

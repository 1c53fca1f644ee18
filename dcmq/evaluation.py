"""From a trained student to codes and metrics, in both directions."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes import assign, lookup_tables, scores
from dcmq.codewords import codeword_statistics
from dcmq.data.dataset import RetrievalDataset
from dcmq.inputs import image_inputs, text_inputs
from dcmq.metrics import evaluate_ranking
from dcmq.models import Student
from dcmq.teachers.base import TeacherEmbeddings

DIRECTIONS = ("i2t", "t2i")  # query modality first: i2t is an image query on a gallery of texts


@torch.no_grad()
def embed(student: Student, dataset: RetrievalDataset, rows: np.ndarray, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Continuous image and text embeddings of ``rows``, each (len(rows), D) float32, in evaluation mode."""
    student.eval()
    pictures, words = image_inputs(student, dataset), text_inputs(student, dataset)
    images, texts = [], []
    for part in np.array_split(rows, max(1, -(-len(rows) // batch))):
        images.append(student.embed_images(torch.from_numpy(pictures[part])))
        texts.append(student.embed_texts(words(part)))
    return torch.cat(images), torch.cat(texts)


def evaluate(student: Student, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """All metrics of retrieval: ``{direction: {gallery: {metric: value}}, "codewords": {modality: {statistic: value}}}``.

    Gallery items are codeword indices, queries are tables of cosines (§3.5). Galleries: ``gallery`` is the whole;
    ``unseen`` leaves the training samples out and is absent where nothing else is in it; ``continuous`` is the whole
    without quantisation, by the cosine of the embeddings: what quantising costs. Codeword statistics are the gallery's.
    """
    split = dataset.split
    query_image, query_text = embed(student, dataset, split.query)
    gallery_image, gallery_text = embed(student, dataset, split.gallery)
    codebooks = student.quantizer.codebooks.detach()
    labels = torch.from_numpy(np.asarray(dataset.labels))
    unseen = np.flatnonzero(~np.isin(split.gallery, split.train))
    result = {"codewords": {}}
    for direction, modality, query, gallery in (
        ("i2t", "text", query_image, gallery_text),
        ("t2i", "image", query_text, gallery_image),
    ):
        codes, tables = assign(gallery, codebooks), lookup_tables(query, codebooks)
        unit, items = F.normalize(query, dim=1), F.normalize(gallery, dim=1)

        def measured(score, rows=slice(None)):
            return evaluate_ranking(score, labels[split.query], labels[split.gallery[rows]], r=r).to_dict()

        result[direction] = {"gallery": measured(lambda part, t=tables, c=codes: scores(t[part], c))}
        if len(unseen):
            kept = codes[torch.from_numpy(unseen)]
            result[direction]["unseen"] = measured(lambda part, t=tables, c=kept: scores(t[part], c), unseen)
        result[direction]["continuous"] = measured(lambda part, q=unit, g=items: q[part] @ g.T)
        result["codewords"][modality] = codeword_statistics(codes, codebooks)
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

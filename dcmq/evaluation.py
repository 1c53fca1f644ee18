"""From a trained student to codes and metrics, in both directions."""

import numpy as np
import torch
from torch import Tensor

from dcmq.codes import assign, lookup_tables, scores
from dcmq.data.dataset import RetrievalDataset
from dcmq.inputs import image_inputs
from dcmq.metrics import evaluate_ranking
from dcmq.models import Student
from dcmq.teachers.base import TeacherEmbeddings

DIRECTIONS = ("i2t", "t2i")  # query modality first: i2t is an image query on a gallery of texts
GALLERIES = ("gallery", "unseen")  # the whole gallery; the part of it that was not trained on


@torch.no_grad()
def embed(student: Student, dataset: RetrievalDataset, rows: np.ndarray, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Continuous image and text embeddings of ``rows``, each (len(rows), D) float32, in evaluation mode."""
    student.eval()
    pictures = image_inputs(student, dataset)
    images, texts = [], []
    for part in np.array_split(rows, max(1, -(-len(rows) // batch))):
        images.append(student.embed_images(torch.from_numpy(pictures[part])))
        texts.append(student.embed_texts(torch.from_numpy(dataset.bow[part].toarray())))
    return torch.cat(images), torch.cat(texts)


def evaluate(student: Student, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """All metrics of quantised retrieval: ``{direction: {gallery: {metric: value}}}``.

    Gallery items are codeword indices, queries are tables of cosines (§3.5). ``unseen`` leaves the training samples
    out of the gallery and is absent where nothing else is in it.
    """
    split = dataset.split
    galleries = {"gallery": split.gallery, "unseen": np.setdiff1d(split.gallery, split.train)}
    query_image, query_text = embed(student, dataset, split.query)
    gallery_image, gallery_text = embed(student, dataset, split.gallery)
    codebooks = student.quantizer.codebooks.detach()
    labels = torch.from_numpy(np.asarray(dataset.labels))
    result = {}
    for direction, query, gallery in (("i2t", query_image, gallery_text), ("t2i", query_text, gallery_image)):
        codes = assign(gallery, codebooks)
        tables = lookup_tables(query, codebooks)
        result[direction] = {}
        for name, rows in galleries.items():
            if not len(rows):
                continue
            kept = codes[torch.from_numpy(np.isin(split.gallery, rows))]
            kept_rows = split.gallery[np.isin(split.gallery, rows)]
            metrics = evaluate_ranking(
                lambda part, tables=tables, kept=kept: scores(tables[part], kept),
                labels[split.query],
                labels[kept_rows],
                r=r,
            )
            result[direction][name] = metrics.to_dict()
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

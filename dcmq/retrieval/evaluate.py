"""Metrics of a trained method, and of the teacher itself, in both directions."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.usage import codeword_statistics
from dcmq.data.dataset import RetrievalDataset
from dcmq.retrieval.auc import auroc_within_groups
from dcmq.retrieval.galleries import WHOLE, galleries, judged_gallery
from dcmq.retrieval.metrics import evaluate_ranking, own_pair_recall, precision_recall_by_radius
from dcmq.retrieval.retriever import Retriever
from dcmq.retrieval.thresholds import over_pairs
from dcmq.teachers.base import TeacherEmbeddings

DIRECTIONS = ("i2t", "t2i")  # query modality first: i2t is an image query on a gallery of texts
INTRA = ("i2i", "t2t")  # within one modality
PAIRS = 20_000_000  # at most so many of a query and an item are pooled: beyond, queries at even distances
_MODALITY = {"i": "image", "t": "text"}


def evaluate(retriever: Retriever, dataset: RetrievalDataset, r: int = 5000) -> dict:
    """All metrics of retrieval: ``{direction: {gallery: {metric: value}}, "codewords": {modality: {statistic: value}}}``.

    Galleries: ``gallery`` is the whole, as codes; ``unseen`` leaves the training samples out and is absent where nothing
    else is in it; ``continuous`` is the whole, not compressed, by the cosine of the embeddings: what compression costs.
    Verdicts are about one, see :func:`dcmq.retrieval.galleries.judged_gallery`: it has ``AP per query`` and, from
    :func:`dcmq.retrieval.thresholds.over_pairs`, ``pairs``. The whole has ``by Hamming radius`` where that ranks.
    Where backgrounds are known, the first two have ``AUC within a background``, the mean over queries of the AUC among the
    items of their own, and the number of ``queries without AUC``, as nothing or everything there is relevant.

    Beside the galleries, ``own pair`` is the recall@1, 5 and 10 of a query's own other half among those of all queries. Of
    the directions within one modality, ``i2i`` and ``t2t``, only the judged gallery's mAPs are measured. Codeword statistics
    are the whole gallery's.

    Args:
        r: R of mAP@R (hits).
    """
    split, labels = dataset.split, torch.from_numpy(np.asarray(dataset.labels))
    asked, stored = (dict(zip("it", retriever.embed(rows), strict=True)) for rows in (split.query, split.gallery))
    toward = {kind: retriever.toward(_MODALITY[kind]) for kind in "it"}  # the gallery's modality, in queries too
    queries = {f"{kind}2{to}": toward[to].queries(embeddings) for kind, embeddings in asked.items() for to in "it"}
    codes = {kind: toward[kind].codes(embeddings) for kind, embeddings in stored.items()}
    query_labels, gallery_labels = labels[split.query], labels[split.gallery]
    places = galleries(split)
    judged = judged_gallery(places)
    result = {"codewords": {}}
    for direction in DIRECTIONS:
        source, target = direction.split("2")
        result[direction] = measured = {}
        for name, items in places.items():
            score = _scorer(retriever, queries[direction], codes[target][items])
            metrics = evaluate_ranking(score, query_labels, gallery_labels[items], r=r)
            measured[name] = metrics.to_dict()
            if len(dataset.backgrounds):
                measured[name] |= _within_background(
                    retriever, queries[direction], codes[target][items], dataset, split.gallery[items]
                )
            if name == judged:
                own = toward[target].queries(stored[source][np.searchsorted(split.gallery, split.validation)])
                measured[name]["AP per query"] = metrics.per_query()
                measured[name]["pairs"] = _pairs(
                    retriever, (queries[direction], own), codes[target][items], dataset, split.gallery[items]
                )
        score = _scorer(retriever, queries[direction], codes[target])
        if retriever.radius:
            pairs = precision_recall_by_radius(score, query_labels, gallery_labels, retriever.radius)
            measured[WHOLE]["by Hamming radius"] = pairs
        score = _cosine_scorer(F.normalize(asked[source], dim=1), F.normalize(stored[target], dim=1))
        measured["continuous"] = evaluate_ranking(score, query_labels, gallery_labels, r=r).to_dict()
        measured["own pair"] = own_pair_recall(
            _scorer(retriever, queries[direction], toward[target].codes(asked[target])), len(split.query)
        )
        if toward[target].codebooks is not None:
            result["codewords"][_MODALITY[target]] = codeword_statistics(codes[target], toward[target].codebooks)
    for direction in INTRA:
        kind, items = direction[0], places[judged]
        score = _scorer(retriever, queries[direction], codes[kind][items])
        metrics = evaluate_ranking(score, query_labels, gallery_labels[items], r=r)
        result[direction] = {judged: metrics.mean_average_precisions()}
    return result


def _within_background(
    retriever: Retriever, queries: Tensor, codes: Tensor, dataset: RetrievalDataset, items: np.ndarray
) -> dict[str, float]:
    """The mean AUC within a background, where any query has one; ``items`` are the rows of ``codes``."""
    query = dataset.split.query
    auc = auroc_within_groups(
        lambda rows, places: retriever.scores(queries[rows], codes[places]),
        *(dataset.backgrounds[rows] for rows in (query, items)),
        *(torch.from_numpy(dataset.labels[rows]) for rows in (query, items)),
    )
    left_out = np.isnan(auc)
    mean = {} if left_out.all() else {"AUC within a background": float(auc[~left_out].mean())}
    return mean | {"queries without AUC": int(left_out.sum())}


def _pairs(
    retriever: Retriever, queries: tuple[Tensor, Tensor], codes: Tensor, dataset: RetrievalDataset, items: np.ndarray
) -> dict:
    """The outcome of one threshold for all; ``queries`` are the real ones and those of the cut, ``items`` the rows of ``codes``.

    Where the cut's own rows are among the items, they are left out for its queries.
    """
    split = dataset.split
    kept = np.flatnonzero(~np.isin(items, split.validation))
    parts = []
    for rows, given, places in ((split.query, queries[0], np.arange(len(items))), (split.validation, queries[1], kept)):
        most = max(1, PAIRS // max(1, len(places)))
        some = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
        relevant = (
            torch.from_numpy(dataset.labels[rows[some]]).float()
            @ torch.from_numpy(dataset.labels[items[places]]).float().T
        )
        parts += [retriever.scores(given[some], codes[places]).float().numpy(), (relevant > 0).numpy()]
    return over_pairs(*parts)


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

"""Floors: how well rankings do that look at no object of a picture and read no word of a text.

A method that is not clearly above them has learnt the cue and not the content. The number of labels is a cue because a fuller
item shares a label with more queries; the background is one where objects keep to their backgrounds.
"""

import numpy as np
import torch

from dcmq.data.dataset import RetrievalDataset
from dcmq.retrieval.galleries import galleries, judged_gallery
from dcmq.retrieval.metrics import evaluate_ranking

CHANCE, NUMBER_OF_LABELS = "chance", "number of labels"
BACKGROUND, BACKGROUND_AND_NUMBER = "background", "background and number of labels"
_ROWS = 1024  # of training pairs at a time


def floors(dataset: RetrievalDataset, r: int = 5000) -> dict[str, dict[str, dict[str, float]]]:
    """``{name: {gallery: {metric: value}}}``: mAP of rankings by cues alone, the same in both directions. Ours.

    ``chance`` is the order in which equal scores stand. The other rankings score a pair by the share of relevant pairs among the
    pairs of training samples that have the same cues, (cue of the query, cue of the item). Where backgrounds are not known,
    only ``chance`` and ``number of labels`` are there. Images are not read.

    Args:
        r: R of mAP@R (hits).
    """
    number = dataset.labels.sum(1, dtype=int)
    cues = {CHANCE: np.zeros_like(number), NUMBER_OF_LABELS: number}
    if len(dataset.backgrounds):
        both = dataset.backgrounds * (number.max() + 1) + number
        cues |= {BACKGROUND: dataset.backgrounds, BACKGROUND_AND_NUMBER: both}
    return {name: _ranked_by(cue, dataset, r) for name, cue in cues.items()}


def query_blind_floor(found: dict[str, dict[str, dict[str, float]]]) -> float:
    """The higher mAP@all of ``chance`` and ``number of labels`` on the judged gallery: what is reached without reading the query.

    A row that is not above it did not learn.

    Args:
        found: as :func:`floors` gives them.
    """
    return max(found[name][judged_gallery(found[name])]["mAP@all"] for name in (CHANCE, NUMBER_OF_LABELS))


def shares_by_cue(cue: np.ndarray, labels: np.ndarray, cells: int) -> np.ndarray:
    """(cells, cells) float64: of the ordered pairs of two different samples with cues a and b, the share that has a label in
    common; where there is no such pair, the share of all pairs.

    Args:
        cue: (n,) whole numbers in [0, cells).
        labels: (n, C) 0/1.
    """
    member = torch.nn.functional.one_hot(torch.from_numpy(cue), cells).double()
    found = torch.from_numpy(labels).float()
    hits = torch.zeros(cells, cells, dtype=torch.float64)
    for rows in torch.arange(len(cue)).split(_ROWS):
        related = (found[rows] @ found.T > 0).float()
        hits += member[rows].T @ (related @ member.float()).double()
    sizes = member.sum(0)
    pairs = sizes[:, None] * sizes - torch.diag(sizes)
    hits -= torch.diag(sizes)  # each sample has a label, so each with itself was counted
    overall = hits.sum() / pairs.sum().clamp_min(1)
    return torch.where(pairs > 0, hits / pairs.clamp_min(1), overall).numpy()


def _ranked_by(cue: np.ndarray, dataset: RetrievalDataset, r: int) -> dict[str, dict[str, float]]:
    split, labels = dataset.split, torch.from_numpy(np.asarray(dataset.labels))
    values, cue = np.unique(cue, return_inverse=True)
    table = torch.from_numpy(shares_by_cue(cue[split.train], dataset.labels[split.train], len(values))).float()
    cue = torch.from_numpy(cue)
    result = {}
    for name, places in galleries(split).items():
        items = split.gallery[places]
        by_item, query = table[:, cue[items]], cue[split.query]
        metrics = evaluate_ranking(lambda rows: by_item[query[rows]], labels[split.query], labels[items], r=r)  # noqa: B023
        result[name] = metrics.mean_average_precisions()
    return result

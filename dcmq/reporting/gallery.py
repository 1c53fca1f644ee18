"""Samples of a data set in a figure: their images, texts and labels, and those that a trained student finds."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.ranking import first_k, ranking_keys, scores_and_positions
from dcmq.codes.score import scores
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.dcmq.student import Student
from dcmq.networks.features import embed
from dcmq.reporting import plots
from dcmq.retrieval.metrics import tie_permutation

RIGHT, WRONG = "\N{CHECK MARK}", "\N{MULTIPLICATION X}"  # beside colour: seen in grey too


@torch.no_grad()
def search(student: Student, data: RetrievalDataset, direction: str, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``first`` gallery items that every query finds by their codes, ties in the order of the metrics.

    Returns:
        (q, first) rows of the data set, best first, and (q, first) booleans: whether they share a label with the query.
    """
    split = data.split
    query, gallery = embed(student, data, split.query), embed(student, data, split.gallery)
    codebooks = student.quantizer.codebooks.detach()
    own, other = (0, 1) if direction == "i2t" else (1, 0)
    return ranked_rows(lookup_tables(query[own], codebooks), assign(gallery[other], codebooks), data, first)


def ranked_rows(
    tables: Tensor, codes: Tensor, data: RetrievalDataset, first: int, chunk: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """The same as :func:`search` returns, for (q, M, K) tables of the queries and (g, M) codes of the gallery.

    Args:
        chunk: how many queries are scored at a time.
    """
    order = tie_permutation(len(codes))
    items = codes[order]
    places = np.arange(len(items))
    keys = (ranking_keys(scores(part, items).numpy(), places) for part in tables.split(chunk))
    best = np.concatenate([scores_and_positions(first_k(part, first))[1] for part in keys])
    rows = data.split.gallery[order.numpy()[best]]
    labels = np.asarray(data.labels, bool)
    return rows, (labels[rows] & labels[data.split.query[: len(rows)], None]).any(-1)


def text_of(data: RetrievalDataset, row: int, length: int = 12) -> str:
    """The first ``length`` words of a sample's tags, else of its first caption; empty where it has neither."""
    words = (data.text_of(row, "tags") or data.text_of(row, "caption") or "").split()
    return " ".join(words[:length]) + (" ..." if len(words) > length else "")


def labels_of(data: RetrievalDataset, row: int, other: int | None = None) -> str:
    """The true labels of a sample, separated by commas; with ``other``, those that it shares with that sample."""
    labels = data.labels[row] if other is None else data.labels[row] & data.labels[other]
    return ", ".join(data.classes[c] for c in np.flatnonzero(labels))


def show_image(axis: plt.Axes, data: RetrievalDataset, row: int, hit: bool | None = None) -> None:
    """Draw the image of a sample; where ``hit`` is given, with a mark and a frame: a full line if right, dashed if not."""
    axis.imshow(np.asarray(data.images[row]), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    if hit is None:
        return
    color = plots.colors()[2 if hit else 1]
    for spine in axis.spines.values():
        spine.set(edgecolor=color, linewidth=3, linestyle="-" if hit else "--")
    axis.set_title(RIGHT if hit else WRONG, color=color, fontsize=12, fontfamily="DejaVu Sans", pad=3)

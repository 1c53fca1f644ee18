"""Failures: the queries of a data set that a ranker answers worst, or that two rankers answer most differently."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request
from dcmq.explore.search import query_ranking
from dcmq.retrieval.metrics import evaluate_ranking

_MOST_PAIRS = 100_000_000  # of queries and gallery items that are ranked: some ten seconds
_POINTS = 160  # of a precision curve
Order = Literal["lowest", "difference"]


def asked_queries(bench: Bench) -> np.ndarray:
    """(q,) rows of the data set's queries, in row order; a sample of them where the gallery is very large.

    Raises:
        DcmqError: there are no labels, or no queries.
    """
    queries = np.flatnonzero(bench.items.splits == "query")
    if bench.items.labels is None or not len(queries):
        raise DcmqError(f"{bench.items.name} has no labelled queries, so nothing says what is a failure")
    most = max(1, _MOST_PAIRS // len(bench.items.gallery(bench.gallery)))
    if len(queries) > most:
        queries = np.sort(np.random.default_rng(0).permutation(queries)[:most])
    return queries


def query_precisions(bench: Bench, ranker: Ranker) -> np.ndarray:
    """(q,) AP@all of :func:`asked_queries` of the other kind than the gallery's, as the reports measure it."""

    def measure() -> np.ndarray:
        items, queries = bench.items, asked_queries(bench)
        labels, gallery = torch.from_numpy(items.labels), items.gallery(bench.gallery)
        asked = ranker.embeddings["texts" if bench.gallery == "images" else "images"][queries]
        score = bench.scorer(ranker, bench.gallery)
        metrics = evaluate_ranking(lambda part: score(asked[part]), labels[queries], labels[gallery])
        return metrics.average_precision_all.numpy()

    return bench.cached(("AP", ranker.name, bench.gallery), measure)


def worst_first(left: np.ndarray, right: np.ndarray | None, order: Order) -> np.ndarray:
    """(q,) places of queries: by rising AP on the left, or by falling difference of (q,) ``left`` and ``right``.

    Raises:
        DcmqError: a difference of one ranker alone.
    """
    if order == "lowest":
        return np.argsort(left, kind="stable")
    if right is None:
        raise DcmqError("failures: a difference needs two rankers; choose a second one on the right")
    return np.argsort(-np.abs(left - right), kind="stable")


def precision_points(relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks and precisions at them, of (g,) relevance by rank; ranks grow by a factor, so there are few."""
    ranks = np.unique(np.geomspace(1, len(relevant), _POINTS).round().astype(int))
    return ranks, relevant.cumsum()[ranks - 1] / ranks


@register_request
def failures(bench: Bench, order: Order = "lowest", limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> Answer:
    """The first ``limit`` queries of :func:`worst_first`, with their AP under each shown ranker, and the mean over all."""
    rankers, queries = bench.shown_rankers, asked_queries(bench)
    precisions = [query_precisions(bench, ranker) for ranker in rankers]
    places = worst_first(precisions[0], precisions[1] if len(rankers) > 1 else None, order)[:limit]
    rows = queries[places]
    return {
        "kind": "text" if bench.gallery == "images" else "image",
        "rankers": [ranker.name for ranker in rankers],
        "queries": [
            {"row": int(row), "ap": [round(float(p[place]), 4) for p in precisions], "text": bench.items.text(row)}
            | {"labels": bench.items.label_names(row)}
            for row, place in zip(rows, places, strict=True)
        ],
        "means": [round(float(p.mean()), 4) for p in precisions],
        "asked": len(queries),
        "all": int((bench.items.splits == "query").sum()),
    }, []


@register_request
def precision_curves(bench: Bench) -> Answer:
    """Precision by rank of the bench's query under each shown ranker, and the share of the gallery that is relevant."""
    curves, chance = [], 0.0
    for ranker in bench.shown_rankers:
        relevant = bench.relevant(query_ranking(bench, ranker).rows)
        if relevant is None:
            raise DcmqError("failures: what is relevant to this query is not known")
        ranks, precision = precision_points(relevant)
        chance = float(relevant.mean())
        curves.append({"name": ranker.name, "ranks": ranks.tolist(), "precision": precision.round(4).tolist()})
    return {"curves": curves, "chance": round(chance, 4)}, []

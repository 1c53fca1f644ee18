"""Search: the ranking of a query under each of two rankers, and where they disagree."""

from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor

from dcmq.codes.ranking import ranking_keys, scores_and_positions
from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request
from dcmq.retrieval.measures import average_precision
from dcmq.retrieval.metrics import tie_permutation


class Ranking(NamedTuple):
    """(g,) rows of the gallery, best first, and their scores, from -1 to 1."""

    rows: np.ndarray
    scores: np.ndarray


def ranked(scores: Tensor, rows: np.ndarray) -> Ranking:
    """``rows`` (g,) by falling ``scores`` (g,), equal scores in the order of the metrics."""
    order = tie_permutation(len(rows)).numpy()
    sorted_scores, places = scores_and_positions(np.sort(ranking_keys(scores.numpy()[order], np.arange(len(rows)))))
    return Ranking(rows[order[places]], sorted_scores)


def query_ranking(bench: Bench, ranker: Ranker) -> Ranking:
    """The gallery as ``ranker`` ranks it for the bench's query: without the query, where that is an item of it.

    Raises:
        DcmqError: it cannot read the query.
    """
    query, rows = bench.query_embedding(ranker), bench.items.gallery(bench.gallery)
    ranking = ranked(bench.scorer(ranker, bench.gallery)(query)[0], rows)
    others = ranking.rows != bench.own_row
    return Ranking(ranking.rows[others], ranking.scores[others] / ranker.scale)


def ranks_of(rows: np.ndarray, ranking: Ranking) -> np.ndarray:
    """(k,) ranks, from 1, that ``rows`` (k,) have in a ranking of all of them."""
    rank = np.empty(int(ranking.rows.max()) + 1, int)
    rank[ranking.rows] = np.arange(1, len(ranking.rows) + 1)
    return rank[rows]


def precisions_at_hits(relevant: np.ndarray) -> np.ndarray:
    """(h,) precision at the rank of each relevant item, of (g,) relevance by rank."""
    ranks = np.flatnonzero(relevant) + 1
    return np.arange(1, len(ranks) + 1) / ranks


@register_request
def search(bench: Bench, k: Annotated[int, Field(ge=1, le=200)] = 24) -> Answer:
    """The first ``k`` items under each shown ranker: rows, scores, relevance, and the rank that each has under the other.

    A ranker that cannot read the query has an ``error`` instead.
    """
    rankings, columns = {}, []
    for ranker in bench.shown_rankers:
        try:
            rankings[ranker.name] = query_ranking(bench, ranker)
        except DcmqError as error:
            rankings[ranker.name] = None
            columns.append({"name": ranker.name, "error": str(error)})
            continue
        columns.append({"name": ranker.name} | _column(bench, ranker, rankings[ranker.name], k))
    for column in columns:
        others = [ranking for name, ranking in rankings.items() if name != column["name"] and ranking is not None]
        if others and "rows" in column:
            column["other_ranks"] = ranks_of(np.array(column["rows"]), others[0]).tolist()
    both = [set(column["rows"]) for column in columns if "rows" in column]
    shared = len(both[0] & both[1]) if len(both) == 2 else None
    return {"columns": columns, "gallery": bench.gallery, "shared": shared}, []


def _column(bench: Bench, ranker: Ranker, ranking: Ranking, k: int) -> dict:
    rows, words = ranking.rows[:k], bench.query.get("text", "")
    column = {
        "rows": rows.tolist(),
        "scores": [round(float(score), 4) for score in ranking.scores[:k]],
        "unknown": ranker.unknown(words) if words else [],
    }
    relevant = bench.relevant(ranking.rows)
    if relevant is not None:
        column |= {
            "relevant": relevant[:k].tolist(),
            "ap": round(average_precision(precisions_at_hits(relevant)), 4),
            "precision": round(float(relevant[:k].mean()), 4),
        }
    return column

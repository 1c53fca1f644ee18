"""All retrieval metrics at the size of COCO, against the loop over queries that is usually written."""

import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.timing import Comparison, in_turn, speed
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.retrieval.metrics import evaluate_ranking

TITLE = "Evaluation at the size of COCO"
ABOUT = """
Every number of `dcmq.retrieval.metrics.RankingMetrics` (AP@R, AP@all, tie-averaged AP, precision@N, recall@N, interpolated precision) for 5,000
queries on 117,218 gallery items, in both directions, with synthetic COCO-like labels (80, 2.9 per image, the most frequent on 58 % of
them) and synthetic codes of 64 bits, of which a part occur twice or more, so that scores tie. Ours is `evaluate_ranking` on all
queries. The peers go query by query, on a part of the queries: **numpy** sorts (stable `argsort`) and takes each measure by array operations along
the ranks; **numpy, unstable sort** saves time there, and gives other numbers where scores tie; **loop** goes along the ranks in Python.
Scores are made 32 queries at a time: ours by `dcmq.codes.score.scores`, the peers' by look-ups of numpy. *Ranking and measures* leaves them out on both sides.
Times are per query. The peers use one thread (their matrix product: all), ours all of torch's, and one where a row says so.
"""

_R = 5000
_GOAL, _LARGEST_DIFFERENCE, _MEMORY = 20.0, 1e-9, 2e9  # times as fast; between numbers; bytes


@dataclass(frozen=True)
class Sizes:
    """Numbers of queries and items.

    Attributes:
        one_thread: queries that ours measures on one thread.
        compared: queries that numpy measures.
        looped: queries that the loop measures.
    """

    queries: int = 5000
    gallery: int = 117218
    one_thread: int = 250
    compared: int = 50
    looped: int = 10
    repeats: int = 3


QUICK = Sizes(queries=48, gallery=3000, one_thread=16, compared=12, looped=6, repeats=2)


class Direction:
    """Synthetic queries of one modality, and a gallery of the other."""

    def __init__(self, sizes: Sizes, seed: int):
        generator = torch.Generator().manual_seed(seed)
        share = 1 / torch.arange(1, 81)
        share *= 2.9 / share.sum()
        self.query_labels = (torch.rand(sizes.queries, 80, generator=generator) < share).to(torch.uint8)
        self.labels = (torch.rand(sizes.gallery, 80, generator=generator) < share).to(torch.uint8)
        distinct = torch.randint(0, 16, (sizes.gallery, 16), generator=generator)
        self.codes = distinct[torch.randint(0, sizes.gallery, (sizes.gallery,), generator=generator)]
        self.tables = torch.rand(sizes.queries, 16, 16, generator=generator) * 2 - 1
        self._seconds: list[float] = []

    def scorer(self, codes: Tensor, scores: Callable[[Tensor, Tensor], Tensor] = scores) -> Callable[[slice], Tensor]:
        """A function that scores a slice of queries on ``codes``; its time is added up for :meth:`lap`."""

        def score(rows: slice) -> Tensor:
            start = time.perf_counter()
            result = scores(self.tables[rows], codes)
            self._seconds.append(time.perf_counter() - start)
            return result

        return score

    def ours(self, queries: int):
        """Our metrics of the first ``queries`` queries."""
        return evaluate_ranking(self.scorer(self.codes), self.query_labels[:queries], self.labels, r=_R)

    def peer(self, queries: int, measures: Callable, kind: str = "stable") -> np.ndarray:
        """(queries, measures) a peer's measures of the first ``queries`` queries."""
        codes, labels = peers.in_tie_order(self.codes), peers.in_tie_order(self.labels)
        return peers.per_query(
            self.scorer(codes, peers.scores), self.query_labels[:queries], labels, measures, _R, kind
        )

    def lap(self) -> float:
        """Seconds on scores since the last call, summed over threads."""
        seconds, self._seconds = sum(self._seconds), []
        return seconds


def measure(quick: bool) -> dict:
    """The seconds of every repeat of all contenders. Raises DcmqError if ours and a peer's numbers differ."""
    sizes = QUICK if quick else Sizes()
    directions = [Direction(sizes, seed) for seed in (0, 1)]
    differences = {name: _difference(directions, *peer) for name, peer in _exact_peers(sizes).items()}  # and warms up
    on_scores: dict[str, list[float]] = {}

    def contender(name: str, threads: int, call: Callable[[Direction], object]) -> Callable[[], None]:
        def run() -> None:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            for direction in directions:
                call(direction)
            torch.set_num_threads(before)
            on_scores.setdefault(name, []).append(sum(direction.lap() for direction in directions) / threads)

        return run

    compared, looped, threads = sizes.compared, sizes.looped, torch.get_num_threads()
    for direction in directions:
        direction.lap()
    calls = {
        "ours": (sizes.queries, threads, lambda d: d.ours(sizes.queries)),
        "ours, one thread": (sizes.one_thread, 1, lambda d: d.ours(sizes.one_thread)),
        "numpy": (compared, threads, lambda d: d.peer(compared, peers.with_numpy)),
        "numpy, unstable sort": (compared, threads, lambda d: d.peer(compared, peers.with_numpy, "quicksort")),
        "loop": (looped, threads, lambda d: d.peer(looped, peers.with_a_loop)),
    }
    seconds = in_turn(
        {name: contender(name, t, call) for name, (_, t, call) in calls.items()}, sizes.repeats, warm_up=0
    )
    return {
        "sizes": asdict(sizes),
        "queries": {name: 2 * queries for name, (queries, *_) in calls.items()},
        "seconds": seconds,
        "seconds on scores": on_scores,
        "largest difference": differences,
        "peak bytes": _in_a_process(_peak, sizes),
    }


def _exact_peers(sizes: Sizes) -> dict[str, tuple[int, Callable]]:
    return {"numpy": (sizes.compared, peers.with_numpy), "loop": (sizes.looped, peers.with_a_loop)}


def _difference(directions: list[Direction], queries: int, measures: Callable) -> float:
    largest = max(peers.largest_difference(d.ours(queries), d.peer(queries, measures)) for d in directions)
    if largest > _LARGEST_DIFFERENCE:
        raise DcmqError(f"evaluation: our numbers and the peer's differ by {largest:.1e}: one of the two is wrong")
    return largest


def _in_a_process(work: Callable, *arguments):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _peak(sizes: Sizes) -> dict[str, int] | None:
    """The most bytes that this process held, before and after an evaluation; None where the system does not say."""

    def peak() -> int:
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])

    if not Path("/proc/self/status").is_file():
        return None
    direction = Direction(sizes, 0)
    before = peak()
    direction.ours(sizes.queries)
    return {"before": before, "whole": peak()}


def _per_query(result: dict, name: str, with_scores: bool = False) -> list[float]:
    """Seconds per query of every repeat, with or without the time of the scores."""
    pairs = zip(result["seconds"][name], result["seconds on scores"][name], strict=True)
    return [(whole - (0.0 if with_scores else score)) / result["queries"][name] for whole, score in pairs]


def comparisons(result: dict) -> list[Comparison]:
    """A row for each peer, the largest difference, and the memory."""
    ours, whole = _per_query(result, "ours"), _per_query(result, "ours", True)
    difference = max(result["largest difference"].values())
    rows = [
        speed("evaluation: ours and numpy", whole, _per_query(result, "numpy", True), _GOAL),
        speed("evaluation: ours and a loop", whole, _per_query(result, "loop", True), _GOAL),
        speed("ranking and measures: ours and numpy", ours, _per_query(result, "numpy")),
        speed("the same, ours on one thread", _per_query(result, "ours, one thread"), _per_query(result, "numpy")),
        speed("the same, numpy's sort unstable (other numbers)", ours, _per_query(result, "numpy, unstable sort")),
        Comparison(
            "largest difference of any number",
            f"{difference:.0e}",
            "",
            "",
            f"≤ {_LARGEST_DIFFERENCE:.0e}",
            difference <= _LARGEST_DIFFERENCE,
        ),
    ]
    if peak := result["peak bytes"]:
        used = f"{peak['whole'] / 1e9:.2f} GB (of it {peak['before'] / 1e9:.2f} before)"
        rows.append(
            Comparison("peak memory of a process", used, "", "", f"< {_MEMORY / 1e9:g} GB", peak["whole"] < _MEMORY)
        )
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: milliseconds per query, scores apart."""
    figure, axes = plt.subplots(layout="constrained")
    names = list(result["seconds"])
    metrics = [1e3 * median(_per_query(result, name)) for name in names]
    totals = [1e3 * median(_per_query(result, name, True)) for name in names]
    on_scores = [total - time_ for total, time_ in zip(totals, metrics, strict=True)]
    axes.barh(names, metrics, label="ranking and metrics", hatch="")
    axes.barh(names, on_scores, left=metrics, label="scores", hatch="///")
    for place, (time_, total) in enumerate(zip(metrics, totals, strict=True)):
        axes.text(total, place, f" {time_:.3g} + {total - time_:.2g}", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel(f"milliseconds per query, gallery of {result['sizes']['gallery']:,}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.2))
    return {"time": figure}

"""Records for planned runs, made up: what each variant's queries score in each run."""

from collections.abc import Callable, Sequence

import numpy as np

from dcmq.experiments.plan import PlannedRun

QUERIES = 60


def records_of(
    plan: Sequence[PlannedRun],
    level: Callable[[PlannedRun, str], float] = lambda run, direction: 0.5,
    same_data: bool = False,
    unseen: bool = True,
    noise: float = 0.01,
) -> list[dict]:
    """A record for each run: AP of ``level`` of the run and direction, and of luck that the runs of a seed share, and some of their own.

    mAP@R (hits) is .1 above mAP@all; on the whole gallery both are .05 above those on unseen items.

    Args:
        same_data: one data set for all seeds, else one for each.
        unseen: the gallery has unseen items.
        noise: the sd of a run's own luck, over seeds and over queries.
    """
    return [_record(run, level, same_data, unseen, noise, place) for place, run in enumerate(plan)]


def _record(run, level, same_data: bool, unseen: bool, noise: float, place: int) -> dict:
    seed, own = run.config.seed, np.random.default_rng(1000 + place)
    shared = np.random.default_rng(0 if same_data else seed).normal(0, 0.05, QUERIES)
    evaluation = {"codewords": {kind: _statistics(run) for kind in ("text", "image")}}
    for direction in ("i2t", "t2i"):
        luck = own.normal(0, noise) + own.normal(0, noise, QUERIES)
        ap = np.clip(level(run, direction) + shared + luck, 0, 0.85)
        judged, whole = (
            _metrics(ap, "unseen" if unseen else "gallery"),
            _metrics(ap + 0.05, "gallery" if not unseen else ""),
        )
        galleries = {"unseen": judged, "gallery": whole} if unseen else {"gallery": judged}
        evaluation[direction] = galleries | {"continuous": _metrics(ap + 0.08, "")}
    return {
        "key": f"{place}",
        "dataset": {"fingerprint": "all" if same_data else f"draw {seed}"},
        "evaluation": evaluation,
        "student_parameters": 1000,
        "training_seconds": 1.0,
        "bytes_per_item": 8,
    }


def _metrics(ap: np.ndarray, judged: str) -> dict:
    values = {"mAP@5 (hits)": ap + 0.1, "mAP@all": ap}
    curves = {"precision@N": {"1": 0.5, "10": 0.4}, "recall@N": {"1": 0.1, "10": 0.3}}
    lines = {name: " ".join(str(round(1000 * v)) for v in part) for name, part in values.items()}
    means = {name: float(part.mean()) for name, part in values.items()}
    return means | curves | ({"AP per query": lines} if judged else {})


def _statistics(run: PlannedRun) -> dict:
    return {"entropy": 0.9 + 0.001 * run.config.seed, "dead": 0.2, "cosine": 0.1, "usage": [0.6, 0.4]}

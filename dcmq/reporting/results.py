"""Results of runs as tables: made of their records, selected, and with mean ± sd in their cells."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dcmq.experiments.plan import PlannedRun
from dcmq.reporting.paper.tables import published
from dcmq.reporting.tables import mean_sd
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.galleries import UNSEEN, WHOLE, judged_gallery

METRICS = ("mAP@R (hits)", "mAP@all")
KEYS = ["variant", "seed", "direction", "gallery", "metric"]
WHERE = {  # a gallery: in words
    UNSEEN: "items not trained on",
    WHOLE: "train inside the gallery (the paper's protocol)",
    "continuous": "the whole gallery, not quantized",
}
FLOOR = "floor: "  # before the name of a ranking by cues alone, as a row
_UNWRITTEN = ["data", "queries"]  # columns that are for verdicts alone


def results_frame(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """One row per run, direction, gallery and mAP: variant, seed, the run's tags, direction, gallery, metric, value, data, queries.

    ``data`` is the fingerprint of the run's data set. ``queries`` holds the (Q,) AP of each query, to a thousandth, where the record
    has them (on the judged gallery), and None elsewhere.
    """
    rows = []
    for run, record in zip(plan, records, strict=True):
        data = record.get("dataset", {}).get("fingerprint", "")
        for direction in DIRECTIONS:
            for gallery, metrics in record["evaluation"][direction].items():
                lines = metrics.get("AP per query", {})
                for metric, value in metrics.items():
                    if isinstance(value, int | float) and metric.startswith("mAP"):
                        named = METRICS[0] if metric.endswith("(hits)") else metric
                        row = {"variant": run.variant, "seed": run.config.seed, **run.tags}
                        row |= dict(direction=direction, gallery=gallery, metric=named, value=value, data=data)
                        queries = np.array(lines[metric].split(), float) / 1000 if metric in lines else None
                        rows.append(row | {"queries": queries})
    return pd.DataFrame(rows)


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of :func:`results_frame` that a report keeps as ``values.csv``, to six decimals."""
    return frame.drop(columns=_UNWRITTEN, errors="ignore").round(6)


def judged(frame: pd.DataFrame) -> str:
    """The gallery that tables show first and verdicts are about: ``unseen`` where there is one, else the whole."""
    return judged_gallery(set(frame.gallery))


def curves_frame(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """One row per run, direction, curve (``precision@N``, ``recall@N``) and N, on the whole quantized gallery."""
    rows = []
    for run, record in zip(plan, records, strict=True):
        for direction in DIRECTIONS:
            for curve in ("precision@N", "recall@N"):
                for n, value in record["evaluation"][direction]["gallery"][curve].items():
                    row = {"variant": run.variant, "seed": run.config.seed, **run.tags, "direction": direction}
                    rows.append(row | dict(curve=curve, n=int(n), value=value))
    return pd.DataFrame(rows)


def statistics_frame(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """One row per run and gallery modality: variant, seed, tags, modality, and the statistics of its codewords that
    :func:`dcmq.codes.usage.codeword_statistics` gives: entropy, dead, cosine, and ``usage``, a list."""
    rows = []
    for run, record in zip(plan, records, strict=True):
        for modality, statistics in record["evaluation"]["codewords"].items():
            row = {"variant": run.variant, "seed": run.config.seed, **run.tags, "modality": modality}
            rows.append(row | statistics)
    return pd.DataFrame(rows)


def size_table(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """Parameters of the student and mean seconds of its training: a row per variant."""
    rows: dict[str, dict] = {}
    for run, record in zip(plan, records, strict=True):
        rows.setdefault(run.variant, {"parameters": set(), "seconds": []})
        rows[run.variant]["parameters"].add(record["student_parameters"])
        rows[run.variant]["seconds"].append(record["training_seconds"])
    return pd.DataFrame(
        {
            name: {
                "million parameters": " to ".join(
                    f"{n / 1e6:.2f}" for n in sorted({min(row["parameters"]), max(row["parameters"])})
                ),
                "training": f"{sum(row['seconds']) / len(row['seconds']):.1f} s",
            }
            for name, row in rows.items()
        }
    ).T


def select(frame: pd.DataFrame, metric: str | Sequence[str] = METRICS, gallery: str = "", **tags) -> pd.DataFrame:
    """The rows of ``frame`` of one gallery, of the metrics named, and with the values ``tags`` in further columns.

    Of several metrics, mAP@R (hits) is left out where it is mAP@all throughout, as it is where R is the gallery's size.

    Args:
        gallery: "" for the judged one (:func:`judged`).
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    rows = frame[(frame.gallery == (gallery or judged(frame))) & frame.metric.isin(names)]
    for name, value in tags.items():
        rows = rows[rows[name] == value]
    hits, over_all = (rows[rows.metric == name].value.to_numpy() for name in METRICS)
    if len(hits) and len(hits) == len(over_all) and np.allclose(hits, over_all, rtol=0, atol=1e-9):
        rows = rows[rows.metric != METRICS[0]]
    return rows


def protocol_rows(frame: pd.DataFrame, metric: str | Sequence[str] = METRICS, **tags) -> pd.DataFrame:
    """The rows on the whole gallery, train inside, to stand beside those on unseen items; none where the whole is judged itself."""
    rows = select(frame, metric, WHOLE, **tags)
    return rows if judged(frame) == UNSEEN else rows[:0]


def seed_means(frame: pd.DataFrame, metric: str, by: str = "variant", gallery: str = "", **tags) -> pd.DataFrame:
    """(seeds, variants): the mean of both directions, and of whatever else ``tags`` leave open. For tables and figures."""
    rows = select(frame, metric, gallery, **tags)
    order = list(dict.fromkeys(rows[by]))
    return rows.groupby(["seed", by], sort=False).value.mean().unstack(by)[order]


def table(
    frame: pd.DataFrame,
    rows: str = "variant",
    columns: Sequence[str] = ("metric", "direction"),
    r: int = 0,
    floors: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> pd.DataFrame:
    """Mean ± sd over seeds, with rows and columns in the order in which ``frame`` has them; below them the floors, a row each.

    Of an empty ``frame`` it is empty: where all of the gallery was trained on, there are no results on unseen items.

    Args:
        frame: as :func:`select` gives it.
        r: R of mAP@R (hits), to be written in its column's name.
        floors: as :func:`dcmq.retrieval.floors.floors` gives them; then ``frame`` is of one gallery. None: no such rows.
    """
    if frame.empty:
        return pd.DataFrame()
    cells = frame.groupby([rows, *columns], sort=False).value.apply(lambda v: mean_sd(list(v)))
    order = list(dict.fromkeys(zip(*(frame[c] for c in columns), strict=True)))
    order.sort(key=lambda names: [list(dict.fromkeys(frame[c])).index(n) for c, n in zip(columns, names, strict=True)])
    cells = cells.unstack(list(columns)).reindex(index=list(dict.fromkeys(frame[rows])))
    cells = cells[order if len(columns) > 1 else [name for (name,) in order]]
    if floors:
        metrics = (
            frame.drop_duplicates(list(columns)).set_index(list(columns), drop=False).metric.reindex(cells.columns)
        )
        (gallery,) = frame.gallery.unique()
        for name, measured in floors.items():
            cells.loc[f"{FLOOR}{name}"] = [mean_sd([_floor(measured[gallery], metric)]) for metric in metrics]
    cells.columns = [" ".join(_heading(c, n, r) for c, n in zip(columns, names, strict=True)) for names in order]
    return cells.rename_axis(None if rows == "variant" else rows).fillna("")


def _floor(measured: Mapping[str, float], metric: str) -> float:
    """The value of ``metric``, whose R is not named, among those of a ranking by a cue."""
    if metric != METRICS[0]:
        return measured[metric]
    return next(value for name, value in measured.items() if name.endswith("(hits)"))


def _heading(column: str, name, r: int) -> str:
    if column == "bits":
        return f"{name} bits"
    return metric_name(name, r) if column == "metric" else str(name)


def metric_name(metric: str, r: int) -> str:
    """``mAP@500 (hits)`` for ``mAP@R (hits)``."""
    return metric.replace("@R", f"@{r}") if r else metric


def paper_table(number: int, variants: dict[str, str], bits: Sequence[int] = ()) -> pd.DataFrame:
    """The paper's numbers as it prints them; the R of its mAP is not known.

    Columns say data set, bits where there are several, and direction.

    Args:
        number: of the table.
        variants: the paper's names of rows (see :func:`dcmq.reporting.paper.tables.published`) to ours.
        bits: code lengths, where not all.
    """
    numbers = published(number)
    numbers = numbers[numbers.variant.isin(variants) & (numbers.bits.isin(bits) if bits else True)]
    several = numbers.bits.nunique() > 1
    keys = ["dataset", "bits", "task"] if several else ["dataset", "task"]
    cells = numbers.pivot(index="variant", columns=keys, values="map").sort_index(axis=1)
    cells = cells.reindex([v for v in variants if v in set(numbers.variant)]).rename(index=variants)
    cells.columns = [" ".join(_heading(k, n, 0) for k, n in zip(keys, names, strict=True)) for names in cells.columns]
    return cells.rename_axis(None).map("{:.3f}".format)

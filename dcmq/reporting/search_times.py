"""Times of searches, read from what ``make benchmarks`` measured: the same kinds of search as a report's, on other items."""

import json
import os
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from dcmq.core.paths import reports_dir
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS
from dcmq.reporting.results import seed_means

ITEMS = 1_000_000
CODES, SIGNS, FLOATS = "DCMQ", "Hamming", "float"  # as the benchmark calls them
_LOOKS = (2, 1, 3, 4, 5, 6)  # colours and markers: codes and embeddings as in the figure against bytes, then the others
_TICKS = (0.03, 0.1, 0.3, 1, 3, 10, 30, 100)  # milliseconds
_ROWS = {
    CODES: "DCMQ's codes, exact",
    SIGNS: "hash codes by Hamming distance",
    "plain PQ": "DCMQ's codes by plain faiss PQ",
    FLOATS: "embeddings of 256 numbers, not quantized",
}


def benchmark_record() -> dict | None:
    """The record of the search benchmark: the one under ``reports``, else the published one; None if there is none."""
    folders = [reports_dir(), Path(os.environ.get("DCMQ_PUBLISHED", ""))]
    files = [folder / "benchmarks" / "search.json" for folder in folders]
    file = next(filter(Path.is_file, files), None)
    return json.loads(file.read_text()) if file else None


def milliseconds(record: dict, kind: str, bits: int) -> float | None:
    """Milliseconds per query among a million items, the median; None where that was not measured.

    Args:
        kind: of search: :data:`CODES`, :data:`SIGNS`, :data:`FLOATS` or another that the benchmark knows.
    """
    for case in record["result"]["cases"]:
        if (case["items"], case["bits"]) == (ITEMS, bits) and kind in case["seconds per query"]:
            return 1e3 * statistics.median(case["seconds per query"][kind])
    return None


def table(record: dict | None) -> pd.DataFrame:
    """Milliseconds per query by kind of search and code length."""
    if record is None:
        return pd.DataFrame({"not measured here": {"ms per query": "run make benchmarks"}})
    lengths = sorted({case["bits"] for case in record["result"]["cases"] if case["items"] == ITEMS})
    rows = {}
    for kind, name in _ROWS.items():
        times = {bits: milliseconds(record, kind, bits) for bits in lengths}
        rows[name] = {f"{bits} bits": "" if ms is None else f"{ms:.3g}" for bits, ms in times.items()}
    return pd.DataFrame(rows).T.rename_axis(f"ms per query among {ITEMS:,}")


def draw(axis: plt.Axes, record: dict, frame: pd.DataFrame, compared: pd.DataFrame, metric: str) -> None:
    """Draw quality, mean and sd over seeds, against milliseconds per query among a million items.

    Args:
        record: as :func:`benchmark_record` gives it.
        frame: results of DCMQ's runs.
        compared: results of hashing methods' runs, with the method as ``variant``; may be empty.
    """
    lines = [("DCMQ's codes", frame, CODES, "gallery"), ("DCMQ's student, not quantized", frame, FLOATS, "continuous")]
    if len(compared):
        lines += [(f"{name}'s codes", rows, SIGNS, "gallery") for name, rows in compared.groupby("variant", sort=False)]
    for (label, rows, kind, gallery), look in zip(lines, _LOOKS, strict=False):
        means = seed_means(rows, metric, by="bits", gallery=gallery)
        lengths = [bits for bits in means if milliseconds(record, kind, bits) is not None]
        lengths = [64] if kind == FLOATS and 64 in lengths else lengths if kind != FLOATS else []  # of 256 numbers
        if not lengths:
            continue
        x = [milliseconds(record, kind, bits) for bits in lengths]
        y, sd = means[lengths].mean(), means[lengths].std(ddof=1).fillna(0)
        # No line: more bits do not always take longer, and it would run back.
        style = dict(color=plots.colors()[look], marker=MARKERS[look], linestyle="none", capsize=3)
        axis.errorbar(x, y, sd, label=label, **style)
        for time, bits in zip(x, lengths, strict=True):
            text = "256 numbers" if kind == FLOATS else f"{bits}"
            place, side = (
                ((0, 8), "center") if kind != SIGNS else ((7, -3), "left") if time == max(x) else ((-7, -3), "right")
            )
            axis.annotate(text, (time, y[bits]), place, textcoords="offset points", ha=side, fontsize=8)
    axis.set(xscale="log", xlabel=f"ms per query among {ITEMS:,} items (numbers: bits per code)")
    axis.margins(x=0.15, y=0.15)
    low, high = axis.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize=8, loc="best")

"""Growth of a search's time with the gallery, the code and the batch of queries, and its distance from what memory allows."""

import statistics

import faiss
import matplotlib.pyplot as plt
import numpy as np
import torch

from benchmarks.galleries import SyntheticGallery, make_gallery
from benchmarks.timing import Comparison, in_turn, spread
from dcmq.codes.engines import Gallery
from dcmq.codes.faiss_engines import FaissEngine

TITLE = "Growth"
ABOUT = """
`CodeIndex.search` with faiss for the first 100, on all cores. Exponents are slopes of straight lines through the logarithms: 1 is proportional growth. The *floor* is the
time in which memory can be read: the bytes of all codes over the highest bandwidth measured in the same run (the sum of an array of 1 GB). A query alone reads every code, so it can
not be faster; queries in a batch share one reading, so theirs can.
"""
K = 100
_SIZES, _BITS, _BATCHES = (10**4, 10**5, 10**6, 10**7), (16, 32, 64, 128), (1, 4, 16, 64, 256, 1024)
_FLOOR = 2.5  # times the time in which memory can be read, for one query in the largest gallery
_FIT_FROM = 10**5  # items; below, what each call costs in any case hides the scan


def measure(quick: bool) -> dict:
    """Seconds per query for each size, code length and batch, memory, and the bandwidth."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    sizes, bits, batches, n = ((1000, 4000), (32, 64), (1, 8), 4000) if quick else (_SIZES, _BITS, _BATCHES, 10**6)
    return {
        "bytes per second": bandwidth(10**7 if quick else 10**9),
        "items": [_row(make_gallery(size, 64), (1, 1000)) for size in sizes],
        "bits": [_row(make_gallery(n, b), (1, 1000)) for b in bits],
        "batch": _row(make_gallery(n, 64, max(batches)), batches),
    }


def bandwidth(size: int) -> list[float]:
    """Bytes per second at which ``size`` bytes are summed, each repeat."""
    array = torch.ones(size // 4)
    return [size / seconds for seconds in in_turn({"": array.sum}, 5)[""]]


def _row(gallery: SyntheticGallery, batches: tuple[int, ...]) -> dict:
    index = gallery.index
    repeats = 3 if len(index) > 10**6 else 7
    calls = {b: (lambda b=b: index.search(gallery.queries[:b], K, "faiss")) for b in batches}
    seconds = in_turn(calls, repeats)
    engine = FaissEngine(Gallery(index.codebooks, index.codes, index.centroids, index.lists, nprobe=0))
    held = sum(int(faiss.serialize_index(shard).nbytes) for shard in engine.shards)
    return {
        "items": len(index),
        "bits": index.bits,
        "seconds per query": {str(b): [s / b for s in seconds[b]] for b in batches},
        "code bytes": int(index.codes.nbytes),
        "engine bytes": held,
    }


def exponent(x, y) -> float:
    """The slope of the line through the logarithms of ``x`` and ``y``."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def comparisons(result: dict) -> list[Comparison]:
    """The exponents, and a single query's time against the floor."""
    rate = max(result["bytes per second"])
    rows = []
    for batch, what in (("1", "one query alone"), ("1000", "1,000 queries at once")):
        for by in ("items", "bits"):
            part = [row for row in result[by] if row["items"] >= _FIT_FROM or len(result[by]) < 4]
            times = [statistics.median(row["seconds per query"][batch]) for row in part]
            slope = exponent([row[by] for row in part], times)
            name = {"items": "gallery size", "bits": "code length"}[by]
            rows.append(Comparison(f"{what}: time grows with {name} to the power", f"{slope:.2f}", "1", f"{slope:.2f}"))
    for by, name in (("items", "gallery size"), ("bits", "code length")):
        slope = exponent([row[by] for row in result[by]], [row["engine bytes"] for row in result[by]])
        rows.append(
            Comparison(f"memory of the engine grows with {name} to the power", f"{slope:.2f}", "1", f"{slope:.2f}")
        )
    batch = result["batch"]["seconds per query"]
    slope = exponent([int(b) for b in batch], [statistics.median(seconds) for seconds in batch.values()])
    rows.append(
        Comparison("time per query changes with the batch of queries to the power", f"{slope:.2f}", "0", f"{slope:.2f}")
    )
    for row in result["items"]:
        floor = row["code bytes"] / rate
        ours = row["seconds per query"]["1"]
        ratio = statistics.median(ours) / floor
        what = f"{row['items']:,} items, {row['bits']} bits, one query: ours and the floor"
        goal = (f"≤ {_FLOOR} times", ratio <= _FLOOR) if row["items"] == _SIZES[-1] else ()
        rows.append(Comparison(what, spread(ours), spread([floor]), f"{ratio:.3g} times the floor", *goal))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: time per query against gallery size, code length and batch, with the floor."""
    rate = max(result["bytes per second"])
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    for axis, by, label in (
        (axes[0], "items", "items in the gallery, 64 bits"),
        (axes[1], "bits", "bits per code, {:,} items"),
    ):
        rows = result[by]
        for batch, marker in (("1", "o"), ("1000", "s")):
            times = [1e3 * statistics.median(row["seconds per query"][batch]) for row in rows]
            axis.plot(
                [row[by] for row in rows],
                times,
                marker=marker,
                label="one query" if batch == "1" else "1,000 queries at once",
            )
        floor = [1e3 * row["code bytes"] / rate for row in rows]
        axis.plot([row[by] for row in rows], floor, "k:", label="floor: codes read once per query")
        axis.set(xscale="log", yscale="log", xlabel=label.format(rows[0]["items"]))
    axes[1].set_xticks([row["bits"] for row in result["bits"]], [str(row["bits"]) for row in result["bits"]])
    axes[1].minorticks_off()
    batch = result["batch"]
    sizes = [int(b) for b in batch["seconds per query"]]
    axes[2].plot(sizes, [1e3 * statistics.median(s) for s in batch["seconds per query"].values()], marker="o")
    axes[2].set(xscale="log", xlabel=f"queries at once, {batch['items']:,} items, {batch['bits']} bits")
    axes[0].set_ylabel("milliseconds per query")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    return {"time": figure}

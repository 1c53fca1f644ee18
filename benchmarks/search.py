"""Search with DCMQ's codes, against what one would use instead."""

import statistics
import tempfile
import time
from pathlib import Path

import faiss
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.galleries import DIMENSION, SyntheticGallery, make_gallery
from benchmarks.timing import Comparison, in_turn, speed, spread
from dcmq.codes.engines import Gallery, Queries
from dcmq.codes.faiss_engines import lists_for, product_index
from dcmq.codes.index import CodeIndex
from dcmq.reporting.figures import MARKERS

TITLE = "Search"
ABOUT = f"""
The first 100 of a gallery for each of 1,000 queries, on all cores. **DCMQ** is `CodeIndex.search` from the queries' embeddings to ids: tables, fast scan,
exact re-rank. Its peers search the same items:

- **Hamming**: faiss `IndexBinaryFlat` on codes of as many bits, the signs of the embedding;
- **plain PQ**: faiss `IndexPQ` on the same codes, by tables in memory instead of registers;
- **float**: faiss `IndexFlatIP` on the embeddings themselves, {DIMENSION} numbers each;
- **fast scan alone**: faiss `IndexPQFastScan`, whose scores are rounded, without the exact re-rank, on queries that are normalized already;
- **lists**: `CodeIndex` after `cluster()`, which looks at some lists only and misses items. Their number is chosen on some queries for a recall, and measured on
  others; items lie around 2,000 centroids, closely (*clusters*: half the centroids' deviation) or not (*loose clusters*: the same deviation).

Slow peers answer fewer queries; times are per query. *recall@100* is the share of the first 100 of the exact reference, which sums every item's look-ups, that
DCMQ's first 100 hold. Items are synthetic (`benchmarks/galleries.py`): the scan's time does not depend on them, that of the re-rank does.
"""
K = 100
OURS, HAMMING, PLAIN, FLOAT, SCAN = "DCMQ", "Hamming", "plain PQ", "float", "fast scan alone"
_FEWER = {PLAIN: 50, FLOAT: 50}  # queries, of slow peers
GOALS = {HAMMING: 1.5, FLOAT: 60.0}
_LISTS = {
    "clusters": (10**7, 2000, 0.5),
    "loose clusters": (10**6, 1000, 1.0),
}  # items, lists, deviation of items around centroids
_RECALLS = (0.9, 0.95, 0.99)  # that lists are chosen for
_ONE = 1.3  # times the fast scan's time that one query may take


def measure(quick: bool) -> dict:
    """The seconds of every repeat of every case, of searches by lists, and of loading."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    cases = [(5000, 64)] if quick else [(10**6, b) for b in (16, 32, 64, 128)] + [(10**7, b) for b in (64, 128)]
    results = []
    for n, bits in cases:
        floats_fit = n * DIMENSION * 4 * 3.5 < _free_bytes()
        results.append(_case(make_gallery(n, bits, floats=floats_fit), 3 if n > 10**6 else 5))
    lists = {
        kind: _lists(make_gallery(5000 if quick else n, 64, noise=noise), 16 if quick else nlist)
        for kind, (n, nlist, noise) in _LISTS.items()
    }
    return {"cases": results, "lists": lists, "loading": _loading(cases[-1][0])}


def _free_bytes() -> float:
    """Bytes of memory that are left; without /proc, 4 GB."""
    file = Path("/proc/meminfo")
    lines = dict(line.split(":") for line in file.read_text().splitlines()) if file.is_file() else {}
    return 1024.0 * int(lines.get("MemAvailable", f"{4 << 20} kB").split()[0])


def _case(gallery: SyntheticGallery, repeats: int) -> dict:
    index, queries = gallery.index, gallery.queries
    normalized = Queries.from_embeddings(queries.numpy(), F.normalize(index.codebooks, dim=2).numpy()).embeddings
    product = product_index(index.codebooks, index.codes)
    scan, binary = faiss.IndexPQFastScan(product), faiss.IndexBinaryFlat(index.bits)
    binary.add(gallery.signs)
    signs = gallery.query_signs
    contenders = {
        OURS: lambda: index.search(queries, K, "faiss"),
        HAMMING: lambda: binary.search(signs, K),
        SCAN: lambda: scan.search(normalized, K),
        PLAIN: lambda: product.search(normalized[: _FEWER[PLAIN]], K),
    }
    if gallery.floats is not None:
        flat = faiss.IndexFlatIP(DIMENSION)
        flat.add(gallery.floats)
        floats = np.ascontiguousarray(queries.numpy())
        contenders[FLOAT] = lambda: flat.search(floats[: _FEWER[FLOAT]], K)
    seconds = in_turn(contenders, repeats)
    exact, fast = (index.search(queries[:100], K, engine).ids for engine in ("exact", "faiss"))
    recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(exact, fast, strict=True)])
    alone = {name: [] for name in (OURS, SCAN)}
    for row in range(100 if len(index) > 10**6 else 300):
        query, unit = queries[row : row + 1], normalized[row : row + 1]
        calls = {OURS: lambda q=query: index.search(q, K, "faiss"), SCAN: lambda q=unit: scan.search(q, K)}
        for name, times in in_turn(calls, 1, warm_up=int(row == 0)).items():
            alone[name] += times
    return {
        "one query": alone,
        "items": len(index),
        "bits": index.bits,
        "seconds per query": {
            name: [s / _FEWER.get(name, len(queries)) for s in times] for name, times in seconds.items()
        },
        "recall@100": float(recall),
        "same order": float((exact == fast).mean()),
    }


def _lists(gallery: SyntheticGallery, nlist: int) -> dict:
    """Lists chosen for each recall on half of some queries, measured on the others."""
    index, (known, queries) = gallery.index, gallery.queries.split([200, 800])
    start = time.perf_counter()
    index.cluster(nlist, queries=known)
    clustering = time.perf_counter() - start
    exact = index.search(queries, K, "faiss").ids
    whole = in_turn({"": lambda: index.search(queries, K, "faiss")}, 3)[""]
    asked = Queries.from_embeddings(known.numpy(), F.normalize(index.codebooks, dim=2).numpy())
    lists, rows = Gallery(index.codebooks, index.codes, index.centroids, index.lists, 1), []
    for wanted in _RECALLS:
        nprobe, expected = lists_for(lists, wanted, asked, K)
        found = index.search(queries, K, "lists", nprobe).ids
        seconds = in_turn({"": lambda n=nprobe: index.search(queries, K, "lists", n)}, 3)[""]
        recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(exact, found, strict=True)]))
        times = [s / len(queries) for s in seconds]
        rows.append({"nprobe": nprobe, "expected": expected, "seconds per query": times, "recall@100": recall})
    facts = {"items": len(index), "bits": index.bits, "nlist": nlist, "clustering seconds": clustering}
    return facts | {"exact": [s / len(queries) for s in whole], "rows": rows}


def _loading(n: int) -> dict:
    index = CodeIndex(torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(0)))
    index.add(np.random.default_rng(0).integers(0, 256, (n, 8), dtype=np.uint8), np.arange(n))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index.save(path)
        seconds = in_turn(
            {"mapped": lambda: CodeIndex.load(path), "verified": lambda: CodeIndex.load(path, verify=True)}, 3
        )
        return {"items": n, "bytes": path.stat().st_size, "seconds": seconds}


def comparisons(result: dict) -> list[Comparison]:
    """A row for each peer of each case."""
    rows = []
    for case in result["cases"]:
        name, seconds = f"{case['items']:.0e} items, {case['bits']} bits".replace("e+0", "e"), case["seconds per query"]
        ours = seconds[OURS]
        for peer in (HAMMING, PLAIN, FLOAT):
            if peer not in seconds:
                rows.append(Comparison(f"{name}: DCMQ and {peer}", spread(ours), "not measured: too little memory", ""))
                continue
            goal = GOALS.get(peer) if case["bits"] >= 64 else None  # as codes shorter than that have no rival
            rows.append(speed(f"{name}: DCMQ and {peer}, per query", ours, seconds[peer], goal))
        alone = case["one query"]
        ratio = statistics.median(alone[OURS]) / statistics.median(alone[SCAN])
        texts = spread(alone[OURS]), spread(alone[SCAN]), f"{ratio:.2f} times"
        rows.append(Comparison(f"{name}: one query, DCMQ and {SCAN}", *texts, f"≤ {_ONE} times", ratio <= _ONE))
        recall = case["recall@100"]
        rows.append(
            Comparison(
                f"{name}: recall@100 of the exact ranking",
                f"{recall:.4f}",
                "1",
                f"{recall:.4f}",
                "≥ 0.999",
                recall >= 0.999,
            )
        )
    for kind, lists in result["lists"].items():
        for row in lists["rows"]:
            looked = f"{row['nprobe']} of {lists['nlist']} lists"
            found = f"recall@100 {row['recall@100']:.3f}, {row['expected']:.3f} expected"
            what = f"{lists['items']:.0e} items in {kind}: {looked} ({found}) and all".replace("e+0", "e")
            rows.append(speed(what, row["seconds per query"], lists["exact"], 8 if row["recall@100"] >= 0.95 else None))
    loading = result["loading"]
    mapped, verified = loading["seconds"]["mapped"], loading["seconds"]["verified"]
    ratio = statistics.median(verified) / statistics.median(mapped)
    what = f"open {loading['items']:.0e} codes ({loading['bytes'] / 1e6:.0f} MB), mapped and read whole".replace(
        "e+0", "e"
    )
    rows.append(
        Comparison(what, spread(mapped), spread(verified), f"{ratio:.3g}", "< 1 s", statistics.median(mapped) < 1)
    )
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: milliseconds per query of every contender against code length, a panel per gallery size."""
    sizes = sorted({case["items"] for case in result["cases"]})
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(4.4 * len(sizes) + 1.8, 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, n in zip(axes[0], sizes, strict=True):
        cases = [case for case in result["cases"] if case["items"] == n]
        for marker, name in zip(MARKERS, (OURS, SCAN, HAMMING, PLAIN, FLOAT), strict=False):
            points = [(c["bits"], c["seconds per query"][name]) for c in cases if name in c["seconds per query"]]
            if points:
                x, y = zip(*((bits, 1e3 * statistics.median(s)) for bits, s in points), strict=True)
                axis.plot(x, y, marker=marker, label=f"{name}, {DIMENSION} numbers" if name == FLOAT else name)
        axis.set(xscale="log", yscale="log", xlabel="bits per code", title=f"{n:,} items")
        axis.set_xticks([c["bits"] for c in cases], [str(c["bits"]) for c in cases], minor=False)
        axis.minorticks_off()
    axes[0][0].set_ylabel("milliseconds per query")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    return {"time": figure}

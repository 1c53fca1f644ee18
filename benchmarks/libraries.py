"""Other libraries' compressed search of the same embeddings: time, bytes, and what is found of the ranking by floats."""

import statistics
import time

import faiss
import matplotlib.pyplot as plt
import numpy as np
import torch
from usearch.index import Index

from benchmarks.galleries import DIMENSION, SyntheticGallery, make_gallery
from benchmarks.growth import exponent
from benchmarks.timing import Comparison, in_turn, speed
from dcmq.reporting.figures import MARKERS

TITLE = "Other libraries"
ABOUT = f"""
The first 100 for each of 200 queries among the same embeddings ({DIMENSION} numbers, synthetic, `benchmarks/galleries.py`), each library with what it stores of them:

- **DCMQ**: codes of 64 bits, `CodeIndex.search`;
- **USearch i8**: numbers as 8-bit integers in its graph (HNSW, its own defaults): fast, and not exact;
- **USearch b1**: the {DIMENSION} signs as bits in its graph;
- **bits and rescoring**: Hamming distances of {DIMENSION} signs by faiss' `IndexBinaryFlat`, the first 400 ranked anew by the query's floats and the stored signs, the way
  sentence-transformers' `semantic_search_faiss` does for `ubinary` embeddings.

*Found* is the mean share of the first 100 by floats that is among the first 100. Here it says how coarse codes of untrained codebooks are: a trained student's codebooks follow its data.
Exponents are slopes through the logarithms of time and size. ScaNN has no wheel for this Python, and LanceDB is under *Databases*.
"""
K, _MULTIPLE = 100, 4
OURS = "DCMQ, 64 bits"
_SIZES = (10**4, 10**5, 3 * 10**5)


def measure(quick: bool) -> dict:
    """The seconds of every repeat, seconds of building, bytes per item and the share found, by size and library."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    sizes = (1000, 2000) if quick else _SIZES
    return {"cases": [_case(make_gallery(n, 64, num_queries=200, floats=True), 2 if quick else 5) for n in sizes]}


def _case(gallery: SyntheticGallery, repeats: int) -> dict:
    queries, floats = gallery.queries.numpy(), gallery.floats
    signs, query_signs = np.packbits(floats > 0, axis=1), np.packbits(queries > 0, axis=1)
    keys, built = np.arange(len(floats), dtype=np.uint64), {}

    def graph(name: str, vectors: np.ndarray, **options) -> Index:
        start = time.perf_counter()
        index = Index(ndim=DIMENSION, **options)
        index.add(keys, vectors)
        built[name] = time.perf_counter() - start
        return index

    integers = graph("USearch i8", floats, metric="ip", dtype="i8")
    bits = graph("USearch b1", signs, metric="hamming", dtype="b1")
    binary = faiss.IndexBinaryFlat(DIMENSION)
    binary.add(signs)
    contenders = {
        OURS: lambda: gallery.index.search(queries, K).ids,
        "USearch i8": lambda: integers.search(queries, K).keys.astype(np.int64),
        "USearch b1": lambda: bits.search(query_signs, K).keys.astype(np.int64),
        "bits and rescoring": lambda: _rescored(binary, signs, queries, query_signs),
    }
    seconds = in_turn(contenders, repeats)
    exact = faiss.IndexFlatIP(DIMENSION)
    exact.add(floats)
    wanted = exact.search(queries, K)[1]
    return {
        "items": len(floats),
        "seconds per query": {name: [s / len(queries) for s in times] for name, times in seconds.items()},
        "building seconds": built,
        "bytes per item": {
            OURS: gallery.index.code_size,
            "USearch i8": integers.serialized_length / len(floats),
            "USearch b1": bits.serialized_length / len(floats),
            "bits and rescoring": signs.shape[1],
        },
        "found": {name: _share(call(), wanted) for name, call in contenders.items()},
    }


def _rescored(binary, signs: np.ndarray, queries: np.ndarray, query_signs: np.ndarray) -> np.ndarray:
    candidates = binary.search(query_signs, K * _MULTIPLE)[1]
    values = np.unpackbits(signs[candidates], axis=2).astype(np.float32) * 2 - 1  # (q, c, D)
    order = np.argsort(-np.einsum("qcd,qd->qc", values, queries), axis=1, kind="stable")[:, :K]
    return np.take_along_axis(candidates, order, 1)


def _share(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, wanted, strict=True)]))


def comparisons(result: dict) -> list[Comparison]:
    """A row for each library at each size, and how its time grows."""
    rows = []
    for case in result["cases"]:
        ours = case["seconds per query"][OURS]
        for name, seconds in case["seconds per query"].items():
            facts = f"{case['bytes per item'][name]:.0f} bytes an item, {case['found'][name]:.2f} found"
            what = f"{case['items']:,} items: DCMQ and {name} ({facts})"
            if name == OURS:
                what = f"{case['items']:,} items: DCMQ ({facts})"
            rows.append(speed(what, ours, seconds))
    sizes = [case["items"] for case in result["cases"]]
    for name in result["cases"][0]["seconds per query"]:
        times = [statistics.median(case["seconds per query"][name]) for case in result["cases"]]
        slope = f"{exponent(sizes, times):.2f}"
        rows.append(Comparison(f"{name}: time grows with the gallery to the power", slope, "1", slope))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: milliseconds per query against the gallery's size."""
    figure, axis = plt.subplots(layout="constrained")
    sizes = [case["items"] for case in result["cases"]]
    for marker, name in zip(MARKERS, result["cases"][0]["seconds per query"], strict=False):
        times = [1e3 * statistics.median(case["seconds per query"][name]) for case in result["cases"]]
        axis.plot(sizes, times, marker=marker, label=name)
    axis.set(xscale="log", yscale="log", xlabel="items in the gallery", ylabel="milliseconds per query")
    axis.legend(frameon=False)
    return {"time": figure}

"""A search of exported codes by databases, against the index that they were exported from."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.galleries import SyntheticGallery, make_gallery
from benchmarks.timing import Comparison, in_turn, speed
from dcmq.codes.assign import unit_subvectors
from dcmq.core.errors import DcmqError
from dcmq.sharing.lance_export import export_lance
from dcmq.sharing.parquet_export import export_parquet

TITLE = "Databases"
ABOUT = """
The first 100 of 100,000 synthetic items for one query at a time, by codes of 64 bits, from a query's embedding or its unit sub-vectors to ids and
scores: `CodeIndex.search`, which chooses its engine; Lance with the index of `dcmq search export`, which searches the same codes; DuckDB on the exported parquet
file, and on a table of its own made of it, which look at decoded vectors. All use as many threads as they please. All find the same scores, or nothing is reported.
"""
OURS, LANCE, FILE, TABLE = "dcmq", "Lance", "DuckDB, file", "DuckDB, table"
K, _BITS, _DIFFERENCE = 100, 64, 1e-4  # of scores


@dataclass(frozen=True)
class Sizes:
    """Numbers of items, and of queries that are timed one by one."""

    items: int
    queries: int


FULL, QUICK = Sizes(100_000, 50), Sizes(2000, 3)
Search = Callable[[int], tuple[np.ndarray, np.ndarray]]  # of a query by its number: ids and scores


def measure(quick: bool) -> dict:
    """Seconds of every query by contender, and bytes per item of each file. Raises DcmqError where scores differ."""
    sizes = QUICK if quick else FULL
    gallery = make_gallery(sizes.items, _BITS, sizes.queries)
    with tempfile.TemporaryDirectory() as name:
        file = export_parquet(gallery.index, Path(name) / "gallery.parquet")
        table = export_lance(gallery.index, Path(name) / "gallery.lance")
        contenders, seconds = _contenders(gallery, file, table), {}
        for number in range(sizes.queries):
            calls = {who: lambda search=search, q=number: search(q) for who, search in contenders.items()}
            _check({who: call() for who, call in calls.items()})
            for who, (second,) in in_turn(calls, repeats=1, warm_up=0).items():
                seconds.setdefault(who, []).append(second)
        written = {
            "parquet": file.stat().st_size,
            "Lance": sum(f.stat().st_size for f in table.rglob("*") if f.is_file()),
        }
    return {
        "items": sizes.items,
        "seconds": seconds,
        "bytes per item": {n: b / sizes.items for n, b in written.items()},
    }


def _contenders(gallery: SyntheticGallery, file: Path, table: Path) -> dict[str, Search]:
    import duckdb
    import lance

    index, dataset, connection = gallery.index, lance.dataset(table), duckdb.connect()
    queries = unit_subvectors(gallery.queries, index.num_codebooks).numpy()
    d = queries.shape[1]
    connection.execute(f"CREATE TABLE items AS SELECT id, decoded::FLOAT[{d}] AS decoded FROM '{file}'")

    def ours(q: int) -> tuple[np.ndarray, np.ndarray]:
        found = index.search(gallery.queries[q : q + 1], K)
        return found.ids[0], found.scores[0]

    def by_lance(q: int) -> tuple[np.ndarray, np.ndarray]:
        nearest = {"column": "decoded", "q": queries[q], "k": K}
        found = dataset.to_table(columns=["id", "_distance"], nearest=nearest)
        return found["id"].to_numpy(), 1 - found["_distance"].to_numpy()

    def by_duckdb(product: str, source: str) -> Search:
        sql = f"SELECT id, {product} AS score FROM {source} ORDER BY score DESC LIMIT {K}"
        return lambda q: tuple(connection.execute(sql, {"query": queries[q]}).fetchnumpy().values())

    return {
        OURS: ours,
        LANCE: by_lance,
        FILE: by_duckdb("list_dot_product(decoded, $query::FLOAT[])", f"'{file}'"),
        TABLE: by_duckdb(f"array_inner_product(decoded, $query::FLOAT[{d}])", "items"),
    }


def _check(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for who, (_, scores) in found.items():
        if not np.abs(scores - found[OURS][1]).max() < _DIFFERENCE:
            raise DcmqError(f"databases: the scores of {who} differ from those of the index")


def comparisons(result: dict) -> list[Comparison]:
    """A row for each database, and one for each file."""
    seconds, n = result["seconds"], f"{result['items']:,}"
    rows = [speed(f"{who}: a query among {n}", seconds[OURS], seconds[who]) for who in (LANCE, FILE, TABLE)]
    code = _BITS // 8
    for name, size in result["bytes per item"].items():
        rows.append(
            Comparison(f"{name}: bytes per item, and of a code", str(code), f"{size:.0f}", f"{size / code:.1f}")
        )
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: milliseconds per query of every contender."""
    figure, axis = plt.subplots(figsize=(5, 2.2), layout="constrained")
    times = {who: 1000 * float(np.median(seconds)) for who, seconds in result["seconds"].items()}
    axis.barh(list(times), list(times.values()))
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="milliseconds per query")
    return {"time": figure}

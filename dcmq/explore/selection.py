"""What is selected, as a table: to look at in a cell, and as a file."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dcmq.core.errors import DcmqError
from dcmq.core.storage import atomic_write
from dcmq.explore.bench import Bench
from dcmq.explore.items import KINDS, Items
from dcmq.explore.requests import Answer, register_request
from dcmq.explore.search import query_ranking

SUFFIXES = (".csv", ".parquet")


def items_frame(items: Items, rows: Sequence[int]) -> pd.DataFrame:
    """A line per row, which is its index: id, text, labels separated by commas, and split."""
    return pd.DataFrame(
        {
            "id": [str(items.ids[row]) for row in rows],
            "text": [items.text(row) for row in rows],
            "labels": [", ".join(items.label_names(row)) for row in rows],
            "split": [str(items.splits[row]) for row in rows],
        },
        index=pd.Index(list(rows), name="row", dtype=int),
    )


def export_frame(bench: Bench, rows: Sequence[int]) -> pd.DataFrame:
    """:func:`items_frame`, and for each shown ranker the score for the query, empty outside the gallery, and the codes.

    Codes are the M numbers of codewords, separated by spaces.
    """
    frame = items_frame(bench.items, rows)
    for ranker in bench.shown_rankers:
        ranking = query_ranking(bench, ranker)
        scores = dict(zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True))
        frame[f"score {ranker.name}"] = [scores.get(row, np.nan) for row in rows]
        for kind in KINDS if ranker.codebooks is not None else ():
            codes = [" ".join(map(str, ranker.codes[kind][row].tolist())) for row in rows]
            present = bench.items.has[kind][list(rows)]
            frame[f"{kind[:-1]} code {ranker.name}"] = [c if p else "" for c, p in zip(codes, present, strict=True)]
    return frame


def write_selection(bench: Bench, file: Path | str) -> Path:
    """Write the selected items to a CSV or parquet file, and return its path.

    Raises:
        DcmqError: nothing is selected, the file's name has another ending, or it cannot be written.
    """
    file = Path(file).expanduser()
    if file.suffix not in SUFFIXES:
        raise DcmqError(f"export: {file.name!r} must end in {' or '.join(SUFFIXES)}")
    if not bench.selection:
        raise DcmqError("export: nothing is selected; select items with shift and a click")
    frame, content = export_frame(bench, bench.selection), io.BytesIO()
    if file.suffix == ".csv":
        frame.to_csv(content)
    else:
        frame.to_parquet(content)
    atomic_write(file, content.getvalue())
    return file


@register_request
def export(bench: Bench, file: str) -> Answer:
    """Write the selection, see :func:`write_selection`; the name of the file and how many items are in it."""
    return {"file": str(write_selection(bench, file)), "items": len(bench.selection)}, []

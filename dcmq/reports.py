"""What a notebook leaves behind: tables as CSV and Markdown, and a record that names every run they came from."""

from pathlib import Path

import numpy as np
import pandas as pd

from dcmq.storage import atomic_write, write_json


def mean_sd(values: list[float]) -> str:
    """``0.516 ± 0.005``: mean and sample standard deviation (n - 1); of a single value the value alone."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def markdown(frame: pd.DataFrame) -> str:
    """``frame`` with its index as a Markdown table."""
    head = [frame.index.name or "", *map(str, frame.columns)]
    rows = [[str(name), *map(str, row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]) + "\n"


def write_table(frame: pd.DataFrame, stem: Path) -> None:
    """Write ``stem``.csv and ``stem``.md."""
    atomic_write(stem.with_suffix(".csv"), frame.to_csv(lineterminator="\n").encode())
    atomic_write(stem.with_suffix(".md"), markdown(frame).encode())


def write_record(path: Path, parameters: dict, records: list[dict], **more) -> None:
    """Write the notebook's JSON record: its parameters, and every run record in full."""
    write_json(path, {"parameters": parameters, **more, "runs": records})

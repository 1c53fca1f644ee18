"""Tables as CSV, Markdown and LaTeX, and the mean ± sd in their cells."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dcmq.core.errors import DcmqError
from dcmq.core.storage import atomic_write

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
        "→": r"$\to$",
    }
)  # fmt: skip


def mean_sd(values: Sequence[float]) -> str:
    """Mean and sample standard deviation (n - 1) with three decimals, like ``.516 ± .005``; of a single value, that alone.

    Raises:
        DcmqError: no values, or one that is not a finite number.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 0:
        raise DcmqError("mean_sd: no values to take the mean of; did every run finish?")
    if not np.isfinite(numbers).all():
        raise DcmqError(f"mean_sd: {numbers.tolist()} holds a value that is not a number; look at the run records")
    if numbers.size == 1:
        return _decimals(numbers.item())
    return f"{_decimals(numbers.mean())} ± {_decimals(numbers.std(ddof=1))}"


def _decimals(value: float) -> str:
    """Three decimals, the zero before the point left out as in the tables of this field."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def markdown(frame: pd.DataFrame) -> str:
    """``frame`` with its index as a Markdown table."""
    names = [str(name).replace("|", r"\|") for name in frame.columns]
    lines = [["" if frame.index.name is None else str(frame.index.name), *names], ["---"] * (len(names) + 1)]
    lines += [[cell.replace("|", r"\|") for cell in row] for row in _rows(frame)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def latex(frame: pd.DataFrame) -> str:
    """``frame`` with its index as a LaTeX ``tabular`` (package booktabs), special characters escaped."""
    head = ["" if frame.index.name is None else str(frame.index.name), *map(str, frame.columns)]
    lines = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in [head, *_rows(frame)]]
    columns = "l" + "r" * len(frame.columns)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([*body, r"\end{tabular}"]) + "\n"


def _rows(frame: pd.DataFrame) -> list[list[str]]:
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]  # by column: whole numbers stay whole beside decimals
    return [[str(name), *(str(column.iloc[i]) for column in columns)] for i, name in enumerate(frame.index)]


def write_table(frame: pd.DataFrame, stem: Path | str) -> list[Path]:
    """Write ``stem``.csv, ``stem``.md and ``stem``.tex, and return the paths; the ``.md`` last, so that it tells that all are there.

    Raises:
        DcmqError: a frame without rows or with several header or index levels, or files that cannot be written.
    """
    if frame.empty:
        raise DcmqError(f"write_table: nothing to write to {stem}; did every run finish?")
    if frame.columns.nlevels > 1 or frame.index.nlevels > 1:
        raise DcmqError(f"write_table: {stem} has several header levels; join them into one name first")
    contents = {".csv": frame.to_csv(lineterminator="\n"), ".tex": latex(frame), ".md": markdown(frame)}
    stem = Path(stem)
    for suffix, text in contents.items():
        atomic_write(stem.with_name(stem.name + suffix), text.encode())
    return [stem.with_name(stem.name + suffix) for suffix in (".csv", ".md", ".tex")]

"""A benchmark's files, and the page over all of them."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks import BENCHMARKS, benchmark
from benchmarks.machine import description
from benchmarks.timing import Comparison
from dcmq.core.storage import atomic_write, write_json
from dcmq.reporting import figures
from dcmq.reporting.tables import markdown

_INTRODUCTION = """# How fast it is

Each figure is a ratio against a peer that does the same work and was timed in the same run, in turn with ours; a ratio of 2 means
half the peer's time. Times are medians (lowest to highest). Made by `make benchmarks` from the JSON files beside it, which hold every repeat.
"""


def table(rows: list[Comparison]) -> str:
    """A Markdown table; the last column says whether the goal was reached."""
    reached = {True: "yes", False: "**no**", None: ""}
    columns = {
        "ours": [row.ours for row in rows],
        "peer": [row.peer for row in rows],
        "ratio": [row.ratio for row in rows],
        "goal": [row.goal for row in rows],
        "reached": [reached[row.reached] for row in rows],
    }
    return markdown(pd.DataFrame(columns, index=[row.what for row in rows]))


def write(folder: Path, name: str, record: dict) -> None:
    """Write ``name``.json, its figures and the page over all benchmarks to ``folder``.

    Raises:
        DcmqError: the files cannot be written.
    """
    write_json(folder / f"{name}.json", record)
    figures.use_style()
    for part, figure in benchmark(name).figures(record["result"]).items():
        figures.save(figure, folder / f"{name}-{part}")
        plt.close(figure)
    atomic_write(folder / "README.md", page(folder).encode())


def page(folder: Path) -> str:
    """The whole page as Markdown, from the JSON files in ``folder``; links are relative to it."""
    return _INTRODUCTION + "".join(
        _section(folder, name, json.loads((folder / f"{name}.json").read_text()))
        for name in BENCHMARKS
        if (folder / f"{name}.json").is_file()
    )


def _section(folder: Path, name: str, record: dict) -> str:
    module = benchmark(name)
    parts = [f"\n## {module.TITLE}\n", module.ABOUT.strip() + "\n"]
    if record["quick"]:
        parts.append("**Made with `--quick`: sizes so small that the figures say nothing.**\n")
    parts.append(table(module.comparisons(record["result"])))
    parts += [f"![{module.TITLE}]({path.name})\n" for path in sorted(folder.glob(f"{name}-*.png"))]
    parts.append(f"Repeat: `python -m benchmarks {name}` · [{name}.json]({name}.json)\n")
    parts.append(f"<sub>{description(record['machine'])}</sub>\n")
    return "\n".join(parts)

"""Write the tables of README.md and docs/ anew: from the committed reports, and from what is registered.

A table that this script fills stands under a comment that names it, ``<!-- table: NAME -->``. NAME is a file of a report, such as
``reports/cost/scenes-.../table-search.md``, or one of ``COMPUTED`` below. ``tests/docs`` fails where a page is out of date.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from dcmq.data.catalog import full_name
from dcmq.data.datasets import DATASETS
from dcmq.methods.registry import METHODS
from dcmq.reporting.page import collected
from dcmq.reporting.results import METRICS, metric_name, select, table
from dcmq.reporting.tables import markdown
from dcmq.reporting.verdicts import compare
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.studies.registry import reading_order
from dcmq.teachers.registry import TEACHERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NPC = "ablation_npc/scenes-clip-64bits-demo"
NPC_WIDE = "ablation_npc/scenes-clip-wide-64bits-demo"
NPC_PHOTOS = "ablation_npc/coco-precomputed-64bits-paper-10epochs-16b589"
MAIN = "main_results/scenes-clip-32-64-128bits-demo"
MAIN_PHOTOS = "main_results/coco-precomputed-32-64-128bits-paper-b90a9a"
R = 500  # of mAP@R (hits) on scenes
OTHER_TARGETS = ("identity", "multi-hot labels", "teacher without NPC")
WORDS = {"holds": "ahead", "does not hold": "behind", "a tie": "tie"}  # a difference is no claim
MARKED = re.compile(r"<!-- table: (?P<name>\S+) -->\n+(?P<table>(?:\|.*\n)*)\n*")


@cache
def values(report: str) -> pd.DataFrame:
    """The values of a committed report: a row for each run, direction, gallery and mAP."""
    return pd.read_csv(ROOT / "reports" / report / "values.csv")


def differences(
    report: str, minuend: str, subtrahends: Sequence[str], metrics: Sequence[str] = METRICS, gallery="gallery", **tags
) -> pd.DataFrame:
    """Mean differences over paired seeds, ``+.057 ahead``: a row for each subtrahend, a column for each metric and direction.

    Ahead or behind means more than two standard deviations of the paired differences, as everywhere in the reports.
    """
    frame, columns = values(report), {}
    for metric in metrics:
        for direction in DIRECTIONS:
            chosen = select(frame, metric, gallery, direction=direction, **tags)
            by_seed = chosen.pivot(index="seed", columns="variant", values="value")
            columns[f"{metric_name(metric, R)} {direction}"] = {
                name: _cell(by_seed, minuend, name) for name in subtrahends
            }
    return pd.DataFrame(columns).rename_axis(f"{minuend} less")


def _cell(by_seed: pd.DataFrame, minuend: str, subtrahend: str) -> str:
    difference = (by_seed[minuend] - by_seed[subtrahend]).mean()
    return f"{difference:+.3f} {WORDS[compare(by_seed, minuend, subtrahend).word]}".replace("0.", ".", 1)


def npc_differences(report: str, **tags) -> pd.DataFrame:
    """What the target with NPC is ahead of, and what it is behind."""
    return differences(report, "teacher with NPC", OTHER_TARGETS, **tags)


def npc_over_tau() -> pd.DataFrame:
    """The differences of the sweep: a row for each temperature and other target."""
    report = f"{NPC}-tau-sweep"
    parts = {tau: npc_differences(report, tau=tau) for tau in sorted(values(report).tau.unique())}
    return pd.concat([part.rename(lambda name, tau=tau: f"{name}, tau {tau:g}") for tau, part in parts.items()])


def main_differences(report: str, **tags) -> pd.DataFrame:
    """What DCMQ is ahead of at 64 bits, and what it is behind."""
    others = [name for name in dict.fromkeys(values(report).variant) if name != "DCMQ"]
    return differences(report, "DCMQ", others, bits=64, **tags)


def methods_table() -> pd.DataFrame:
    """A row for each registered method, in the order of tables."""
    columns = ("after", "is", "uncertain, or not as there")
    rows = {m.name: dict(zip(columns, (m.reference, m.fidelity, m.note), strict=True)) for m in METHODS.values()}
    return pd.DataFrame(rows).T.rename_axis("method")


def datasets_table() -> pd.DataFrame:
    """A row for each published population: the counts that are compared, its split, and the checksums of its archives."""
    rows = {}
    for name, entry in DATASETS.items():
        sums = [f"{archive.name} {archive.md5}" for archive in entry.archives if archive.md5]
        for population, published in entry.populations.items():
            gallery = published.counts["kept"] - published.query
            rows[f"`{full_name(name, population)}`"] = {
                "counts": ", ".join(f"{count:,} {what}" for what, count in published.counts.items()),
                "split": f"{published.query:,} / {published.train:,} / {gallery:,}, {published.recipe}",
                "MD5": ", ".join(sums) or "none is published",
            }
    return pd.DataFrame(rows).T.rename_axis("data set")


def teachers_table() -> pd.DataFrame:
    """A row for each kind of teacher: how it is named, and what is known of it."""
    columns = {
        "source": "how to get it",
        "size": "size",
        "licence": "license",
        "embedding": "embedding",
        "checked": "how it is checked",
    }
    rows = {
        ", ".join(f"`{form}`" for form in kind.forms): {
            column: getattr(kind.description, name) for name, column in columns.items()
        }
        for kind in TEACHERS.values()
    }
    return pd.DataFrame(rows).T.rename_axis("teacher")


def claims_table() -> pd.DataFrame:
    """A row for each report, in reading order: the paper's claim, and how many verdicts were which."""
    rows = {}
    for folder, record in collected(ROOT / "reports", reading_order()):
        words = Counter(verdict["word"] for verdict in record["verdicts"])
        link = f"[{folder.parent.name}](../reports/{folder.parent.name}/{folder.name}/table.md)"
        rows[link] = {
            "data, teacher, bits, profile": folder.name,
            "paper": record["item"],
            "claim": record["claim"],
            "verdicts": ", ".join(f"{word} {count}" for word, count in words.most_common()) or "nothing to judge",
        }
    return pd.DataFrame(rows).T.rename_axis("notebook")


COMPUTED: dict[str, Callable[[], pd.DataFrame]] = {
    "methods": methods_table,
    "claims": claims_table,
    "datasets": datasets_table,
    "teachers": teachers_table,
    "npc-differences": lambda: npc_differences(NPC),
    "npc-differences-unseen": lambda: npc_differences(NPC, gallery="unseen"),
    "npc-differences-wide": lambda: npc_differences(NPC_WIDE),
    "npc-differences-photos": lambda: npc_differences(NPC_PHOTOS, metrics=METRICS[1:]),
    "npc-differences-over-tau": npc_over_tau,
    "main-64bits": lambda: table(select(values(MAIN), bits=64), r=R),
    "main-64bits-photos": lambda: table(select(values(MAIN_PHOTOS), METRICS[1], bits=64)),
    "main-differences": lambda: main_differences(MAIN),
    "main-differences-unseen": lambda: main_differences(MAIN, gallery="unseen"),
    "main-differences-photos": lambda: main_differences(MAIN_PHOTOS, metrics=METRICS[1:]),
}


def named_table(name: str) -> str:
    """The table of this name as Markdown."""
    return markdown(COMPUTED[name]()) if name in COMPUTED else (ROOT / name).read_text(encoding="utf-8")


def filled(text: str) -> str:
    """A page with the tables that its comments name."""
    return MARKED.sub(lambda found: f"<!-- table: {found['name']} -->\n\n{named_table(found['name'])}\n", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")

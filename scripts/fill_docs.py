"""Write the tables and sentences of README.md and docs/ anew: from the committed reports, and from what is registered.

A table that this script fills stands under a comment that names it, ``<!-- table: NAME -->``: a file of a report, such as
``reports/cost/scenes-.../table-search.md``, or one of ``COMPUTED`` below. Sentences with results stand between
``<!-- text: NAME -->`` and ``<!-- end -->``, NAME one of ``TEXTS`` or ``verdicts REPORT``. ``tests/docs`` fails where a page is out
of date, or has a result that stands elsewhere.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from benchmarks import costs
from dcmq.data.catalog import full_name
from dcmq.data.datasets import DATASETS
from dcmq.methods.registry import METHODS
from dcmq.reporting.page import collected
from dcmq.reporting.results import METRICS, WHERE, metric_name, select, table
from dcmq.reporting.tables import markdown
from dcmq.reporting.verdicts import HOLDS, REVERSED, TIE
from dcmq.retrieval.galleries import UNSEEN
from dcmq.studies.registry import reading_order
from dcmq.teachers.registry import TEACHERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NPC = "ablation_npc/scenes-clip-64bits-demo"
MAIN = "main_results/scenes-clip-32-64-128bits-demo"
PHOTOS = "ablation_npc/coco-precomputed-64bits-paper-4b08bd"
R = 500  # of mAP@R (hits) on scenes
TABLE = re.compile(r"<!-- table: (?P<name>\S+) -->\n+(?P<table>(?:\|.*\n)*)\n*")
TEXT = re.compile(r"<!-- text: (?P<name>[^>]+?) -->\n.*?<!-- end -->\n", re.DOTALL)


@cache
def values(report: str) -> pd.DataFrame:
    """The values of a committed report: a row for each run, direction, gallery and mAP."""
    return pd.read_csv(ROOT / "reports" / report / "values.csv")


@cache
def record(report: str) -> dict:
    """The record of a committed report."""
    return json.loads((ROOT / "reports" / report / "record.json").read_text(encoding="utf-8"))


def in_words(parts: list[dict], r: int = R) -> str:
    """What the parts of a verdict say: ``holds in i2t and t2i by both metrics``, or each word with where it stands."""
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(part["word"], []).append(f"{part['direction']} by {metric_name(part['metric'], r)}".strip())
    if len(found) == 1 and len(parts) == 4:
        return f"{next(iter(found))} in both directions, by both metrics"
    return "; ".join(f"{word} in {_listed(places)}" for word, places in found.items())


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def verdict_list(report: str) -> str:
    """A line for each verdict of a report: the claim, its word, and the numbers that it follows from."""
    return "\n".join(f"- {v['claim']}: **{v['word']}**. {v['detail']}." for v in record(report)["verdicts"])


def npc_sentences() -> str:
    """What Table 3's three claims come to, a line each."""
    lines = [f"- **{v['claim'].partition(' > ')[2]}**: {in_words(v['parts'])}." for v in record(NPC)["verdicts"]]
    units = record(NPC)["verdicts"][0]["parts"][0]["units"]
    return "\n".join([*lines, f"\nJudged on items that nobody trained on, over {units}."])


def main_sentences(bits: int = 64) -> str:
    """What becomes of DCMQ against each other row at one code length, in a sentence for each word."""
    found: dict[str, list[str]] = {}
    for verdict in record(MAIN)["verdicts"]:
        match = re.match(rf"{bits} bits, DCMQ > ([^ ,]+)", verdict["claim"])
        if match and "the best" not in verdict["claim"]:
            found.setdefault(verdict["word"], []).append(match[1])
    words = {
        HOLDS: "ahead in both directions by both metrics of",
        "holds in part": "ahead in part, and nowhere surely behind, against",
        TIE: "level, within the margin, with",
        "undecided": "not decided against",
        REVERSED: "behind, in one direction or metric at least, of",
        "not judged": "not judged against, since they did not learn,",
    }
    lines = [f"- {words[word]} {_listed(names)}" for word, names in found.items()]
    return f"At {bits} bits, on items that nobody trained on, DCMQ is\n\n" + ";\n".join(lines) + "."


def floor_sentence(report: str = NPC) -> str:
    """What rankings by cues alone reach, beside the lowest and the highest row of Table 3."""
    measured = {name: galleries["unseen"]["mAP@all"] for name, galleries in record(report)["floors"].items()}
    means = select(values(report), "mAP@all").groupby("variant", sort=False).value.mean()
    cues = ", ".join(f"{name} {_number(value)}" for name, value in measured.items())
    return (
        f"Rankings that look at no object reach mAP@all of: {cues}. The rows above lie between {_number(means.min())} "
        f"({means.idxmin()}) and {_number(means.max())} ({means.idxmax()})."
    )


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def study_sentence(name: str, entry: str) -> str:
    """The sentence that a study's notebook wrote into its record under ``entry``."""
    (folder,) = (ROOT / "reports" / name).glob("scenes-*")
    return str(record(f"{name}/{folder.name}")[entry])


def study_verdicts(name: str) -> str:
    """:func:`verdict_list` of a study's report on ``scenes``."""
    (folder,) = (ROOT / "reports" / name).glob("scenes-*")
    return verdict_list(f"{name}/{folder.name}")


def photos_sentence() -> str:
    """What the reports on photos are made of, by the record of the first."""
    found = record(PHOTOS)
    run, epochs = found["runs"][0], {run["config"]["epochs"] for run in found["runs"]}
    choices, images = run["dataset"]["choices"], run["dataset"]["choices"]["pictures"]
    unseen = images - choices["query"] - choices["train"]
    return (
        f"{images:,} photos of MS COCO with a caption each, {_listed(choices['ignore_classes'])} left out of the labels: "
        f"{choices['query']} queries, {choices['train']} to train on, {unseen} more in the gallery. The teacher's vectors come from a file "
        f"({run['teacher']['description']}). The student is a ResNet-18 with ImageNet weights at {run['config']['student']['image_size']} pixels, of which "
        f"all but the last layer is kept as it is, trained for {_listed([str(e) for e in sorted(epochs)])} epochs. "
        f"{len(found['provenance']['seeds'])} seeds, all on one split: intervals are over seeds and queries."
    )


def search_speed() -> str:
    """How many times as fast as its peers the exact ranking is, at 64 and 128 bits."""
    times = pd.read_csv(ROOT / "reports" / "cost" / "scenes-clip-32-64-128bits-demo" / "table-search.csv", index_col=0)
    hamming, floats = (
        times.index.get_indexer([name for name in times.index if word in name])[0]
        for word in ("Hamming", "not quantized")
    )
    return "\n".join(
        f"At {bits} bits the exact ranking is {column.iloc[hamming] / column.iloc[0]:.1f} times as fast as a Hamming scan of as many "
        f"bytes, and {column.iloc[floats] / column.iloc[0]:.1f} times as fast as the embeddings."
        for bits, column in ((bits, times[f"{bits} bits"]) for bits in (64, 128))
    )


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
    for folder, found in collected(ROOT / "reports", reading_order()):
        words = Counter(verdict["word"] for verdict in found["verdicts"])
        link = f"[{folder.parent.name}](../reports/{folder.parent.name}/{folder.name}/table.md)"
        rows[link] = {
            "data, teacher, bits, profile": folder.name,
            "paper": found["item"],
            "claim": found["claim"],
            "verdicts": ", ".join(f"{word} {count}" for word, count in words.most_common()) or "nothing to judge",
        }
    return pd.DataFrame(rows).T.rename_axis("notebook")


def npc_table() -> pd.DataFrame:
    """Table 3 here; a sentence has the floors."""
    return table(select(values(NPC)), r=R).rename_axis(WHERE[UNSEEN])


COMPUTED: dict[str, Callable[[], pd.DataFrame]] = {
    "npc": npc_table,
    "methods": methods_table,
    "claims": claims_table,
    "datasets": datasets_table,
    "teachers": teachers_table,
    "costs": lambda: costs.table(ROOT / "reports" / "benchmarks"),
    "main-64bits": lambda: table(select(values(MAIN), METRICS, bits=64), r=R, floors=record(MAIN)["floors"]),
    "main-64bits-whole": lambda: table(
        select(values(MAIN), METRICS, "gallery", bits=64), r=R, floors=record(MAIN)["floors"]
    ),
}
TEXTS: dict[str, Callable[[], str]] = {
    "npc": npc_sentences,
    "main": main_sentences,
    "floors": floor_sentence,
    "photos": photos_sentence,
    "search speed": search_speed,
    "npc parts": lambda: study_sentence("npc_parts", "conclusion"),
    "teacher text": lambda: study_sentence("teacher_text", "advice"),
    "better student": lambda: study_sentence("better_student", "summary"),
}


def named_table(name: str) -> str:
    """The table of this name as Markdown."""
    return markdown(COMPUTED[name]()) if name in COMPUTED else (ROOT / name).read_text(encoding="utf-8")


def named_text(name: str) -> str:
    """The sentences of this name."""
    kind, _, report = name.partition(" ")
    if kind == "verdicts":
        return verdict_list(report) if "/" in report else study_verdicts(report)
    return TEXTS[name]()


def filled(text: str) -> str:
    """A page with the tables and sentences that its comments name."""
    text = TABLE.sub(lambda found: f"<!-- table: {found['name']} -->\n\n{named_table(found['name'])}\n", text)
    return TEXT.sub(
        lambda found: f"<!-- text: {found['name']} -->\n\n{named_text(found['name'])}\n\n<!-- end -->\n", text
    )


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")

"""``python -m dcmq.reporting.page``: one page over all reports, ``reports/README.md``, made of their records and tables alone."""

import json
from collections import Counter
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir, runs_dir
from dcmq.core.storage import atomic_write

NOTEBOOKS = (  # in reading order
    "quickstart",
    "similarity_histograms",
    "main_results",
    "teachers",
    "ablation_npc",
    "ablation_pqg",
    "codewords",
    "cost",
    "qualitative",
    "low_bits",
    "captions",
    "backbones",
    "separate_training",
    "teacher_finetuning",
    "sensitivity",
    "bits_and_dimension",
)


_SHOWN = 9  # verdicts; more are folded away


_INTRODUCTION = """# What was reproduced, and what was not

**DCMQ** ([arXiv 2405.14726](https://arxiv.org/abs/2405.14726)) lets a large frozen vision-language model (the *teacher*: CLIP and its kin) train a small
*student* whose picture and text embeddings are cut into parts, each replaced by the number of the nearest of 16 *codewords*: 64 bits per item, in which text finds
pictures and pictures find text. Two ideas make it work, says the paper: **NPC** stretches the teacher's narrow similarities into a target that
tells pairs apart, and **PQG** adds Gumbel noise so that all codewords stay in use.

This page is made by `make reports` from the records beside it. No official code is known; what the paper does not state is inferred or ours, and said so where it is
defined. Two kinds of data stand behind the numbers: `scenes`, small generated pictures with a small bundled teacher, and, under names with `coco`, a
small sample of real photos: a check, not a COCO benchmark. Neither is one of the paper's benchmarks, so *orders* can be compared with the paper's, values cannot. Directions: *i2t* is a picture query on a gallery of texts, *t2i* the reverse.
`mAP@500 (hits)` averages precision over the relevant items found in the first 500, `mAP@all` ranks the whole gallery; the paper does not say which it used.
Numbers are mean ± sample sd over seeds. A claim *holds* if the difference exceeds two standard deviations of the differences between runs of one seed, and is *a tie* below.
"""


def collected(folder: Path) -> list[tuple[Path, dict]]:
    """Report folders with their records, in reading order, ``scenes`` first."""
    found = []
    for path in folder.glob("*/*/record.json"):
        record = json.loads(path.read_text())
        if record.get("notebook") in NOTEBOOKS:
            found.append((path.parent, record))
    return sorted(
        found,
        key=lambda item: (
            NOTEBOOKS.index(item[1]["notebook"]),
            not item[0].name.startswith("scenes"),
            item[0].name,
        ),
    )


def page(folder: Path) -> str:
    """The whole page as Markdown; links are relative to ``folder``."""
    reports = collected(folder)
    speed = "Speed is measured apart, against peers: [benchmarks](benchmarks/README.md).\n"
    told = _INTRODUCTION + (speed if (folder / "benchmarks" / "README.md").is_file() else "")
    lines = [told, "| | question | paper | report | verdicts |", "| --- | --- | --- | --- | --- |"]
    for path, record in reports:
        number = NOTEBOOKS.index(record["notebook"]) + 1
        counts = Counter(v["word"] for v in record["verdicts"])
        words = ", ".join(f"{word} {n}" for word, n in counts.most_common()) or "nothing to judge"
        anchor = f"{path.parent.name}-{path.name}"
        lines.append(f"| {number} | {record['title']} | {record['item']} | [{path.name}](#{anchor}) | {words} |")
    return "\n".join(lines) + "\n" + "".join(_section(path, record, folder) for path, record in reports)


def _section(path: Path, record: dict, folder: Path) -> str:
    relative = path.relative_to(folder).as_posix()
    number = NOTEBOOKS.index(record["notebook"]) + 1
    parts = [
        f'\n<a id="{path.parent.name}-{path.name}"></a>\n',
        f"## {number}. {record['title']} ({record['item']})\n",
        f"`{path.name}` · the claim: {record['claim']}\n",
    ]
    if (path / "figure.png").is_file():
        parts.append(f"![{record['title']}]({relative}/figure.png)\n")
    for name, heading in (("table", "Ours"), ("paper", "The paper's")):
        if (path / f"{name}.md").is_file():
            parts.append(f"{heading}:\n\n{(path / f'{name}.md').read_text()}")
    if record.get("summary"):
        parts.append("".join(f"- {line}\n" for line in record["summary"].splitlines()))
    if record["verdicts"]:
        judged = "".join(f"- {v['claim']}: **{v['word']}** ({v['detail']})\n" for v in record["verdicts"])
        long = len(record["verdicts"]) > _SHOWN
        parts.append(f"<details><summary>all verdicts</summary>\n\n{judged}\n</details>\n" if long else judged)
    parts.append(_provenance(record["provenance"], path, relative))
    return "\n".join(parts)


def _provenance(facts: dict, path: Path, relative: str) -> str:
    links = [f"[{name}]({relative}/{name})" for name in ("notebook.ipynb", "record.json") if (path / name).is_file()]
    if not facts:
        return f"<sub>{' · '.join(links)}</sub>\n"
    seeds = ", ".join(map(str, facts["seeds"]))
    told = [
        "; ".join(facts["data"]),
        "teacher " + "; ".join(facts["teachers"]),
        f"{facts['runs']} runs, seeds {seeds}, configurations {facts['configurations']}",
        "code " + "; ".join(facts["code"]),
        "; ".join(facts["versions"]),
        "; ".join(facts["devices"]),
        facts["finished"],
    ]
    return f"<sub>{' · '.join(links + told)}</sub>\n"


def write_page() -> Path:
    """Write the page and return its path."""
    path = reports_dir() / "README.md"
    atomic_write(path, page(reports_dir()).encode())
    return path


_KINDS = {
    "table": (".md", ".csv", ".tex"),
    "figure": (".svg", ".png"),
    "report record": (".json",),
}


def newest_report(experiment: str) -> Path:
    """The folder under ``reports/<experiment>`` written last.

    Raises:
        DcmqError: no report of that experiment.
    """
    files = [file for file in (reports_dir() / experiment).rglob("*") if file.is_file()]
    if not files:
        there = ", ".join(sorted(p.name for p in reports_dir().iterdir() if p.is_dir())) or "none"
        raise DcmqError(f"no report of {experiment!r} in {reports_dir()} (there: {there}): run its notebook first")
    return max(files, key=lambda file: file.stat().st_mtime_ns).parent


def where(experiment: str) -> str:
    """A line for each kind of file in the newest report, and one for the run records."""
    folder = newest_report(experiment)
    lines = []
    for kind, suffixes in _KINDS.items():
        for file in sorted(f for f in folder.iterdir() if f.suffix in suffixes):
            lines.append(f"{kind:<18} {display_path(file)}")
    runs = len(list(runs_dir().glob("*/record.json")))
    lines.append(f"{'run records':<18} {display_path(runs_dir())}/*/record.json ({runs} of them)")
    return "\n".join(lines)

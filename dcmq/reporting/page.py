"""One page over all reports, ``reports/README.md``, made of their records and tables alone; and where a report lies."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir, runs_dir
from dcmq.core.registry import suggestion
from dcmq.core.sealed import read_sealed
from dcmq.core.storage import atomic_write
from dcmq.experiments.study import DAMAGED
from dcmq.reporting.alone import alone_in

_UNFOLDED = 9  # verdicts; where there are more, a click unfolds them
_KINDS = {  # of the files of a report, by suffix
    "table": (".md", ".csv", ".tex"),
    "figure": (".svg", ".png"),
    "report record": (".json",),
}

_INTRODUCTION = """# What was reproduced, and what was not

**DCMQ** ([arXiv 2405.14726](https://arxiv.org/abs/2405.14726)) lets a large frozen vision-language model (the *teacher*: CLIP and its kin) train a small
*student* whose image and text embeddings are cut into parts, each replaced by the number of the nearest of 16 *codewords*: 64 bits per item, in which text finds
images and images find text. Two ideas make it work, says the paper: **NPC** stretches the teacher's narrow similarities into a target that
tells pairs apart, and **PQG** adds Gumbel noise so that all codewords stay in use.

This page is made by `make reports` from the records beside it. No official code is known; what the paper does not state is inferred or ours, and said so where it is
defined. Behind the numbers stands `scenes`, version 2: small generated images with a small bundled teacher; reports under `coco-...` are of a small sample of real photos. It is none of the paper's benchmarks, so *orders* can be compared with the paper's, values cannot. Directions: *i2t* is an image query on a gallery of texts, *t2i* the reverse.
`mAP@500 (hits)` averages precision over the relevant items found in the first 500, `mAP@all` ranks the whole gallery; the paper does not say which it used.
Numbers are mean ± sample sd over seeds.

**Verdicts** are about items that nobody trained on, and where all of the gallery is trained on about the whole of it; they say which. Each direction and each metric is
judged for itself, on the differences between runs of one seed on the same data. Where each seed has data of its own the draws of the data are what varies, else seeds and queries together.
A part *holds* where its p, corrected for all parts of its table (Holm), is below .05; *a tie* is a 90 % interval within ±.010; *undecided* is neither, and the number of seeds
that would decide it stands beside. A claim *holds* where all its parts do, *does not hold* where any is reversed, and *holds in part* where some hold and none is reversed. Rows that are not above what a ranking reaches that never
reads the query did not learn, and no claim is judged on them. These *floors* are measured on the data of the first seed.
"""


def collected(folder: Path, order: Sequence[str]) -> list[tuple[Path, dict]]:
    """The report folders under ``folder`` with their records: notebooks in ``order``, and of each ``scenes`` first."""
    reports = [(path.parent, read_sealed(path, DAMAGED)) for path in folder.glob("*/*/record.json")]
    reports = [(path, record) for path, record in reports if record.get("notebook") in order]
    return sorted(
        reports,
        key=lambda report: (
            order.index(report[1]["notebook"]),
            not report[0].name.startswith("scenes"),
            report[0].name,
        ),
    )


def page(folder: Path, order: Sequence[str]) -> str:
    """The whole page as Markdown; links are relative to ``folder``, and notebooks are numbered by their place in ``order``."""
    numbers = {name: number for number, name in enumerate(order, 1)}
    reports = collected(folder, order)
    speed = "Speed is measured apart, against peers: [benchmarks](benchmarks/README.md).\n"
    introduction = _INTRODUCTION + (speed if (folder / "benchmarks" / "README.md").is_file() else "")
    lines = [introduction, "| | question | paper | report | verdicts |", "| --- | --- | --- | --- | --- |"]
    for path, record in reports:
        counts = Counter(v["word"] for v in record["verdicts"])
        words = ", ".join(f"{word} {n}" for word, n in counts.most_common()) or "nothing to judge"
        link = f"[{path.name}](#{path.parent.name}-{path.name})"
        lines.append(f"| {numbers[record['notebook']]} | {record['title']} | {record['item']} | {link} | {words} |")
    sections = (_section(path, record, folder, numbers[record["notebook"]]) for path, record in reports)
    return "\n".join(lines) + "\n" + "".join(sections)


_TABLES = {
    "table": "Ours",
    "table-protocol": "Ours, with train inside the gallery",
    "table-floors": "Rankings that look at no object and read no word",
    "paper": "The paper's; its directions are inferred from the order of its columns",
}


def _section(path: Path, record: dict, folder: Path, number: int) -> str:
    relative = path.relative_to(folder).as_posix()
    parts = [
        f'\n<a id="{path.parent.name}-{path.name}"></a>\n',
        f"## {number}. {record['title']} ({record['item']})\n",
        f"`{path.name}` · the claim: {record['claim']}\n",
    ]
    if (path / "figure.png").is_file():
        parts.append(f"![{record['title']}]({relative}/figure.png)\n")
    for name, heading in _TABLES.items():
        if (path / f"{name}.md").is_file():
            parts.append(f"{heading}:\n\n{(path / f'{name}.md').read_text()}")
    if record.get("summary"):
        parts.append("".join(f"- {line}\n" for line in record["summary"].splitlines()))
    if record["verdicts"]:
        verdicts = "".join(f"- {v['claim']}: **{v['word']}** ({v['detail']})\n" for v in record["verdicts"])
        folded = len(record["verdicts"]) > _UNFOLDED
        parts.append(f"<details><summary>all verdicts</summary>\n\n{verdicts}\n</details>\n" if folded else verdicts)
    parts.append(_provenance(record["provenance"], path, relative))
    return "\n".join(parts)


def _provenance(facts: dict, path: Path, relative: str) -> str:
    links = [f"[{name}]({relative}/{name})" for name in ("notebook.ipynb", "record.json") if (path / name).is_file()]
    if not facts:
        return f"<sub>{' · '.join(links)}</sub>\n"
    seeds = ", ".join(map(str, facts["seeds"]))
    origins = [
        "; ".join(facts["data"]),
        "teacher " + "; ".join(facts["teachers"]),
        f"{facts['runs']} runs, seeds {seeds}, configurations {facts['configurations']}",
        "code " + "; ".join(facts["code"]),
        "; ".join(facts["versions"]),
        "; ".join(facts["devices"]),
        facts["finished"],
    ]
    return f"<sub>{' · '.join(links + origins)}</sub>\n"


def write_page(order: Sequence[str]) -> Path:
    """Write the page over all reports, notebooks in ``order``, and return its path.

    Raises:
        DcmqError: the file cannot be written.
    """
    path = reports_dir() / "README.md"
    with alone_in(path.parent, path.name):
        atomic_write(path, page(reports_dir(), order).encode())
    return path


def newest_report(notebook: str) -> Path:
    """The folder under ``reports/<notebook>`` that was written last.

    Raises:
        DcmqError: that notebook has no report.
    """
    files = list((reports_dir() / notebook).glob("*/record.json"))
    if not files:
        names = sorted(path.name for path in reports_dir().iterdir() if path.is_dir())
        raise DcmqError(
            f"no report of {notebook!r} in {display_path(reports_dir())}{suggestion(notebook, names)} "
            f"(known: {', '.join(names) or 'none'}): run its notebook first"
        )
    return max(files, key=lambda file: file.stat().st_mtime_ns).parent


def where(notebook: str) -> str:
    """A line for each table, figure and record in the newest report of ``notebook``, and one for the run records.

    Raises:
        DcmqError: that notebook has no report.
    """
    folder = newest_report(notebook)
    lines = []
    for kind, suffixes in _KINDS.items():
        for file in sorted(f for f in folder.iterdir() if f.suffix in suffixes):
            lines.append(f"{kind:<18} {display_path(file)}")
    runs = len(list(runs_dir().glob("*/record.json")))
    lines.append(f"{'run records':<18} {display_path(runs_dir())}/*/record.json ({runs} of them)")
    return "\n".join(lines)

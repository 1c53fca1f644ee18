"""``python -m dcmq.where EXPERIMENT``: where the newest report of an experiment and the run records lie."""

import sys
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.paths import reports_dir, runs_dir, shown

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
            lines.append(f"{kind:<18} {shown(file)}")
    runs = len(list(runs_dir().glob("*/record.json")))
    lines.append(f"{'run records':<18} {shown(runs_dir())}/*/record.json ({runs} of them)")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print :func:`where`; 2 for a wrong call, 1 where there is no report."""
    if len(arguments) != 1:
        print("usage: python -m dcmq.where EXPERIMENT", file=sys.stderr)
        return 2
    try:
        print(where(arguments[0]))
    except DcmqError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

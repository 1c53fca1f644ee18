"""What the commands print alike: tables, pairs of names and values, and the choice between known names."""

import shlex
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import typer

from dcmq.core.registry import suggestion

_UNSEEN = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, broken ones, ends of lines and of paragraphs
_TURNING = frozenset(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)  # change the order of what is beside them


def visible(text: object) -> str:
    """``text`` on one line, with what would command a terminal shown as an escape, such as ``\\x1b``."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in _UNSEEN or c in _TURNING else c for c in str(text))


def quoted(path: Path | str) -> str:
    """``path`` as a shell wants it: in quotes where it holds a blank or the like."""
    return shlex.quote(str(path))


def print_what_there_is() -> None:
    """Have letters that stdout's or stderr's encoding lacks printed as escapes, from now on."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has not, and knows all letters
            stream.reconfigure(errors="backslashreplace")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> None:
    """Print a table: folded to the terminal's width, and one line per row where the output is a file or a pipe.

    Args:
        left: how many columns are text; those after them are numbers, aligned to the right.
    """
    from rich.console import Console  # slow
    from rich.table import Table

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(visible, row))
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_pairs(pairs: Mapping[str, object], width: int = 12) -> None:
    """Print names and values, a line each; the names take ``width`` characters or as many as the longest."""
    width = max([width, *map(len, pairs)])
    for name, value in pairs.items():
        print(f"{name:<{width}} {visible(value)}".rstrip())


def require_known(value: str, known: Iterable[str], option: str) -> str:
    """``value``, if it is one of ``known``.

    Raises:
        typer.BadParameter: names the closest that is known, and all.
    """
    known = tuple(known)
    if value in known:
        return value
    raise typer.BadParameter(
        f"{value!r} is not known{suggestion(value, known)} (known: {', '.join(known)})", param_hint=f"'{option}'"
    )

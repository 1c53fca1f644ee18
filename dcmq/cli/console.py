"""What the commands print alike: tables, pairs of names and values, and the choice between known names."""

from collections.abc import Iterable, Mapping, Sequence

import typer

from dcmq.core.registry import suggestion


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
        table.add_row(*map(str, row))
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_pairs(pairs: Mapping[str, object], width: int = 12) -> None:
    """Print names and values, a line each; the names take ``width`` characters or as many as the longest."""
    width = max([width, *map(len, pairs)])
    for name, value in pairs.items():
        print(f"{name:<{width}} {value}".rstrip())


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

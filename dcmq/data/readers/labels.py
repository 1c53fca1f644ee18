"""Names in a cell of a user's table: cut at a separator, or the list that another program wrote as text."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dcmq.core.errors import DcmqError
from dcmq.data.readers.layout import nfc
from dcmq.data.readers.tables import Cell
from dcmq.data.words import folded

SEPARATORS = ";|,"  # where none is named: the first of them that stands in any cell
WHOLE = "none"  # the separator of cells that are a name each
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_NULLS = {"None", "null", "nan", "NaN", "NA", "<NA>"}
_QUOTED = r"""[uU]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_ITEM = re.compile(rf"""\s*(?:({_QUOTED})\s*(?:,|$|(?=["']))|([^\s,"'\[\](){{}}][^,\[\]{{}}]*)(?:,|$))""", re.DOTALL)


def listed(cell: Cell, bare: bool = False) -> list[str] | None:
    """The names in a cell that is a list, also one that Python, numpy or JSON wrote as text, such as ``['red', 'round']``; None
    of any other cell.

    Args:
        bare: take ``[red, round]`` as a list too, as it may be of labels, but not of captions.

    Raises:
        ValueError: it begins as a list and is none.
    """
    if isinstance(cell, tuple):
        return _names(cell)
    text = cell.strip()
    if not re.match(
        r"[\[({]\s*[uU]?[\"']" if not bare else r"[\[({]\s*[uU]?[\"']|\[.*\]$|[({]\s*[)}]$", text, re.DOTALL
    ):
        return None
    content, items, position = text[1:-1].rstrip(), [], 0
    if len(text) < 2 or text[-1] != _BRACKETS[text[0]]:
        raise ValueError("a list that does not end")
    while position < len(content):
        item = _ITEM.match(content, position)
        if item is None:
            raise ValueError("no list of names")
        if item[1]:
            items.append(_unquoted(item[1]))
        elif item[2].strip() not in _NULLS:
            items.append(item[2])
        position = item.end()
    return _names(items)


def _unquoted(text: str) -> str:
    """The text that ``text``, with its quotation marks, stands for in JSON or else in Python. Raises ValueError."""
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, MemoryError):
            raise ValueError("no list of names") from None
    return str(value).encode("utf-8", "backslashreplace").decode()  # half a character is none


def _names(parts: Iterable[str]) -> list[str]:
    """``parts`` without blanks around and empty ones; a whole number that a spreadsheet wrote as 12.0 is 12."""
    names = (re.sub(r"^(\d+)\.0$", r"\1", " ".join(nfc(part).split())) for part in parts)
    return [name for name in names if name]


def cut(cell: str, separator: str) -> list[str]:
    """The names in a cell of text. ``separator`` is a character, several that all cut, or :data:`WHOLE`."""
    return _names([cell] if separator == WHOLE else re.split(f"[{re.escape(separator)}]", cell))


def separators_in(cells: Iterable[str]) -> dict[str, int]:
    """The number of ``cells`` in which each of :data:`SEPARATORS` stands, of those that stand in any."""
    cells = list(cells)
    return {s: n for s in SEPARATORS if (n := sum(s in cell for cell in cells))}


def check_separator(separator: str) -> None:
    """Raise DcmqError unless ``separator`` is empty, :data:`WHOLE`, or characters that can cut names."""
    if separator != WHOLE and any(c.isalnum() for c in separator):
        raise DcmqError(
            f"folder: --separator {separator!r} would cut names in the middle: name the character between them, such as "
            f"';', or several, or {WHOLE!r} where a cell is one name"
        )


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """The sorted groups of different ``names`` that differ by case, width, invisible characters or ``_`` alone."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(_likeness(name), set()).add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def one_spelling(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """``rows`` of names, with the most frequent spelling of each that :func:`look_alikes` groups; ties alphabetically."""
    often = Counter(name for row in rows for name in row)
    usual: dict[str, str] = {}
    for name in sorted(often, key=lambda name: (-often[name], name)):
        usual.setdefault(_likeness(name), name)
    return [[usual[_likeness(name)] for name in row] for row in rows]


def _likeness(name: str) -> str:
    return " ".join(folded(name).replace("_", " ").split())

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

SEPARATORS = ";|,；、，"  # where none is named: the first of them that stands in any cell
WHOLE = "none"  # the separator of cells that are a name each
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_NULLS = {"None", "null", "nan", "NaN", "NA", "<NA>"}
_QUOTED = r"""[uUbBrR]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_ONE_QUOTED = re.compile(_QUOTED, re.DOTALL)
_ALL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*[,;|；、，]\s*{_QUOTED})+", re.DOTALL)
_BARE_NUMBERS = re.compile(r"[-+]?\d+(?:\.\d*)?(?:\s+[-+]?\d+(?:\.\d*)?)+")  # numpy's
# What programs write around a list, and around each of its items: array([...], dtype=object), np.str_('red').
_AROUND = re.compile(
    r"(?:np\.|numpy\.)?(?:array|set|frozenset|list|tuple)\((.*?)(?:,\s*dtype=[^()\[\]]*)?\)", re.DOTALL
)
_WRAPPED = re.compile(rf"({_QUOTED})|(?:(?:np|numpy)\.\w+|Decimal)\(\s*({_QUOTED}|[^()'\"]*)\)", re.DOTALL)
_CODE = re.compile(r"""[a-zA-Z]{,2}("[^"]*"|'[^']*')""")  # such as f'x', which is no text before it is executed
# What Python shows of an object that has no spelling of its own: <Color.RED: 1>, <Access.R|W: 3>, <label.Red object at 0x7f>.
_OBJECT = re.compile(r"<[\w.|]+: [^<>]*>|<[^<>]* at 0x[0-9a-fA-F]+>|<(?:class|enum|module|function) [^<>]*>")
_ITEM = re.compile(rf"""\s*(?:({_QUOTED})\s*(?:,|$|(?=["']))|([^\s,"'\[\](){{}}][^,\[\]{{}}]*)(?:,|$))""", re.DOTALL)


def listed(cell: Cell, bare: bool = False) -> list[str] | None:
    """The names in a cell that is a list, also one that Python, numpy or JSON wrote as text, such as ``['red', 'round']``; None
    of any other cell.

    Args:
        bare: take also what may be a list of labels, but not of captions: ``[red, round]``, ``[0 2]``, ``{red,round}``,
            ``'red', 'round'``, and lists in ``array()`` or ``set()``, or in quotation marks once more.

    Raises:
        ValueError: it begins as a list and is none; or, with ``bare``, objects of Python stand there in the place of names.
    """
    if bare and any(map(_OBJECT.search, cell if isinstance(cell, tuple) else (cell,))):
        raise ValueError("what Python shows of an object")
    if isinstance(cell, tuple):
        return _names(cell)
    text = cell.strip()
    if bare:
        while around := _AROUND.fullmatch(text):
            text = around[1].strip() or "[]"
        if _ALL_QUOTED.fullmatch(text):
            return _names(map(_unquoted, _ONE_QUOTED.findall(text)))
        if _ONE_QUOTED.fullmatch(text):
            inner = _unquoted(text)
            names = listed(inner, bare=True)  # JSON that was written as JSON once more
            return _names([inner]) if names is None else names
        text = _WRAPPED.sub(lambda found: found[1] or found[2], text)
    start = r"[\[({]\s*[uUbBrR]?[\"']"
    if not re.match(rf"{start}|\[.*\]$|\{{.*\}}$|\(\s*\)$" if bare else start, text, re.DOTALL):
        return None
    content, items, position = text[1:-1].rstrip(), [], 0
    if len(text) < 2 or text[-1] != _BRACKETS[text[0]]:
        raise ValueError("a list that does not end")
    if bare and _BARE_NUMBERS.fullmatch(content.strip()):
        return _names(re.sub(r"\.0*$", "", number) for number in content.split())
    if bare and not re.search(r"[,\"'\[\](){}]", content) and re.search("[;|；、，]", content):  # [red;blue]
        return _names(re.split("[;|；、，]", content))
    if re.search(r"(?:^|[\s,])\.\.\.(?:[\s,]|$)", _ONE_QUOTED.sub("", content)):
        raise ValueError("a list that was cut short with ...")
    while position < len(content):
        item = _ITEM.match(content, position)
        if item is None:
            raise ValueError("no list of names")
        if item[1]:
            items.append(_unquoted(item[1]))
        elif text[0] == "{" and ":" in item[2]:
            raise ValueError("a mapping, no list of names,")
        elif _CODE.fullmatch(item[2].strip()):
            raise ValueError("no list of names")
        elif item[2].strip() not in _NULLS:
            items.append(re.sub(r"^(\s*\d+)\.(\s*)$", r"\1\2", item[2]))  # numpy writes 1. for 1.0
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
    value = value.decode() if isinstance(value, bytes) else str(value)
    return value.encode("utf-8", "backslashreplace").decode()  # half a character is none


def _names(parts: Iterable[str]) -> list[str]:
    """``parts`` without blanks around and empty ones; a whole number that a spreadsheet wrote as 12.0 is 12."""
    names = (re.sub(r"^(\d+)\.0$", r"\1", " ".join(nfc(part).split())) for part in parts)
    return [name for name in names if name]


def cut(cell: str, separator: str) -> list[str]:
    """The names in a cell of text. ``separator`` is a character, several that all cut, or :data:`WHOLE`."""
    return _names([cell] if separator == WHOLE else re.split(f"[{re.escape(separator)}]", cell))


def is_half(name: str) -> bool:
    """True of a ``name`` that is a piece of a list: with brackets that do not pair, or in brackets or quotation marks."""
    paired = all(name.count(a) == name.count(b) for a, b in ("[]", "{}"))
    return not paired or bool(re.fullmatch(r"""\[.*\]|\{.*\}|".*"|'.*'""", name))


def are_marks(rows: Sequence[Sequence[str]]) -> bool:
    """True of ``rows`` that all have as many names as the first, and only 0 and 1, or True and False."""
    names, lengths = {name for row in rows for name in row}, {len(row) for row in rows}
    return len(lengths) == 1 and (names <= {"0", "1"} or names <= {"True", "False"})


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

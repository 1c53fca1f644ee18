"""A notebook's parameters: their defaults, and a check, as papermill itself only warns of an unknown name and exits 0."""

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion

Parameters = TypeVar("Parameters", bound=BaseModel)
Value = TypeVar("Value", int, float, str)
LONGEST_NAME = 255  # bytes of a file's name on common file systems
_BETWEEN = re.compile(r"[\s,;:=+/\\]+")  # words of parameters
_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def defaults(path: Path | str) -> dict:
    """The parameters of a notebook file with their default values. Raises DcmqError where it has none, or is no notebook."""
    import nbformat  # slow, and only those who read notebook files need it

    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception as error:  # of JSON, of the schema, of the file system
        raise DcmqError(f"{path} is no notebook that can be read: {' '.join(str(error).split())[:100]}") from None
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if not sources:
        raise DcmqError(f"{path} has no cell that is tagged parameters: tag the one that sets them")
    values: dict = {}
    exec(sources[0], values)
    return {name: value for name, value in values.items() if not name.startswith("__")}


def validated(model: type[Parameters], namespace: dict) -> Parameters:
    """A ``model`` made of the parameters in ``namespace``, a notebook's ``globals()``.

    Parameters are what the parameters cell sets, and the cell that papermill injects after it; in a cell of plain values
    of the reader's own, a name that is nearly a parameter's is taken for one. So the cell that calls this can be run again, whatever the cells below it have set since. Where there is no record
    of cells, as in a plain script, every plain value is taken for a parameter. ``model`` should forbid extra names, since that
    is how a misspelt parameter is noticed.

    Raises:
        DcmqError: names that are no parameters (each with the closest that is), a missing one, a wrong type or value, or whatever
            ``model`` says. A ``model`` that ``namespace`` holds from before is taken out of it, so that no later cell goes on
            with the former parameters.
    """
    names = _assigned(namespace.get("In") or (), model.model_fields)
    values = {
        name: value for name, value in namespace.items() if _is_plain(name, value) and (names is None or name in names)
    }
    try:
        return model(**values)
    except ValidationError as error:
        problems = error.errors()
        unknown = [str(p["loc"][0]) for p in problems if p["type"] == "extra_forbidden" and len(p["loc"]) == 1]
        message = _unknown(unknown, list(model.model_fields)) if unknown else _wrong(problems[0])
    except DcmqError as error:  # a validator's own line
        message = str(error)
    for name in [name for name, value in namespace.items() if isinstance(value, model)]:
        del namespace[name]
    raise DcmqError(message)  # outside the handler: pydantic's lines would only hide this one


def _assigned(cells: Sequence[str], fields: Collection[str]) -> set[str] | None:
    """The names that are parameters: ``fields``, and what else the latest parameters cell and the cells of plain values after
    it set. None where no cell of ``cells``, the sources in the order in which they were run, is a parameters cell."""
    assignments = [_assignments(cell) for cell in cells]
    setting = [i for i, names in enumerate(assignments) if any(name in fields for name in names)]
    if not setting:
        return None
    first = last = setting[-1]
    while first - 1 in setting and _is_values(assignments[first - 1]):  # as the cell is that papermill adds values to
        first -= 1
    names = {name for cell in assignments[first : last + 1] for name in cell} | set(fields)
    for cell, values in takewhile(
        lambda pair: _is_values(pair[1]), zip(cells[last + 1 :], assignments[last + 1 :], strict=True)
    ):
        injected = cell.lstrip().startswith("# Parameters")  # else a cell of the reader's own, with a slip perhaps
        names |= {name for name in values if injected or suggestion(name.lower(), fields)}
    return names


def _assignments(cell: str) -> dict[str, ast.expr | None]:
    """The values that ``cell`` assigns, by name, if it does nothing else; none if it does."""
    try:
        statements = ast.parse(cell).body
    except SyntaxError:  # a magic
        return {}
    values = {}
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or not all(isinstance(t, ast.Name) for t in targets):
            return {}
        values |= {target.id: statement.value for target in targets}
    return values


def _is_values(assignments: dict[str, ast.expr | None]) -> bool:
    try:
        return bool(assignments) and all(ast.literal_eval(value) is not ... for value in assignments.values())
    except (ValueError, TypeError):
        return False


def _is_plain(name: str, value: object) -> bool:
    return not (name.startswith("_") or name in _IPYTHON or isinstance(value, ModuleType) or callable(value))


def _unknown(names: list[str], known_names: list[str]) -> str:
    hints = [suggestion(name.lower(), known_names).removeprefix("; ") for name in names]
    words = [f"{name!r}" + (f" ({hint})" if hint else "") for name, hint in zip(names, hints, strict=True)]
    verb = "is no parameter" if len(names) == 1 else "are no parameters"
    return f"{', '.join(words)} {verb} of this notebook; it has {', '.join(known_names)}"


def _wrong(problem: dict) -> str:
    name = ".".join(map(str, problem["loc"])) or "parameters"
    if problem["type"] == "missing":
        return f"parameter {name!r} is not set; set it with -p {name} VALUE or in the parameters cell"
    reason = " ".join(problem["msg"].removeprefix("Value error, ").split())
    reason = reason[:1].lower() + reason[1:]
    return f"parameter {name!r}: {reason}, not {shown(problem['input'])} ({type(problem['input']).__name__})"


def shown(value: object) -> str:
    """``repr(value)`` for an error's line, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def checked_text(name: str, text: str) -> str:
    """``text``, the value of the parameter ``name``, in one line.

    Raises:
        DcmqError: a character that no file's name and no console can hold, or a word longer than a file's name may be.
    """
    text = text.replace("\n", " ").replace("\t", " ")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        raise DcmqError(f"{name}: {shown(text)} holds a character that cannot be written; leave it out")
    longest = max((len(word.encode()) for word in _BETWEEN.split(text)), default=0)
    if longest > LONGEST_NAME:
        raise DcmqError(f"{name}: a word of {longest:,} letters is longer than any name may be ({LONGEST_NAME})")
    return text


def whole_number(text: str) -> int:
    """The number that ``text`` writes in the digits 0 to 9, perhaps behind a minus. Raises ValueError of all else, such as 1_0, +1
    and digits of other scripts, which Python takes too: what is written is to be what everybody reads."""
    if not re.fullmatch("-?[0-9]+", text):
        raise ValueError(f"{shown(text)} is no whole number in the digits 0 to 9")
    return int(text)


def decimal_number(text: str) -> float:
    """The number that ``text`` writes as 10, 0.5, .5 or 1e-4; as :func:`whole_number` else. It may be too large to be finite."""
    if not re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text):
        raise ValueError(f"{shown(text)} is no number in the digits 0 to 9")
    return float(text)


_READERS = {int: whole_number, float: decimal_number}


def comma_list(text: str | int | float, cast: Callable[[str], Value]) -> list[Value]:
    """``"0,1,2"`` to ``[0, 1, 2]``; a bare number is a list of one; empty text is an empty list.

    papermill turns ``-p seeds 0,1`` into text, but ``-p seeds 0`` into a number: both are welcome.

    Raises:
        DcmqError: an entry that is empty, not of the kind wanted, not finite, or that stands twice.
    """
    if not str(text).strip():
        return []
    words = [word.strip() for word in str(text).split(",")]
    try:
        if not all(words):
            raise ValueError("an entry is empty")
        values = [_READERS.get(cast, cast)(word) for word in words]
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise ValueError("an entry is not finite")
    except ValueError:
        raise DcmqError(
            f"{shown(text)} is no comma-separated list of {cast.__name__} values; write it like '0,1,2'"
        ) from None
    if len(set(values)) < len(values):
        raise DcmqError(f"{shown(text)} names a value twice; name each once")
    return values

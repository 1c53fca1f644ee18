"""A notebook's parameters: their defaults, and a check, as papermill itself only warns of an unknown name and exits 0."""

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion

Parameters = TypeVar("Parameters", bound=BaseModel)
Value = TypeVar("Value", int, float, str)
_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def defaults(path: Path | str) -> dict:
    """The parameters of a notebook file with their default values."""
    import nbformat  # slow, and only those who read notebook files need it

    cells = nbformat.read(path, as_version=4).cells
    values: dict = {}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])), values)
    return {name: value for name, value in values.items() if not name.startswith("__")}


def validated(model: type[Parameters], namespace: dict) -> Parameters:
    """A ``model`` made of the plain values in ``namespace``, a notebook's ``globals()``.

    Call it in the cell after the parameters (and after the one that papermill injects), before any other variable is
    set. ``model`` should forbid extra names, since that is how a misspelt parameter is noticed. Names that start with an
    underscore, IPython's own, modules and callables are no parameters.

    Raises:
        DcmqError: names that are no parameters (each with the closest that is), a missing one, a wrong type or value.
    """
    values = {name: value for name, value in namespace.items() if _is_parameter(name, value)}
    try:
        return model(**values)
    except ValidationError as error:
        problems = error.errors()
        unknown = [str(p["loc"][0]) for p in problems if p["type"] == "extra_forbidden" and len(p["loc"]) == 1]
        message = _unknown(unknown, list(model.model_fields)) if unknown else _wrong(problems[0])
    raise DcmqError(message)  # outside the handler: pydantic's lines would only hide this one


def _is_parameter(name: str, value: object) -> bool:
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
    value = repr(problem["input"])
    value = value if len(value) <= 60 else value[:57] + "..."
    return f"parameter {name!r}: {reason}, not {value} ({type(problem['input']).__name__})"


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
        values = [cast(word) for word in words]
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise ValueError("an entry is not finite")
    except ValueError:
        raise DcmqError(
            f"{text!r} is no comma-separated list of {cast.__name__} values; write it like '0,1,2'"
        ) from None
    if len(set(values)) < len(values):
        raise DcmqError(f"{text!r} names a value twice; name each once")
    return values

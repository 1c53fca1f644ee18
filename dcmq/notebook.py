"""Checks a notebook's parameters: papermill itself only warns of an unknown name, and exits 0."""

import difflib
from types import ModuleType

from pydantic import BaseModel, ValidationError

from dcmq.errors import DcmqError

_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def validated(model: type[BaseModel], namespace: dict) -> BaseModel:
    """A ``model`` made of the plain values in ``namespace``, a notebook's ``globals()``.

    Call it in the cell after the parameters, before any other variable is set.

    Raises:
        DcmqError: a name that is no parameter (with the closest that is), a missing one, a wrong type or value.
    """
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _IPYTHON and not isinstance(value, ModuleType) and not callable(value)
    }
    try:
        return model(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0]) if problem["loc"] else "parameters"
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, model.model_fields, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            known = ", ".join(model.model_fields)
            raise DcmqError(f"parameter {name!r} is not known{hint} (known: {known})") from None
        given_text = "" if problem["type"] == "missing" else f", not {problem['input']!r}"
        raise DcmqError(f"parameter {name!r}: {problem['msg']}{given_text}") from None


def comma_list(text: str | int | float, cast) -> list:
    """``"0,1,2"`` to ``[0, 1, 2]``; a bare number is a list of one; empty text is an empty list.

    Raises:
        DcmqError: an entry that is not of the kind wanted, or one that stands twice.
    """
    words = [w.strip() for w in str(text).split(",") if w.strip()]
    try:
        values = [cast(w) for w in words]
    except ValueError:
        raise DcmqError(f"{text!r} is no comma-separated list of {cast.__name__} values, such as '0,1,2'") from None
    if len(set(values)) < len(values):
        raise DcmqError(f"{text!r} names a value twice")
    return values

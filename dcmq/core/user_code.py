"""A user's own code by what it does: functions and classes of a notebook cell or of a file of his own, with all that they use."""

import ast
import dis
import functools
import inspect
import linecache
import sys
import types

import numpy as np
import torch

from dcmq.core import code
from dcmq.core.code import is_own
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.live import plain_function


def source_fingerprint(thing) -> str:
    """16 hexadecimal digits that identify own code: a function or class, all of its own that it uses, and the package's.

    Comments, docstrings and formatting do not count; the values of the numbers, texts and arrays that it reads do.

    Raises:
        DcmqError: its source cannot be had, or it uses something whose value cannot be told.
    """
    found: dict[str, str] = {}
    _collect(thing, getattr(thing, "__name__", "it"), found)
    return code.joined(f"{name} {value}" for name, value in found.items())


def _collect(thing, name: str, found: dict[str, str]) -> None:
    if isinstance(thing, functools.partial):
        _collect((thing.func, thing.args, thing.keywords), name, found)
    elif isinstance(thing, types.ModuleType):
        _note(found, name, thing.__name__)
    elif isinstance(thing, types.FunctionType | type) or callable(thing) and hasattr(thing, "__wrapped__"):
        _collect_code(inspect.unwrap(thing), name, found)
    elif isinstance(thing, np.ndarray | torch.Tensor):
        _note(found, name, digest(thing))
    elif isinstance(thing, dict):
        for key, value in thing.items():
            _collect(value, f"{name}[{key!r}]", found)
    elif isinstance(thing, list | tuple | set | frozenset):
        for place, value in enumerate(sorted(thing, key=repr) if isinstance(thing, set | frozenset) else thing):
            _collect(value, f"{name}[{place}]", found)
    elif thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
        _note(found, name, repr(thing))
    elif callable(thing) and not is_own(type(thing)) and getattr(thing, "__module__", None) not in (None, "__main__"):
        _note(found, name, f"{thing.__module__}.{getattr(thing, '__qualname__', name)}")  # a library's
    else:
        raise DcmqError(
            f"{name} is a {type(thing).__name__}, whose value cannot be told: a run that uses it could not be recognised again; "
            "make it inside the function"
        )


def _collect_code(thing, name: str, found: dict[str, str]) -> None:
    module = thing.__module__ or ""
    if is_own(thing):
        _note(found, module, code.fingerprint(module))
        return
    if not _is_users(thing):
        _note(found, name, f"{module}.{thing.__qualname__}")
        return
    label = f"{module}.{thing.__qualname__}"
    if label in found:
        return
    functions = [thing] if isinstance(thing, types.FunctionType) else _methods(thing)
    definition = _definition(thing.__name__, functions)
    definition.decorator_list = []  # they register it, under the name that the settings hold
    _note(found, label, code.digest_of(definition))
    if isinstance(thing, type):
        for base in thing.__bases__:
            _collect_code(base, base.__qualname__, found)
    for function in functions:
        for used, value in _used(function).items():
            if value is not thing and not used.startswith("__"):
                _collect(value, used, found)
        defaults = (function.__defaults__ or ()) + tuple((function.__kwdefaults__ or {}).values())
        for place, value in enumerate(defaults):
            _collect(value, f"{label} default {place}", found)


def _used(function: types.FunctionType) -> dict:
    """The values outside a function that it and the functions in it read, by name."""
    names, waiting = set(), [function.__code__]
    while waiting:
        part = waiting.pop()
        names |= {step.argval for step in dis.get_instructions(part) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        waiting += [constant for constant in part.co_consts if isinstance(constant, types.CodeType)]
    enclosed = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return {name: function.__globals__[name] for name in names if name in function.__globals__} | {
        name: cell.cell_contents for name, cell in enclosed.items()
    }


def _definition(name: str, functions: list[types.FunctionType]) -> ast.stmt:
    """The statement that defines a function, or the class that has ``functions`` as methods, from its cell or file.

    inspect.getsource does not find classes that a notebook defines.

    Raises:
        DcmqError: there is no such cell or file.
    """
    for function in functions[:1]:
        lines = linecache.getlines(function.__code__.co_filename, function.__globals__)
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if first <= function.__code__.co_firstlineno <= node.end_lineno:
                    return node
    raise DcmqError(
        f"the source of {name} cannot be had, so its runs could not be recognised again: define it in a notebook cell or in "
        "a file, a class with a method of its own"
    )


def _methods(kind: type) -> list[types.FunctionType]:
    return [f for f in map(plain_function, vars(kind).values()) if f is not None and f.__module__ == kind.__module__]


def _is_users(thing) -> bool:
    """True for a user's own function or class: from a cell, or from a file outside the installed packages."""
    module = sys.modules.get(thing.__module__)
    file = getattr(module, "__file__", None)
    installed = ("site-packages", "dist-packages", "/lib/python", "\\lib\\python")
    return thing.__module__ == "__main__" or (bool(file) and not any(part in file.lower() for part in installed))


def _note(found: dict[str, str], name: str, value: str) -> None:
    found[name] = value

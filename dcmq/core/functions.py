"""Functions as they are in this process: what stands behind decorators, what a piece of code does, and whose it is."""

import functools
import types
from collections.abc import Iterator

from dcmq.core.code import ROOT

MADE = "<"  # how file names of code begin that dataclass, pydantic or exec made
_INSTALLED = ("site-packages", "dist-packages", "/lib/python", "\\lib\\python", "\\lib\\site")


def opened(value):
    """The callable behind a method's or property's descriptor; anything else as it is."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if isinstance(value, property):
        return value.fget
    return value.func if isinstance(value, functools.cached_property) else value


def layers(value) -> Iterator:
    """The layers of a descriptor or decorated function, from the outermost to the innermost."""
    value = opened(value)
    while value is not None:
        yield value
        value = None if isinstance(value, type) else getattr(value, "__wrapped__", None)


def plain_function(value) -> types.FunctionType | None:
    """The innermost function behind a method, property, cache or decorator; None for anything else."""
    innermost = list(layers(value))[-1:]
    return innermost[0] if innermost and isinstance(innermost[0], types.FunctionType) else None


def behaviour(part: types.CodeType) -> tuple:
    """The parts of a piece of code that decide what it does, to compare: not its place in the file, nor its docstring."""
    constants = list(part.co_consts)
    if constants and isinstance(constants[0], str) and not part.co_name.startswith(MADE):
        constants[0] = None  # the docstring
    return (
        part.co_code,
        part.co_names,
        part.co_varnames,
        part.co_freevars,
        part.co_argcount,
        part.co_kwonlyargcount,
        part.co_flags,
        tuple(behaviour(c) if isinstance(c, types.CodeType) else (type(c).__name__, repr(c)) for c in constants),
    )


def module_of(thing) -> str:
    """The module where a function or class was written: functools.wraps copies ``__module__``, the globals stay."""
    return getattr(thing, "__globals__", {}).get("__name__") or getattr(thing, "__module__", None) or ""


def is_installed(file: str) -> bool:
    """True for a file of an installed package or of Python itself."""
    return any(part in file.lower() for part in _INSTALLED)


def is_users(function: types.FunctionType) -> bool:
    """True for a function that a user wrote: neither the package's, nor a library's, nor one that a decorator made."""
    file = function.__code__.co_filename
    if file.startswith(str(ROOT)):
        return False
    return module_of(function) == "__main__" or not (file.startswith(MADE) or is_installed(file))

"""Code as it runs in this process: whether the package's own is still what its files say, and what own code does.

A fingerprint is of files (:mod:`dcmq.core.code`). Where a cell has put a function of its own in the place of the package's, or a
file was edited after it was imported, what runs is something else, and a run recorded under that fingerprint would be a lie.
"""

import ast
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

_MADE = "<"  # how file names of code begin that dataclass, pydantic or a cell made


def require_own(*modules: str) -> None:
    """Nothing, where all that runs of the import closure of ``modules`` is what the package's files say.

    Raises:
        DcmqError: names what was replaced at run time, or changed on disk since it was imported.
    """
    for name in code.closure(*modules):
        module = sys.modules.get(name)
        if module is None:  # what is not imported yet cannot have been replaced
            continue
        for replaced in _replaced(name, module):
            raise DcmqError(
                f"{replaced}: runs would be recorded as the package's and be another's. Give yours a name of its own "
                "(register_target, register_loss, register_method), and restart the kernel"
            )


def _replaced(name: str, module: types.ModuleType):
    """The differences between a module and its file, in words."""
    file, compiled = str(code.source_file(name)), _compiled(name)
    for statement in code.tree(name).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            own = compiled.get(statement.name)
            live = vars(module).get(statement.name)
            yield from _differences(f"{name}.{statement.name}", statement, live, own, name, file)
        elif isinstance(statement, ast.ImportFrom) and statement.module in sys.modules:
            origin = sys.modules[statement.module]
            for alias in statement.names:
                if vars(module).get(alias.asname or alias.name) is not getattr(origin, alias.name, None):
                    yield f"{name}.{alias.asname or alias.name} was replaced at run time"
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            constant, variable = _literal(statement.value), statement.targets[0].id
            if constant is not None and vars(module).get(variable) != constant:
                yield f"{name}.{variable} was replaced at run time"


def _differences(what: str, statement, live, own: types.CodeType | None, module: str, file: str):
    if isinstance(statement, ast.FunctionDef):
        function = _function(live)
        if function is None or _code(function.__code__) != _code(own):
            yield _said(what, function, file)
        return
    if not isinstance(live, type) or live.__module__ != module:
        yield f"{what} was replaced at run time"
        return
    bodies = {c.co_name: c for c in own.co_consts if isinstance(c, types.CodeType)}
    for name, value in vars(live).items():
        function = _function(value)
        if function is None:
            continue
        if name in bodies:
            if _code(function.__code__) != _code(bodies[name]):
                yield _said(f"{what}.{name}", function, file)
        elif function.__code__.co_filename != file and _is_foreign(function):
            yield f"{what}.{name} was added at run time"
    for name in bodies.keys() - vars(live).keys():
        if not name.startswith(_MADE):
            yield f"{what}.{name} was removed at run time, or {file} changed since it was imported"


def _is_foreign(function: types.FunctionType) -> bool:
    """True for a function that a user wrote: none of the standard library's or pydantic's decorators, nor of a base class."""
    return function.__module__ == "__main__" or function.__code__.co_filename.startswith("<ipython")


def _said(what: str, function: types.FunctionType | None, file: str) -> str:
    if function is not None and function.__code__.co_filename == file:
        return f"{what} is not what {file} says since that file was edited"
    return f"{what} was replaced at run time"


def _function(value) -> types.FunctionType | None:
    """The plain function behind a method, property, cache or decorator; None for anything else."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return value if isinstance(value, types.FunctionType) else None


@functools.cache
def _compiled(name: str) -> dict[str, types.CodeType]:
    """The code of the top-level functions and classes that a module's file holds."""
    file = code.source_file(name)
    whole = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    return {part.co_name: part for part in whole.co_consts if isinstance(part, types.CodeType)}


def _code(part: types.CodeType) -> tuple:
    """A piece of code without its place in the file and its docstring, to compare."""
    constants = list(part.co_consts)
    if constants and isinstance(constants[0], str) and not part.co_name.startswith(_MADE):
        constants[0] = None  # the docstring
    return (
        part.co_code,
        part.co_names,
        part.co_varnames,
        part.co_freevars,
        part.co_argcount,
        part.co_kwonlyargcount,
        part.co_flags,
        tuple(_code(c) if isinstance(c, types.CodeType) else (type(c).__name__, repr(c)) for c in constants),
    )


def _literal(value: ast.expr):
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


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
        closed = inspect.getclosurevars(function)
        for used, value in {**closed.globals, **closed.nonlocals}.items():
            if value is not thing and not used.startswith("__"):
                _collect(value, used, found)
        defaults = (function.__defaults__ or ()) + tuple((function.__kwdefaults__ or {}).values())
        for place, value in enumerate(defaults):
            _collect(value, f"{label} default {place}", found)


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
    return [f for f in map(_function, vars(kind).values()) if f is not None and f.__module__ == kind.__module__]


def _is_users(thing) -> bool:
    """True for a user's own function or class: from a cell, or from a file outside the installed packages."""
    module = sys.modules.get(thing.__module__)
    file = getattr(module, "__file__", None)
    installed = ("site-packages", "dist-packages", "/lib/python", "\\lib\\python")
    return thing.__module__ == "__main__" or (bool(file) and not any(part in file.lower() for part in installed))


def _note(found: dict[str, str], name: str, value: str) -> None:
    found[name] = value

"""The package's code as it runs in this process, against what its files say.

A fingerprint is of files (:mod:`dcmq.core.code`). Where a cell has put a function of its own in the place of the package's, or a
file was edited after it was imported, what runs is something else, and a run recorded under that fingerprint would be a lie.
"""

import ast
import functools
import inspect
import sys
import types

from dcmq.core import code
from dcmq.core.errors import DcmqError

_MADE = "<"  # how file names of code begin that dataclass, pydantic or a cell made


def require_own(*modules: str) -> None:
    """Refuse to go on where what runs of the import closure of ``modules`` is not what the package's files say.

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
        function = plain_function(live)
        if function is None or _code(function.__code__) != _code(own):
            yield _said(what, function, file)
        return
    if not isinstance(live, type) or live.__module__ != module:
        yield f"{what} was replaced at run time"
        return
    bodies = {c.co_name: c for c in own.co_consts if isinstance(c, types.CodeType)}
    for name, value in vars(live).items():
        function = plain_function(value)
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


def plain_function(value) -> types.FunctionType | None:
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

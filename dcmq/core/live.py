"""The package's code as it runs in this process, against what its files say.

A fingerprint is of files (:mod:`dcmq.core.code`). Where a cell has put a function of its own in the place of the package's, or a
file was edited after it was imported, what runs is something else, and a run recorded under that fingerprint would be a lie.
"""

import ast
import builtins
import sys
import types
from collections.abc import Iterator
from functools import cache

from dcmq.core import code
from dcmq.core.errors import DcmqError
from dcmq.core.functions import MADE, behaviour, is_users, layers, opened, plain_function

_OF_MODULES = frozenset(
    {"__name__", "__doc__", "__package__", "__loader__", "__spec__", "__build_class__", "__import__"}
)
_REPLACED = "was replaced at run time"


def require_own(*modules: str) -> None:
    """Refuse to go on where what runs of the import closure of ``modules`` is not what the package's files say.

    Raises:
        DcmqError: names what was replaced at run time, or changed on disk since it was imported.
    """
    for name in code.closure(*modules):
        module = sys.modules.get(name)
        if module is None:  # what is not imported yet cannot have been replaced
            continue
        for difference in _differences(name, module):
            raise DcmqError(
                f"{difference}: runs would be recorded as the package's and be another's. Give yours a name of its own "
                "(register_target, register_loss, register_method), and restart the kernel"
            )


def _differences(name: str, module: types.ModuleType) -> Iterator[str]:
    """The differences between a module and its file, in words."""
    compiled, values = _compiled(name), vars(module)
    for statement in code.tree(name).body:
        what = f"{name}.{getattr(statement, 'name', '')}"
        if isinstance(statement, ast.FunctionDef):
            yield from _of_function(what, statement, values.get(statement.name), compiled[statement.name], name)
        elif isinstance(statement, ast.ClassDef):
            yield from _of_class(what, statement, values.get(statement.name), compiled[statement.name], name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from _of_import(name, statement, values)
        else:
            yield from _of_constants(name, statement, values)
    for hidden in values.keys() & (vars(builtins).keys() - _OF_MODULES):
        if hidden not in compiled and values[hidden] is not vars(builtins)[hidden]:
            yield f"{name}.{hidden} was added at run time"


def _of_function(what: str, statement: ast.FunctionDef, live, own: types.CodeType, module: str) -> Iterator[str]:
    function = plain_function(live)
    if function is None or _is_wrapped_since(live, statement):
        yield f"{what} {_REPLACED}"
    elif behaviour(function.__code__) != behaviour(own):
        edited = function.__code__.co_filename == str(code.source_file(module))
        yield (
            f"{what} is not what its file says: it was edited after it was imported"
            if edited
            else f"{what} {_REPLACED}"
        )
    elif _has_other_defaults(statement.args, function):
        yield f"{what} has other defaults than its file says"


def _of_class(what: str, statement: ast.ClassDef, live, own: types.CodeType, module: str) -> Iterator[str]:
    if not isinstance(live, type) or live.__module__ != module:
        yield f"{what} {_REPLACED}"
        return
    bodies = {part.co_name: part for part in own.co_consts if isinstance(part, types.CodeType)}
    methods = {part.name: part for part in statement.body if isinstance(part, ast.FunctionDef)}
    for name, method in methods.items():
        if name not in vars(live):
            yield f"{what}.{name} was removed at run time, or its file was edited after it was imported"
        else:
            yield from _of_function(f"{what}.{name}", method, vars(live)[name], bodies[name], module)
    for name, value in vars(live).items():
        function = plain_function(value)
        if name not in methods and function is not None and is_users(function):
            yield f"{what}.{name} was added at run time"
    for part in statement.body:
        yield from _of_constants(what, part, vars(live))


def _of_import(name: str, statement: ast.Import | ast.ImportFrom, values) -> Iterator[str]:
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            bound, origin = alias.asname or alias.name, sys.modules.get(statement.module)
            same = origin is None or values.get(bound) is getattr(origin, alias.name, None)
        else:
            first = alias.name.partition(".")[0]
            bound, wanted = alias.asname or first, alias.name if alias.asname else first
            same = values.get(bound) is sys.modules.get(wanted)
        if not same:
            yield f"{name}.{bound} {_REPLACED}"


def _of_constants(what: str, statement: ast.stmt, values) -> Iterator[str]:
    """The constants that a statement of a module or class names, single or in a tuple, and that are others now."""
    if isinstance(statement, ast.Assign):
        pairs = [(target, statement.value) for target in statement.targets]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        pairs = [(statement.target, statement.value)]
    else:
        return
    for target, value in pairs:
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        for variable, part in zip(target.elts, value.elts, strict=True) if several else [(target, value)]:
            known, constant = _literal(part)
            there = isinstance(variable, ast.Name) and variable.id in values
            if known and there and not _is_same(values[variable.id], constant):
                yield f"{what}.{variable.id} {_REPLACED}"


def _is_wrapped_since(value, statement: ast.FunctionDef) -> bool:
    """True where a function has something around it that its file does not put there."""
    *around, _ = layers(value)
    if any(isinstance(layer, types.FunctionType) and is_users(layer) for layer in around):
        return True
    return (
        not statement.decorator_list
        and not isinstance(opened(value), types.FunctionType)
        or (not statement.decorator_list and bool(around))
    )


def _has_other_defaults(arguments: ast.arguments, function: types.FunctionType) -> bool:
    """True where a literal default of a function is another now, or their number is."""
    live, keywords = function.__defaults__ or (), function.__kwdefaults__ or {}
    named = {
        a.arg: node for a, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if node is not None
    }
    if len(live) != len(arguments.defaults) or keywords.keys() != named.keys():
        return True
    pairs = [*zip(arguments.defaults, live, strict=True), *((node, keywords[name]) for name, node in named.items())]
    return any(known and not _is_same(value, constant) for node, value in pairs for known, constant in [_literal(node)])


@cache
def _compiled(name: str) -> dict[str, types.CodeType]:
    """The code of the top-level functions and classes that a module's file holds."""
    file = code.source_file(name)
    whole = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    return {
        part.co_name: part for part in whole.co_consts if isinstance(part, types.CodeType) and part.co_name[0] != MADE
    }


def _literal(value: ast.expr) -> tuple[bool, object]:
    try:
        return True, ast.literal_eval(value)
    except (ValueError, TypeError):
        return False, None


def _is_same(one, other) -> bool:
    return type(one) is type(other) and one == other

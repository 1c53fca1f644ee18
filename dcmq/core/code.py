"""Fingerprints of the package's code: what it does, and not how it reads.

The code behind a result is the *import closure* of the module that makes it: the modules of this package that it imports, those
that they import, and so on. Of each module every top-level statement counts, as a syntax tree without comments, docstrings,
annotations, import lines, formatting and prose (the texts of errors and of descriptions). Neither the name of a module nor the
place of a statement counts, so a module can be renamed and a function moved between two modules of the closure.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT.name
# The version's module, and this one: neither decides a result. What this one decides is whether old records are found.
_NOT_COUNTED = frozenset({PACKAGE, f"{PACKAGE}.core.code"})
# Keyword arguments whose texts people read and no computation does.
_PROSE = frozenset({"description", "help", "note", "reference", "fidelity", "desc", "unit"})
# What differs between Python versions, or says nothing about what is computed.
_UNSEEN = frozenset({"ctx", "kind", "type_comment", "type_params", "annotation", "returns"})


def is_own(thing) -> bool:
    """True for a function or class of this package, False for a user's."""
    written = getattr(thing, "__globals__", {}).get("__name__") or getattr(thing, "__module__", None) or ""
    return written.partition(".")[0] == PACKAGE  # the globals first: functools.wraps copies __module__


def source_file(module: str) -> Path | None:
    """The file of a module of this package; None where there is no such module."""
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return None
    place = ROOT.joinpath(*parts[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file if file.is_file() else None


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module of this package, as it was when first asked for."""
    return ast.parse(source_file(module).read_bytes())


def imported(module: str) -> set[str]:
    """The modules of this package that ``module`` imports anywhere; of a package only if a name of its own is wanted."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if source_file(name) else node.module for name in inner}
    return {name for name in found if source_file(name)} - _NOT_COUNTED


@cache
def closure(*modules: str) -> tuple[str, ...]:
    """Sorted names of ``modules`` and of all modules of this package that they import, directly or not."""
    found, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imported(module)
    return tuple(sorted(found))


@cache
def fingerprint(*modules: str) -> str:
    """16 hexadecimal digits that identify the code in the import closure of ``modules``."""
    names = closure(*modules)
    statements = [digest_of(statement) for name in names for statement in tree(name).body]
    renamings = {renaming for name in names for renaming in imported_as(name)}
    return joined([*filter(None, statements), *renamings])


def imported_as(module: str) -> set[str]:
    """Imports of ``module`` under another name, such as ``torch.sin as f``: they decide what a name means.

    Of what is imported from this package the module is left out, as it may move.
    """
    renamings = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = getattr(node, "module", None) or ""
            origin = "" if origin.partition(".")[0] == PACKAGE else origin
            renamings |= {f"{origin}.{alias.name} as {alias.asname}" for alias in node.names if alias.asname}
    return renamings


def joined(digests: Iterable[str]) -> str:
    """16 hexadecimal digits that identify a collection of digests, whatever their order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:16]


def digest_of(statement: ast.AST, strict: bool = False) -> str:
    """A hash of what a statement does; empty for one that does nothing, such as an import or a docstring.

    Args:
        strict: count imports inside it, and all texts but docstrings, as of code that is not this package's.
    """
    if isinstance(statement, ast.Import | ast.ImportFrom) or _is_text(statement):
        return ""
    return hashlib.sha256(_written(statement, prose=None if strict else False).encode()).hexdigest()


def _written(node, prose: bool | None) -> str:
    """``node`` in one line. In prose texts count as nothing, with None there is no prose; numbers and names always count."""
    if isinstance(node, list):
        parts = [part for part in node if not _is_text(part)]
        if prose is not None:
            parts = [part for part in parts if not isinstance(part, ast.Import | ast.ImportFrom)]
        return f"[{','.join(_written(part, prose) for part in parts)}]"
    if not isinstance(node, ast.AST):
        return "''" if prose and isinstance(node, str) else repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in _UNSEEN or value is None and not isinstance(node, ast.Constant) or value == []:
            continue
        fields.append(f"{name}={_written(value, None if prose is None else _is_prose(node, name, prose))}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_prose(node: ast.AST, field: str, prose: bool) -> bool:
    """True where texts in ``field`` of ``node`` are for people only."""
    if isinstance(node, ast.Name | ast.Attribute | ast.keyword):
        return field == "value" and (prose or isinstance(node, ast.keyword) and node.arg in _PROSE)
    if isinstance(node, ast.Raise):
        return field == "exc"
    if isinstance(node, ast.Call) and field == "args":
        return prose or ast.unparse(node.func) == "warnings.warn"
    return prose


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

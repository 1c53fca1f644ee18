"""A user's own code by what it does: functions and classes of a notebook cell or of a file of his own, with all that they use."""

import ast
import dataclasses
import dis
import enum
import functools
import importlib
import importlib.util
import linecache
import sys
import types
from pathlib import PurePath

import numpy as np
import torch
from pydantic import BaseModel

from dcmq.core import code
from dcmq.core.errors import DcmqError
from dcmq.core.functions import behaviour, is_installed, layers, module_of, plain_function
from dcmq.core.hashing import digest
from dcmq.core.live import require_own
from dcmq.core.registry import Registry

_PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    enum.Enum,
    PurePath,
    torch.dtype,
    torch.device,
    type(None),
)
_LIBRARYS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.MethodWrapperType, np.ufunc)


class _Untold(DcmqError):
    """A value that cannot be told, or code whose source cannot be had."""


def source_fingerprint(thing) -> str:
    """16 hexadecimal digits that identify own code: a function or class, all of its own that it uses, and the package's.

    Comments, docstrings and formatting do not count; the values of the numbers, texts and arrays that it reads do.

    Raises:
        DcmqError: its source cannot be had or is not what runs, or it uses something whose value cannot be told.
    """
    facts = _Facts()
    facts.add(thing, getattr(thing, "__name__", "it"))
    return code.joined(facts.lines)


def code_fingerprint(thing) -> str:
    """16 hexadecimal digits that identify the code of a function or class: the package's by the import closure of its module,
    a user's by its source.

    Raises:
        DcmqError: as :func:`source_fingerprint`, or code of the package is not what its files say.
    """
    if not code.is_own(thing):
        return source_fingerprint(thing)
    require_own(module_of(thing))
    return code.fingerprint(module_of(thing))


class _Facts:
    """Lines that say what a piece of code does, gathered from all that it uses."""

    def __init__(self):
        self.lines: list[str] = []
        self.seen: dict[int, object] = {}  # by identity, and kept alive so that no identity is used twice

    def note(self, name: str, value: str) -> None:
        self.lines.append(f"{name} {value}")

    def add(self, thing, name: str) -> None:
        """Note what ``thing`` is, which the code calls ``name``."""
        if isinstance(thing, _PLAIN):
            self.note(name, repr(thing))
            self._add_users_class(thing)
            return
        if id(thing) in self.seen:
            self.note(name, "again")
            return
        self.seen[id(thing)] = thing
        if isinstance(thing, types.ModuleType):
            self._add_module(thing, name)
        elif isinstance(thing, types.FunctionType | type) or hasattr(thing, "__wrapped__"):
            for layer in layers(thing):  # what functools.wraps put around it counts too
                if isinstance(layer, types.FunctionType | type):
                    self._add_code(layer, name)
        else:
            self._add_value(thing, name)
            self._add_users_class(thing)

    def _add_users_class(self, thing) -> None:
        if _is_users(type(thing).__module__):
            self.add(type(thing), type(thing).__qualname__)

    def _add_value(self, thing, name: str) -> None:
        kind = type(thing)
        if isinstance(thing, functools.partial):
            self.add((thing.func, thing.args, thing.keywords), name)
        elif isinstance(thing, types.MethodType):
            self.add((thing.__func__, thing.__self__), name)
        elif isinstance(thing, np.ndarray | torch.Tensor | np.generic):
            self.note(name, _array_digest(thing, name))
        elif isinstance(thing, dict | Registry):
            for key, value in thing.items():
                self.add(value, f"{name}[{key!r}]")
        elif isinstance(thing, list | tuple | set | frozenset):
            for place, value in enumerate(sorted(thing, key=repr) if isinstance(thing, set | frozenset) else thing):
                self.add(value, f"{name}[{place}]")
        elif isinstance(thing, torch.nn.Module):
            self.note(name, repr(thing))
            self.add(dict(thing.state_dict()), name)
            for part in sorted({type(m) for m in thing.modules()}, key=lambda part: part.__qualname__):
                self.add(part, part.__qualname__)
            for place, part in thing.named_modules():  # what __init__ keeps, beside weights and parts
                users = _is_users(type(part).__module__)
                own = {k: v for k, v in vars(part).items() if k[0] != "_" and (users or isinstance(v, _PLAIN))}
                self.add(own, f"{name}.{place}")
        elif isinstance(getattr(thing, "fingerprint", None), str) and code.is_own(kind):  # data, teachers, embeddings
            self.note(name, thing.fingerprint)
        elif isinstance(thing, BaseModel):
            self.note(name, thing.model_dump_json())
            self.add(kind, kind.__qualname__)
        elif dataclasses.is_dataclass(thing):
            fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
            self.add(fields | getattr(thing, "__dict__", {}), name)
            self.add(kind, kind.__qualname__)
        elif isinstance(thing, _LIBRARYS) and getattr(thing, "__self__", None).__class__ in (
            type(None),
            types.ModuleType,
            type,
        ):
            self.note(name, f"{thing.__module__}.{getattr(thing, '__qualname__', name)}")
        else:
            raise _Untold(
                f"{name} is a {kind.__name__}, whose value cannot be told: a run that uses it could not be recognised again. "
                "Make it inside the function, or use what a loss is given of the batch (LossInputs)"
            )

    def _add_module(self, module: types.ModuleType, name: str) -> None:
        if module.__name__.partition(".")[0] == code.PACKAGE:
            require_own(module.__name__)
            self.note(module.__name__, code.fingerprint(module.__name__))
        elif _is_users(module.__name__):
            for key, value in vars(module).items():
                if key[:2] != "__":
                    try:
                        self.add(value, f"{module.__name__}.{key}")
                    except _Untold:  # a lock, say, that nobody need use
                        self.note(f"{module.__name__}.{key}", type(value).__name__)
        else:
            self.note(name, module.__name__)

    def _add_code(self, thing, name: str) -> None:
        module = module_of(thing)
        if module.partition(".")[0] == code.PACKAGE:
            require_own(module)
            self.note(name, f"{thing.__qualname__} {code.fingerprint(module)}")
        elif not _is_users(module):
            self.note(name, f"{module}.{thing.__qualname__}")
        elif isinstance(thing, types.FunctionType):
            self._add_function(thing, name)
        else:
            self._add_class(thing, name)

    def _add_function(self, function: types.FunctionType, name: str) -> None:
        definition = _definition(function.__code__.co_name, function)
        if hasattr(definition, "decorator_list"):
            definition.decorator_list = []  # one that registers names it in the settings; others are layers of their own
        self.note(name, code.digest_of(definition, strict=True))
        for used, value in _used(function).items():
            if value is not function and not used.startswith("__"):
                self.add(value, f"{name} {used}")
        for module in _imported(function):
            self.add(module, module.__name__)
        if attributes := {key: value for key, value in vars(function).items() if key != "__wrapped__"}:
            self.add(attributes, f"{name} attributes")
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        for place, value in enumerate(defaults):
            self.add(value, f"{name} default {place}")

    def _add_class(self, kind: type, name: str) -> None:
        for base in kind.__bases__:
            self.add(base, base.__qualname__)
        for part, value in sorted(vars(kind).items()):
            function = plain_function(value)
            if function is not None and function.__code__.co_filename == "<string>" and dataclasses.is_dataclass(kind):
                self.note(f"{name}.{part}", "made of the fields")
            elif function is not None:
                self.note(f"{name}.{part}", type(value).__name__)
                for layer in layers(value):  # of a property, class method or decorated method
                    self.add(layer, f"{name}.{part}")
            elif hasattr(type(value), "__get__") and not _is_users(
                type(value).__module__
            ):  # a slot, a field of a tuple
                self.note(f"{name}.{part}", type(value).__name__)
            elif not part.startswith("__") and not part.startswith("_abc"):
                self.add(value, f"{name}.{part}")


def _array_digest(thing, name: str) -> str:
    if isinstance(thing, torch.Tensor):
        thing = thing.detach().cpu().contiguous()
        return digest(str(thing.dtype), list(thing.shape), thing.reshape(-1).view(torch.uint8) if thing.numel() else "")
    if np.asarray(thing).dtype.kind == "O":
        raise _Untold(f"{name} is an array of objects, whose values cannot be told: give an array of numbers")
    return digest(str(thing.dtype), np.asarray(thing))


def _used(function: types.FunctionType) -> dict:
    """The values outside a function that it and the functions in it read, by name."""
    names, waiting = set(), [function.__code__]
    while waiting:
        part = waiting.pop()
        names |= {step.argval for step in dis.get_instructions(part) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        waiting += [constant for constant in part.co_consts if isinstance(constant, types.CodeType)]
    enclosed = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__} | {
        name: cell.cell_contents for name, cell in enclosed.items() if name != "__class__"
    }


def _imported(function: types.FunctionType) -> list[types.ModuleType]:
    """The modules of the user and of the package that a function imports when it is called."""
    names, waiting = set(), [function.__code__]
    while waiting:
        part = waiting.pop()
        names |= {step.argval for step in dis.get_instructions(part) if step.opname == "IMPORT_NAME"}
        waiting += [constant for constant in part.co_consts if isinstance(constant, types.CodeType)]
    of_package = {name for name in names if name.partition(".")[0] == code.PACKAGE}
    return [importlib.import_module(name) for name in sorted(names) if name in of_package or _is_users_file(name)]


def _is_users_file(module: str) -> bool:
    """True for a module, imported or not, from a file outside the installed packages."""
    if module in sys.modules:
        return _is_users(module)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and bool(spec.has_location) and not is_installed(spec.origin or "")


def _definition(name: str, function: types.FunctionType) -> ast.AST:
    """The statement or lambda in a cell or file that ``function`` was made of.

    Raises:
        DcmqError: there is no such cell or file, it was edited and not run again, or several lambdas stand on one line.
    """
    file, first = function.__code__.co_filename, function.__code__.co_firstlineno
    text = _text(file, function.__globals__)
    if not text:
        raise _Untold(
            f"the source of {name} cannot be had, so its runs could not be recognised again: define it in a notebook cell "
            "(one without %%time) or in a file"
        )
    lines = _lines_that_give(function, text, file)
    place = first if first in lines else min(lines, default=None)  # autoreload leaves the line of before
    kind = ast.Lambda if name == "<lambda>" else ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kind) and _first_line(node) == place]
    nodes = [node for node in nodes if getattr(node, "name", name) == name]
    if not nodes:
        raise DcmqError(f"{name} in {file} was edited after it was imported: restart the kernel")
    if len(nodes) > 1:
        raise DcmqError(f"{len(nodes)} lambdas stand on line {place} of {file}: give each a line of its own, or a def")
    return ast.Expr(nodes[0]) if kind is ast.Lambda else nodes[0]


def _first_line(node: ast.Lambda | ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])


def _lines_that_give(function: types.FunctionType, text: str, file: str) -> set[int]:
    """The lines at which ``text`` has this very function, compiled as a file is, or as a cell is, each statement for itself: a
    call of an imported module's function becomes other code where the import is seen."""
    alone = [ast.Module([statement], []) for statement in ast.parse(text).body]
    waiting = [compile(whole, file, "exec", dont_inherit=True) for whole in (text, *alone)]
    own, lines = function.__code__, set()
    while waiting:
        part = waiting.pop()
        if part.co_name == own.co_name and behaviour(part) == behaviour(own):
            lines.add(part.co_firstlineno)
        waiting += [constant for constant in part.co_consts if isinstance(constant, types.CodeType)]
    return lines


def _text(file: str, names) -> str:
    """The text of a file or cell as it is now."""
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, names))


def _is_users(module: str) -> bool:
    """True for the module of a notebook or script, or one from a file outside the installed packages."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return module == "__main__" or (bool(file) and not is_installed(file) and module.partition(".")[0] != code.PACKAGE)

"""Things by name: each is registered where it is defined, and whoever wants a list or one of them asks here."""

import difflib
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from dcmq.core.code import PACKAGE
from dcmq.core.errors import DcmqError

T = TypeVar("T")
_REGISTRIES: "weakref.WeakValueDictionary[str, Registry]" = weakref.WeakValueDictionary()


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?`` where one of ``known`` is near, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _is_package_importing() -> bool:
    """True while a module of the package is imported: what is registered then is the package's, and not a cell's."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names, as settings give them, to the things they mean.

    Args:
        kind: the setting that names its entries, for messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._module = sys._getframe(1).f_globals["__name__"]
        _REGISTRIES[kind] = self
        self._entries: dict[str, T] = {}
        self._own: dict[str, T] = {}  # what the package registered while it was imported

    def register(self, name: str, thing: T) -> T:
        """Put ``thing`` under ``name``; what a user registered before under it is replaced.

        Raises:
            DcmqError: the name is one of the package's own, or no plain name.
        """
        if not isinstance(name, str) or not name or set(name) & set(" ,=:/\\"):
            raise DcmqError(f"{self.kind}: {name!r} is no name for a setting: letters, digits, - and _ only")
        by_package = _is_package_importing()
        if name in self._own and not by_package:
            raise DcmqError(f"{self.kind}: {name!r} is the package's own: register yours under another name")
        self._entries[name] = thing
        if by_package:
            self._own[name] = thing
        return thing

    def decorator(self, given: Callable | str | None) -> Callable:
        """For ``@register_...`` with and without a name in brackets: registers under it, or under the function's own."""
        if callable(given):
            return self.register(given.__name__, given)
        return lambda thing: self.register(given or thing.__name__, thing)

    def is_own(self, name: str) -> bool:
        """True where ``name`` is the package's own, and not a user's. Raises DcmqError where it is not registered."""
        return self[name] is self._own.get(name)

    def of_users(self) -> dict[str, T]:
        """The entries that a user registered, by name."""
        return {name: thing for name, thing in self._entries.items() if not self.is_own(name)}

    def __reduce__(self):
        """Sent to another process, it is the registry that this process has."""
        return _registry, (self.kind, self._module)

    def __getitem__(self, name: str) -> T:
        if not isinstance(name, str) or name not in self._entries:
            known = ", ".join(self._entries)
            raise DcmqError(
                f"{self.kind}: {name!r} is not registered{suggestion(str(name), self._entries)} (known: {known})"
            )
        return self._entries[name]

    def __setitem__(self, name: str, thing: T) -> None:
        raise DcmqError(
            f"{self.kind}: {name!r} cannot be replaced: register yours under a name of its own, with register_{self.kind}"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def registries() -> list[Registry]:
    """All registries of the modules that are imported, by the names of their kinds."""
    return [_REGISTRIES[kind] for kind in sorted(_REGISTRIES)]


def _registry(kind: str, module: str) -> Registry:
    import_module(module)
    return _REGISTRIES[kind]

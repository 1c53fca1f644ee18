"""Things by name: each is registered where it is defined, and whoever wants a list or one of them asks here."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from dcmq.core.code import is_own
from dcmq.core.errors import DcmqError

T = TypeVar("T")


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?`` where one of ``known`` is near, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names, as settings give them, to the things they mean.

    Args:
        kind: the setting that names its entries, for messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Put ``thing`` under ``name``; what a user registered before under it is replaced.

        Raises:
            DcmqError: the name is one of the package's own, or no plain name.
        """
        if not isinstance(name, str) or not name or set(name) & set(" ,=:/\\"):
            raise DcmqError(f"{self.kind}: {name!r} is no name for a setting: letters, digits, - and _ only")
        if name in self._entries and self.is_own(name) and not is_own(getattr(thing, "origin", thing)):
            raise DcmqError(f"{self.kind}: {name!r} is the package's own: register yours under another name")
        self._entries[name] = thing
        return thing

    def decorator(self, given: Callable | str | None) -> Callable:
        """For ``@register_...`` with and without a name in brackets: registers under it, or under the function's own."""
        if callable(given):
            return self.register(given.__name__, given)
        return lambda thing: self.register(given or thing.__name__, thing)

    def is_own(self, name: str) -> bool:
        """True where ``name`` is the package's own, and not a user's. Raises DcmqError where it is not registered."""
        return is_own(getattr(self[name], "origin", self[name]))

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise DcmqError(
                f"{self.kind}: {name!r} is not registered{suggestion(name, self._entries)} (known: {known})"
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

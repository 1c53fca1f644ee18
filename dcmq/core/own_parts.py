"""A user's own parts, sent to the processes that train with them: what cells registered, and the text of these cells.

The text goes along because keys are made of it: another process must come to the same key, or it would not find its own records.
"""

import io
import linecache
import types
from collections import ChainMap

import cloudpickle

from dcmq.core.errors import DcmqError
from dcmq.core.registry import registries


def _code_of(file: str, make, parts: tuple) -> types.CodeType:
    return make(*parts).replace(co_filename=file)


def _reduced_code(code: types.CodeType) -> tuple:
    return _code_of, (code.co_filename, *cloudpickle.Pickler.dispatch_table[types.CodeType](code)[:2])


class _Pickler(cloudpickle.Pickler):
    """cloudpickle's, which leaves out the file of a piece of code; but by the file its text is found."""

    dispatch_table = ChainMap({types.CodeType: _reduced_code}, cloudpickle.Pickler.dispatch_table)


def _dumped(thing) -> bytes:
    content = io.BytesIO()
    _Pickler(content).dump(thing)
    return content.getvalue()


def pack() -> bytes:
    """All that a user registered in this process, for :func:`unpack`.

    Raises:
        DcmqError: a part that cannot be sent, by its name.
    """
    entries = [(registry, name, thing) for registry in registries() for name, thing in registry.of_users().items()]
    for registry, name, thing in entries:
        try:
            _dumped(thing)
        except Exception as error:  # whatever an object of the user's raises when it is pickled
            raise DcmqError(
                f"{registry.kind}: {name!r} cannot be sent to other processes ({' '.join(str(error).split())}): make what it "
                "holds inside the function, or set workers to 1"
            ) from None
    return _dumped((entries, _cells()))


def unpack(parcel: bytes) -> None:
    """Register here what :func:`pack` found in another process."""
    entries, cells = cloudpickle.loads(parcel)
    linecache.cache.update(cells)
    for registry, name, thing in entries:
        registry.register(name, thing)


def _cells() -> dict[str, tuple]:
    """The entries of linecache for code that is in no file, such as a notebook's cells: those without a time of change."""
    return {file: entry for file, entry in linecache.cache.items() if len(entry) == 4 and entry[1] is None}

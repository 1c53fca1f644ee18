"""A file or folder that somebody asked for: whole, or absent."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcmq.core.errors import DcmqError


@contextmanager
def new_target(target: Path) -> Iterator[Path]:
    """A path to write to, beside ``target``, which becomes ``target`` when the block ends without error.

    Raises:
        DcmqError: there is such a file or folder already, or what is written in the block raises OSError.
    """
    if target.exists():
        raise DcmqError(f"export: {target} is there already; choose another name, or delete it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            written = Path(temporary) / target.name
            yield written
            os.replace(written, target)
    except OSError as error:
        raise DcmqError(f"export: cannot write {target}: {error.strerror or str(error).splitlines()[0]}") from None

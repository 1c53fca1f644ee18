"""One process at a time writes into a folder of reports, and deletes first what killed ones left there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcmq.core.paths import runs_dir
from dcmq.core.storage import locked, sweep

EXECUTED = "executed"  # below the folder of runs: notebooks that are under way, their logs, and the locks of reports


@contextmanager
def alone_in(folder: Path, name: str = "") -> Iterator[None]:
    """Let nobody else write into ``folder`` in the block, of which only the file ``name`` is written, if it is given. The lock lies
    among the runs, as reports are kept and given away.

    Raises:
        DcmqError: the folder of runs cannot be written.
    """
    with locked(runs_dir() / EXECUTED / f"{folder.name}.lock"):
        sweep(folder, name)
        yield

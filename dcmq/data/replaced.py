"""Images that took the places of others under their names, where a fingerprint of data goes by names alone."""

import sys
from contextlib import suppress
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.paths import runs_dir
from dcmq.core.sealed import BrokenSeal, read_sealed, sealed
from dcmq.core.storage import locked, write_json


def content_choices(names: str, checksum: str) -> dict[str, str]:
    """Nothing for the images that came first under these names, else their content, as a choice that a fingerprint is made of.

    The first ones are remembered beside the runs, and their fingerprint is that of any other machine. So images that are replaced
    have another one, and those that are put back have the first again. Where nothing can be written there, no run can be recorded
    either, and nothing is remembered.

    Args:
        names: identifies the names of all images. checksum: of the decoded ones.
    """
    try:
        first = _first(names, checksum)
    except DcmqError:
        return {}
    return {} if first == checksum else {"content": checksum[:16]}


def _first(names: str, checksum: str) -> str:
    """The checksum that is remembered, from now on ``checksum`` where none was. Raises DcmqError where nothing can be written."""
    path = runs_dir() / "contents" / f"{names}.json"
    with suppress(BrokenSeal):
        if known := _remembered(path):
            return known
    with locked(path.with_suffix(".lock")):
        try:
            known = _remembered(path)  # by the process that had the lock
        except BrokenSeal as error:
            print(error, file=sys.stderr)
            known = None
        if known is None:
            write_json(path, sealed({"images": checksum}))
    return known or checksum


def _remembered(path: Path) -> str | None:
    remedy = "the images that are there now are taken for the first"
    return read_sealed(path, remedy).get("images") if path.is_file() else None

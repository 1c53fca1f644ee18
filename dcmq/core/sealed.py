"""JSON that carries a checksum of itself, so that what was damaged or edited since is noticed. Nothing slow is imported."""

import hashlib
import json
from pathlib import Path

from dcmq.core.errors import DcmqError

_SEAL = "sha256"


class BrokenSeal(DcmqError):
    """A file that is not what was written."""


def sealed(content: dict) -> dict:
    """``content``, as JSON gives it back, and its checksum."""
    content = json.loads(json.dumps(content, allow_nan=False))
    return content | {_SEAL: _checksum(content)}


def read_sealed(path: Path, remedy: str) -> dict:
    """The object in a JSON file, without its checksum. One that has none, as they were written before, is believed.

    Args:
        remedy: what to do where it is damaged.

    Raises:
        BrokenSeal: no such file, no JSON, or not what was written.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:100] or type(error).__name__
        raise BrokenSeal(f"{path} cannot be read ({reason}): {remedy}") from None
    seal = content.pop(_SEAL, None) if isinstance(content, dict) else ""
    if seal is not None and seal != _checksum(content):
        raise BrokenSeal(f"{path} was damaged or edited: {remedy}")
    return content


def _checksum(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

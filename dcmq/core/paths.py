"""Where files go. Notebooks run in one folder and papermill in another, so the package decides, never the notebook."""

import os
from pathlib import Path

from dcmq.core.errors import DcmqError

_PACKAGE = Path(__file__).resolve().parents[1]


def home() -> Path:
    """``$DCMQ_HOME``, unless it is empty; else the checkout the package is imported from; else ``~/.dcmq``."""
    if chosen := os.environ.get("DCMQ_HOME"):
        return _named("DCMQ_HOME", chosen)
    checkout = _PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.home() / ".dcmq"


def cache_dir() -> Path:
    """The folder of generated and decoded images and of teacher embeddings; safe to delete."""
    return _made(home() / "cache")


def runs_dir() -> Path:
    """The folder that holds one folder for each training run: record, checkpoint, and what its student must know to read more."""
    return _made(home() / "runs")


def reports_dir() -> Path:
    """``$DCMQ_REPORTS``, else ``reports`` in :func:`home`: tables, figures and records that notebooks write."""
    chosen = os.environ.get("DCMQ_REPORTS")
    return _made(_named("DCMQ_REPORTS", chosen) if chosen else home() / "reports")


def _named(variable: str, folder: str) -> Path:
    try:
        return Path(folder).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:  # such as ~ of somebody who is not known
        raise DcmqError(f"{variable}: {folder[:200]!r} is no folder ({error}): name another") from None


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DcmqError(f"cannot make the folder {folder}: {error.strerror}; set DCMQ_HOME to one you can write") from None
    return folder


def display_path(path: Path) -> str:
    """``path`` for printing: relative to :func:`home` where both it and the working directory lie inside, else absolute, so
    that it leads there from where it is read."""
    place = Path(path).resolve()
    inside = place.is_relative_to(home()) and Path.cwd().resolve().is_relative_to(home())
    return str(place.relative_to(home()) if inside else place)

"""Settings that were chosen for each row, all by one search: the same budget of runs, the same ranges, the same queries, none of
which any report is judged on. ``scripts/choose_settings.py`` writes them, and ``reports/choices`` has every trial."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.core.storage import write_json

FOLDER = Path(__file__).parent / "chosen"


def chosen_settings(choices: str, row: str) -> Mapping:
    """The settings chosen for ``row``, a method's name, in the search named ``choices``; none where ``choices`` is "" or has no
    such row, as a user's own: then the profile's stand.

    Raises:
        DcmqError: there is no such search.
    """
    return _chosen(choices).get(row, {}) if choices else {}


@cache
def _chosen(choices: str) -> dict[str, dict]:
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    if choices not in names:
        raise DcmqError(f"settings: choices={choices} is no search{suggestion(choices, names)} (known: {', '.join(names)})")
    return json.loads((FOLDER / f"{choices}.json").read_text())


def save_choices(choices: str, chosen: Mapping[str, Mapping]) -> Path:
    """Write what was chosen for each row, and return the file."""
    path = FOLDER / f"{choices}.json"
    write_json(path, {row: dict(settings) for row, settings in chosen.items()})
    return path

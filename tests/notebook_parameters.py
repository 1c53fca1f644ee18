"""The parameters of a notebook as it checks them: its defaults, changed by what a test asks for."""

from pathlib import Path

from dcmq.experiments.parameters import defaults, validated
from dcmq.studies.registry import STUDIES

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def parameters(name, **changes):
    """The study called ``name``."""
    return validated(STUDIES[name], defaults(NOTEBOOKS / f"{name}.ipynb") | changes)

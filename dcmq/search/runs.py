"""From a trained run to a model that searches."""

import json
from pathlib import Path

from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, runs_dir
from dcmq.experiments.runs import INPUTS, checkpoint_file
from dcmq.methods.dcmq.student import load_student
from dcmq.search.model import SearchModel


def model_of(folder: Path) -> SearchModel:
    """The student of a finished run of DCMQ, from the run's folder.

    Raises:
        DcmqError: it is no such folder, or the run is of another method.
    """
    try:
        config = json.loads((folder / "record.json").read_text())["config"]
        inputs = json.loads((folder / INPUTS).read_text())
    except (OSError, ValueError, KeyError):
        raise DcmqError(f"{folder} is no finished run; {_newest()}") from None
    if config.get("method") != "DCMQ":
        raise DcmqError(f"{folder} is a run of {config.get('method')}; only students of DCMQ make codes to search")
    config = TrainConfig.model_validate(config)
    student = load_student(config, len(inputs["vocabulary"]), checkpoint_file(folder))
    return SearchModel(student, config, inputs["vocabulary"], inputs["dataset_image_size"])


def find_run(name: str) -> Path:
    """The folder of a run, given as a path, or by its name under ``runs/`` or the beginning of its name or key.

    Raises:
        DcmqError: none, or several.
    """
    if Path(name).is_dir():
        return Path(name)
    found = [
        folder for folder in _runs() if folder.name.startswith(name) or folder.name.rpartition("-")[2].startswith(name)
    ]
    if len(found) != 1:
        there = f"{len(found)} runs are called {name!r}" if found else f"there is no run {name!r}"
        raise DcmqError(f"{there}; {_newest()}")
    return found[0]


def _runs() -> list[Path]:
    """Finished runs of DCMQ, the newest first."""
    files = [file for file in runs_dir().glob("*/record.json") if (file.parent / INPUTS).is_file()]
    return [file.parent for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def _newest() -> str:
    newest = [display_path(folder) for folder in _runs()[:4]]
    return (
        f"the newest are {', '.join(newest)}" if newest else "run a notebook first, such as notebooks/quickstart.ipynb"
    )

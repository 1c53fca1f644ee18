"""Records of runs: what stands in one, and where finished ones are found."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import dcmq
from dcmq.config import RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.sealed import BrokenSeal, read_sealed
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.keys import evaluation_fingerprint, training_fingerprint
from dcmq.methods.base import FitResult
from dcmq.networks.pretrained import weights_fingerprint
from dcmq.teachers.base import TeacherEmbeddings

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "scikit-learn", "pillow", "lightning-fabric")


def make_record(
    config: RunConfig,
    dataset: RetrievalDataset,
    teacher: TeacherEmbeddings,
    key: str,
    fitted: FitResult,
    evaluation: dict,
) -> dict:
    """The record of a run: settings, fingerprints, versions, timings, losses and metrics, as plain numbers and text."""
    return {
        "key": key,
        "config": config.model_dump(mode="json"),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "image_code": dataset.image_code,
            "split": dataset.split.hash,
            "choices": dataset.choices,
        },
        "teacher": {
            "name": teacher.name,
            "description": teacher.description,
            "parameters": teacher.parameters,
            "fingerprint": teacher.fingerprint,
            "code": teacher.code,
        },
        "backbone": weights_fingerprint(config.student.backbone_weights),
        "bytes_per_item": fitted.retriever.bytes_per_item,
        "student_parameters": fitted.parameters,
        "training_seconds": round(fitted.seconds, 2),
        "losses": fitted.history,
        "device": fitted.device,
        "machine": f"{platform.system()} {platform.machine()}",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": training_fingerprint(config),
        "git": git_revision(),
        "versions": package_versions(),
        "evaluation": evaluation,
    }


def package_versions() -> dict[str, str]:
    """Versions of this package, of Python, and of what a result may depend on."""
    return {"dcmq": dcmq.__version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES}


def git_revision() -> str:
    """The checkout's commit, with ``+`` if files differ from it; ``unknown`` outside a checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def result_differences(record: dict, other: dict) -> list[str]:
    """Where two records of one run differ in what was learnt and measured, as dotted names; empty where both are the same to
    the bit.

    When, where and with which versions a run was made does not count, nor do its key and the fingerprints of code. What only
    one of the two holds does not count either: a later version may measure more.
    """
    return list(_differences(record, other, ""))


_CIRCUMSTANCES = frozenset(
    {
        "key",
        "config",
        "dataset",
        "teacher",
        "training_seconds",
        "machine",
        "finished",
        "code",
        "git",
        "versions",
        "seconds",
    }
)


def _differences(one, other, name: str):
    if isinstance(one, dict) and isinstance(other, dict):
        for part in one.keys() & other.keys() - _CIRCUMSTANCES:
            yield from _differences(one[part], other[part], f"{name}.{part}".lstrip("."))
    elif json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        yield name


def finished_record(key: str, file: Path, r: int) -> dict | None:
    """The record of run ``key``, measured as it would be now; None where there is none.

    It is looked for among the reports under ``$DCMQ_PUBLISHED``, if that is set, and then in ``file``. A damaged ``file`` is set
    aside as ``record.json.damaged``, so that the run is measured anew from its checkpoint; an edited one too.

    Args:
        r: R of mAP@R (hits).

    Raises:
        DcmqError: a damaged file that cannot be set aside.
    """
    published = _published(os.environ.get("DCMQ_PUBLISHED", "")).get(key)
    found = (published, _stored(file, key) if file.is_file() else None)
    return next((record for record in found if record and _is_current(record, r)), None)


def _stored(file: Path, key: str) -> dict | None:
    aside = file.with_name(f"{file.name}.damaged")
    try:
        record = read_sealed(file, f"it is set aside as {aside.name}, and the run is measured anew")
        if record.get("key") != key or not isinstance(record.get("evaluation"), dict):
            raise BrokenSeal(f"{file} is no record of run {key}: it is set aside as {aside.name}")
        return record
    except BrokenSeal as error:
        try:
            file.replace(aside)
        except FileNotFoundError:  # by somebody else
            return None
        except OSError as denied:
            raise DcmqError(f"{file} is damaged, and cannot be set aside: {denied.strerror}") from None
        print(error, file=sys.stderr)
        return None


def _is_current(record: dict, r: int) -> bool:
    measured = record["evaluation"]
    return measured.get("R") == r and measured.get("code") == evaluation_fingerprint()


@lru_cache(maxsize=1)
def _published(folder: str) -> dict[str, dict]:
    """Run records by key, from the report records under ``folder``; what is damaged is named and left out."""
    found = {}
    for file in sorted(Path(folder).rglob("record.json")) if folder else ():
        try:
            runs = read_sealed(file, "its runs are looked for elsewhere")["runs"]
            found |= {run["key"]: run for run in runs if isinstance(run["evaluation"], dict)}
        except BrokenSeal as error:
            print(error, file=sys.stderr)
        except (KeyError, TypeError, AttributeError):
            print(f"{file} is no record of a report: its runs are looked for elsewhere", file=sys.stderr)
    return found

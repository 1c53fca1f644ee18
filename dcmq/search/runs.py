"""The student of a trained run, or of a collection that has one already."""

from pathlib import Path

from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.sealed import read_sealed
from dcmq.experiments.run_files import INPUTS, RECORD
from dcmq.experiments.run_list import newest_runs, read_record
from dcmq.experiments.runs import checkpoint_file
from dcmq.methods.dcmq.student import load_student
from dcmq.search.pretrained import MODEL, PretrainedStudent


def model_of(folder: Path) -> PretrainedStudent:
    """The student of a finished run of DCMQ, from the run's folder, or that of a collection, from the collection's.

    Raises:
        DcmqError: it is no such folder, a file of it is damaged, or the run is of another method or of another version.
    """
    if (folder / MODEL).is_file():
        return PretrainedStudent.load(folder / MODEL)
    if not all((folder / name).is_file() for name in (RECORD, INPUTS)):
        raise DcmqError(f"{folder} is neither a finished run nor a collection; {newest_runs()}")
    record = read_record(folder)
    inputs = read_sealed(folder / INPUTS, f"delete it and {RECORD}, and run its notebook again: nothing is trained anew")
    config = record.get("config")
    if not isinstance(config, dict):
        raise DcmqError(f"{folder} is neither a finished run nor a collection; {newest_runs()}")
    if config.get("method") != "DCMQ":
        raise DcmqError(f"{folder} is a run of {config.get('method')}; only students of DCMQ make codes to search")
    key = record.get("key", "")
    if inputs.get("key", key) != key:
        raise DcmqError(f"{folder / INPUTS} belongs to run {inputs['key']}, not to {key}: delete it, and run the notebook again")
    try:
        config = TrainConfig.model_validate(config)
        vocabulary, image_size, pattern = (inputs[k] for k in ("vocabulary", "dataset_image_size", "word_pattern"))
    except (ValueError, KeyError):
        raise DcmqError(f"{folder} is a run of another version of dcmq: train it again; {newest_runs()}") from None
    return PretrainedStudent(
        load_student(config, len(vocabulary), checkpoint_file(folder), key),
        config,
        vocabulary,
        image_size,
        pattern,
        thresholds(record),
    )


def thresholds(record: dict) -> dict[str, dict[str, float]]:
    """The thresholds in a run's record by direction, ``value`` as a mean of the M cosines; none where none was measured."""
    found = {}
    for direction, galleries in record.get("evaluation", {}).items():
        known = galleries.get("unseen", {}).get("pairs", {}).get("threshold") if isinstance(galleries, dict) else None
        if known:
            num_codebooks = TrainConfig.model_validate(record["config"]).student.num_codebooks
            wanted = {"value": known["value"] / num_codebooks, "precision aimed at": known["aimed at"]}
            found[direction] = wanted | {name: known[name] for name in ("precision", "recall")}
    return found

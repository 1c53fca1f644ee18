"""A trained student in a folder or on the Hugging Face hub, with all that somebody else must know of it."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token

import dcmq
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import write_json
from dcmq.experiments.run_files import RECORD
from dcmq.experiments.run_list import read_record
from dcmq.search.hub import hub_error
from dcmq.search.pretrained import MODEL, PretrainedStudent
from dcmq.search.runs import model_of
from dcmq.sharing.card import CARD, model_card
from dcmq.sharing.description import metrics, preprocessing, settings, vocabulary, without_local_folders

CONFIG, VOCABULARY, PREPROCESSING, METRICS = "config.json", "vocabulary.json", "preprocessing.json", "metrics.json"


def push_to_folder(run: Path, folder: Path | str, licence: str = "") -> list[Path]:
    """Write the student of a finished run into a new folder.

    Args:
        run: the run's folder, or one that this function wrote.
        folder: does not exist yet, or is empty; it is written whole or not at all.
        licence: of the weights, as the hub names licences: ``mit``, ``cc-by-4.0``; empty where none was chosen.

    Returns:
        the files.

    Raises:
        DcmqError: the run is not finished, of another method or damaged, or the folder is not empty or cannot be written.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DcmqError(f"{folder} is there already and not empty: name a folder that does not exist yet")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            _write(run, Path(temporary) / "all", folder.name, licence)
            os.replace(Path(temporary) / "all", folder)
    except OSError as error:
        raise DcmqError(f"cannot write {folder}: {error.strerror}") from None
    return sorted(folder.iterdir())


def push_to_hub(run: Path, repository: str, *, private: bool = False, licence: str = "") -> str:
    """Put the student of a finished run into a repository of the hub, made if need be, in one commit.

    Args:
        run, licence: as for :func:`push_to_folder`.
        repository: ``user/name``. What it holds under other names is left alone.
        private: make it visible to its owner only.

    Returns:
        the address of the repository.

    Raises:
        DcmqError: as :func:`push_to_folder`; or nobody is logged in, the hub refuses or cannot be reached, or a private
            repository is wanted and there is a public one.
    """
    if not get_token():
        raise DcmqError("nobody is logged in to the hub: hf auth login, or set HF_TOKEN to a token that may write")
    api = HfApi(library_name="dcmq", library_version=dcmq.__version__)
    with tempfile.TemporaryDirectory() as temporary:
        _write(run, Path(temporary) / "all", repository, licence)
        files = sorted((Path(temporary) / "all").iterdir())
        with _hub_errors(repository):
            url = api.create_repo(repository, private=private or None, exist_ok=True)
            public = private and not api.model_info(repository).private
            if not public:
                added = [CommitOperationAdd(file.name, file) for file in files]
                api.create_commit(repository, added, commit_message="A student, written by dcmq push")
    if public:
        raise DcmqError(f"{url} is there already and public: make it private on its page, or name another")
    return str(url)


@contextmanager
def _hub_errors(repository: str):
    try:
        yield
    except Exception as error:  # the hub's client also raises those of its HTTP library, which it has changed before
        raise hub_error(error, repository) from None


def _write(run: Path, folder: Path, name: str, licence: str) -> None:
    """Write all files into the new ``folder``; ``name`` is what the student is loaded by."""
    record = without_local_folders(read_record(run))
    model = _with_settings(model_of(run), record)
    try:
        card = model_card(record, model, name, licence)
        contents = {
            RECORD: record,
            CONFIG: {"dcmq": record["versions"]["dcmq"], "settings": settings(record)},
            VOCABULARY: vocabulary(model),
            PREPROCESSING: preprocessing(model),
            METRICS: metrics(record),
        }
    except (KeyError, TypeError) as error:
        raise DcmqError(f"{run / RECORD} is no whole record of a run (at {error}): delete it, and run again") from None
    folder.mkdir()
    model.save(folder / MODEL)
    for file, content in contents.items():
        write_json(folder / file, content)
    (folder / CARD).write_text(card, encoding="utf-8")


def _with_settings(model: PretrainedStudent, record: dict) -> PretrainedStudent:
    """The same student with the settings in ``record``, which name no folder of this machine."""
    config = TrainConfig.model_validate(record["config"])
    inputs = (model.vocabulary, model.dataset_image_size, model.word_pattern)
    return PretrainedStudent(model.student, config, *inputs, model.thresholds)

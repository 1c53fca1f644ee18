"""Data sets by name: loaded, or read from the files of their authors. To add one: a reader that registers it
(:func:`dcmq.data.catalog.register_dataset`), and its module below."""

import inspect
import os
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.catalog import DATASETS, DatasetEntry, ReadOptions, full_name, official_counts
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.downloads import download_all
from dcmq.data.options import check_whole
from dcmq.data.prepared import DESCRIPTION, description, load_prepared
from dcmq.data.readers.matfiles import read_mat
from dcmq.data.source import Source

# Each registers its data set when it is imported.
for _module in ("scenes.load", "readers.coco", "readers.mirflickr", "readers.nuswide", "readers.folder"):
    import_module(f"dcmq.data.{_module}")

__all__ = [
    "DATASETS",
    "ReadOptions",
    "data_folder",
    "download",
    "find_prepared",
    "load_dataset",
    "preparable",
    "preparable_names",
    "read_source",
]


def load_dataset(name: str, root: str = "", **options) -> RetrievalDataset:
    """The data set ``name``; ``root`` is its folder where it is not generated, ``options`` go to its loader.

    Except for ``scenes`` and for ``coco`` in its official layout, ``root`` is a prepared folder, or the one under which
    ``dcmq data prepare`` put it. ``mirflickr:24581`` names a population.

    Raises:
        DcmqError: unknown name or option, a missing or empty root, a data set that is not prepared.
    """
    entry = _entry(name)
    try:
        if not entry.needs_root:
            return entry.load(**_checked(name, entry, options))
        folder = data_folder(root, name)
        if entry.load and ":" not in name and not (folder / DESCRIPTION).exists():
            return entry.load(folder, **_checked(name, entry, options))
        return load_prepared(find_prepared(name, folder), **options)
    except PermissionError as error:
        raise DcmqError(f"data_root: {error.filename} may not be read: check its permissions") from None


def _entry(name: str) -> DatasetEntry:
    plain, colon, _ = name.partition(":")
    if plain not in DATASETS or (colon and not DATASETS[plain].needs_root):
        raise DcmqError(
            f"dataset: {name!r} is not known{suggestion(name, DATASETS)} (known: {', '.join(sorted(DATASETS))})"
        )
    return DATASETS[plain]


def _checked(name: str, entry: DatasetEntry, options: dict) -> dict:
    """The ``options``. Raises DcmqError for one that the loader does not have, or a number that cannot be."""
    parameters = inspect.signature(entry.load).parameters
    known = [option for option in parameters if option != "root"]
    for option in options:
        if option not in known:
            raise DcmqError(
                f"dataset {name}: no option {option!r}{suggestion(option, known)} (known: {', '.join(known)}); "
                "check data_options"
            )
    check_whole(name, {option: value for option, value in options.items() if parameters[option].annotation is int})
    return options


def preparable(name: str) -> str:
    """The full name of a data set to prepare: ``mirflickr:20015`` for ``mirflickr``.

    Raises:
        DcmqError: an unknown data set or population, or one that is not prepared from files.
    """
    plain, _, population = name.partition(":")
    entry = DATASETS[plain] if plain in DATASETS else DatasetEntry()
    if entry.read is None or (population and population not in entry.populations):
        known = preparable_names()
        raise DcmqError(
            f"there is no data set {name!r} to prepare{suggestion(name, known)} (known: {', '.join(known)})"
        )
    return full_name(plain, population or entry.usual)


def preparable_names() -> list[str]:
    """Full names of everything that ``dcmq data prepare`` takes, sorted."""
    without_counts = [name for name, entry in DATASETS.items() if entry.read and not entry.populations]
    return sorted([*official_counts(), *without_counts])


def read_source(name: str, root: Path, options: ReadOptions, ready_made: bool = False) -> Source:
    """The samples of the population ``name``, a full name, in the files under ``root``.

    Args:
        ready_made: read ``.mat`` files in circulation instead of the official layout, where there are such.

    Raises:
        DcmqError: files that are missing or are not what they should be; an option that this data set does not know.
    """
    plain, _, population = name.partition(":")
    entry = DATASETS[plain]
    known = () if ready_made else entry.options
    for option in fields(options):
        if option.name not in known and getattr(options, option.name) != option.default:
            others = ", ".join(known) or "none of these options"
            raise DcmqError(f"{name} knows no {option.name.replace('_', ' ')}: leave it out (it knows: {others})")
    if ready_made:
        if not population:
            raise DcmqError(f"{name} is not in circulation as .mat files: leave --mat out")
        return read_mat(plain, population, root)
    return entry.read(root, population, options)


def download(name: str, root: Path) -> None:
    """Fetch and unpack the official archives into ``root``. Raises DcmqError for data sets that have none."""
    plain = name.partition(":")[0]
    if not DATASETS[plain].archives:
        raise DcmqError(f"{plain} has nothing to download: leave --download out")
    download_all(DATASETS[plain].archives, root)


def find_prepared(name: str, folder: Path) -> Path:
    """The prepared folder of ``name`` (``mirflickr``, ``mirflickr:24581``): ``folder`` itself or one under its
    ``prepared``.

    Raises:
        DcmqError: none, another data set's, or several of which none is the usual population.
    """
    plain, _, population = name.partition(":")
    if (folder / DESCRIPTION).exists():
        about = description(folder)
        if about["name"] != plain or population not in ("", about["population"]):
            content = full_name(about["name"], about["population"])
            raise DcmqError(f"data_root: {folder} holds {content}, not {name}")
        return folder
    prepared = {path.parent: description(path.parent) for path in sorted(folder.glob(f"prepared/*/{DESCRIPTION}"))}
    fitting = {
        path: about["population"]
        for path, about in prepared.items()
        if about["name"] == plain and population in ("", about["population"])
    }
    usual = {path for path, its_population in fitting.items() if its_population == DATASETS[plain].usual}
    chosen = usual if len(usual) == 1 else set(fitting)
    if len(chosen) != 1:
        if chosen:
            raise DcmqError(
                f"data_root: {folder} holds {', '.join(map(str, sorted(chosen)))}: name one of these as data_root"
            )
        raise DcmqError(f"{name} is not prepared under {folder}: dcmq data prepare {name} --root {shlex.quote(str(folder))}")
    return chosen.pop()


def data_folder(root: str, name: str) -> Path:
    """The folder ``root`` with the files of ``name``. Raises DcmqError if it is none, is empty, or cannot be read."""
    if not root:
        raise DcmqError(f"dataset {name} needs data_root: the folder that holds its files")
    folder = Path(os.path.expanduser(root))
    if not os.path.isdir(folder):  # Path.is_dir raises of names that no disk can hold
        raise DcmqError(f"data_root: {folder} does not exist")
    try:
        empty = not any(folder.iterdir())
    except PermissionError:
        raise DcmqError(f"data_root: {folder} may not be read: check its permissions") from None
    if empty:
        raise DcmqError(f"data_root: {folder} is empty; unpack the data set there")
    return folder

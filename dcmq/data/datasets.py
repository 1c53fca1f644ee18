"""Data sets by name: loaded, or read from the files of their authors. To add one: a reader that registers what it reads
(:func:`dcmq.data.catalog.register_dataset`), and its import below."""

import inspect
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.catalog import DATASETS, DatasetEntry, ReadOptions, full_name, official_counts
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.downloads import download_all
from dcmq.data.prepared import DESCRIPTION, description, load_prepared
from dcmq.data.readers import coco, folder, mirflickr, nuswide  # noqa: F401 (they register themselves)
from dcmq.data.readers.matfiles import read_mat
from dcmq.data.scenes import load  # noqa: F401 (registers itself)
from dcmq.data.source import Source

__all__ = ["DATASETS", "ReadOptions", "download", "find_prepared", "load_dataset", "preparable", "read_source"]


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
            return entry.load(**_known(name, entry, options))
        folder = data_folder(root, name)
        if entry.load and ":" not in name and not (folder / DESCRIPTION).exists():
            return entry.load(folder, **_known(name, entry, options))
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


def _known(name: str, entry: DatasetEntry, options: dict) -> dict:
    """``options``. Raises DcmqError for one that the loader does not have."""
    there = [option for option in inspect.signature(entry.load).parameters if option != "root"]
    for option in options:
        if option not in there:
            raise DcmqError(
                f"dataset {name}: no option {option!r}{suggestion(option, there)} (known: {', '.join(there)}); "
                "check data_options"
            )
    return options


def preparable(name: str) -> str:
    """``mirflickr`` to ``mirflickr:20015``. Raises DcmqError for an unknown data set or population."""
    plain, _, population = name.partition(":")
    entry = DATASETS[plain] if plain in DATASETS else DatasetEntry()
    if entry.read is None or (population and population not in entry.populations):
        raise DcmqError(f"there is no data set {name!r} to prepare (known: {', '.join(preparable_names())})")
    return full_name(plain, population or entry.usual)


def preparable_names() -> list[str]:
    """Full names of everything that ``dcmq data prepare`` takes."""
    without_counts = [name for name, entry in DATASETS.items() if entry.read and not entry.populations]
    return sorted([*official_counts(), *without_counts])


def read_source(name: str, root: Path, options: ReadOptions, ready_made: bool = False) -> Source:
    """What there is to prepare of the population ``name`` in the files under ``root``.

    Args:
        ready_made: read ``.mat`` files in circulation instead of the official layout, where there are such.

    Raises:
        DcmqError: files that are missing or are not what they should be.
    """
    plain, _, population = name.partition(":")
    entry = DATASETS[plain]
    return (
        read_mat(plain, population, root) if ready_made and entry.populations else entry.read(root, population, options)
    )


def download(name: str, root: Path) -> None:
    """Fetch and unpack the official archives. Raises DcmqError for data sets that have none."""
    plain = name.partition(":")[0]
    if not DATASETS[plain].archives:
        raise DcmqError(f"{plain} has nothing to download: leave --download out")
    download_all(DATASETS[plain].archives, root)


def find_prepared(name: str, folder: Path) -> Path:
    """The prepared folder of ``name`` (``mirflickr``, ``mirflickr:24581``): ``folder`` itself or one under its ``prepared``.

    Raises:
        DcmqError: none, another data set's, or several of which none is the usual population.
    """
    plain, _, population = name.partition(":")
    if (folder / DESCRIPTION).exists():
        about = description(folder)
        if about["name"] != plain or population not in ("", about["population"]):
            there = full_name(about["name"], about["population"])
            raise DcmqError(f"data_root: {folder} holds {there}, not {name}")
        return folder
    found = {path.parent: description(path.parent) for path in sorted(folder.glob(f"prepared/*/{DESCRIPTION}"))}
    fitting = {
        path: about["population"]
        for path, about in found.items()
        if about["name"] == plain and population in ("", about["population"])
    }
    usual = {path for path, there in fitting.items() if there == DATASETS[plain].usual}
    chosen = usual if len(usual) == 1 else set(fitting)
    if len(chosen) != 1:
        if chosen:
            raise DcmqError(
                f"data_root: {folder} holds {', '.join(map(str, sorted(chosen)))}: name one of these as data_root"
            )
        raise DcmqError(f"{name} is not prepared under {folder}: dcmq data prepare {name} --root {folder}")
    return chosen.pop()


def data_folder(root: str, name: str) -> Path:
    """``root`` as a folder with something in it. Raises DcmqError if it is none, or cannot be read."""
    if not root:
        raise DcmqError(f"dataset {name} needs data_root: the folder that holds its files")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DcmqError(f"data_root: {folder} does not exist")
    try:
        empty = not any(folder.iterdir())
    except PermissionError:
        raise DcmqError(f"data_root: {folder} may not be read: check its permissions") from None
    if empty:
        raise DcmqError(f"data_root: {folder} is empty; unpack the data set there")
    return folder

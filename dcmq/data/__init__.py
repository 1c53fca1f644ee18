"""Data sets by name. To add one: write a reader that returns a Source (or a loader that returns a RetrievalDataset) and
name it here."""

import difflib
import inspect
from pathlib import Path

from dcmq.data.dataset import RetrievalDataset
from dcmq.data.populations import DEFAULT, full_name
from dcmq.core.errors import DcmqError


def _scenes(root: str, **options) -> RetrievalDataset:
    from dcmq.data.scenes import load_scenes

    return load_scenes(**options)


def _coco(root: str, **options) -> RetrievalDataset:
    from dcmq.data.coco import load_coco
    from dcmq.data.prepared import DESCRIPTION

    folder = data_folder(root, "coco")
    if (folder / DESCRIPTION).exists():
        return _prepared("coco", root, **options)
    return load_coco(folder, **options)


def _prepared(name: str, root: str, **options) -> RetrievalDataset:
    from dcmq.data.prepared import load_prepared

    return load_prepared(find_prepared(name, data_folder(root, name)), **options)


DATASETS = {"scenes": _scenes, "coco": _coco}
PREPARED = ("coco", "folder", "mirflickr", "nuswide")  # what python -m dcmq.data prepare knows


def load_dataset(name: str, root: str = "", **options) -> RetrievalDataset:
    """The data set ``name``; ``root`` is its folder where it is not generated, ``options`` go to its loader.

    Except for ``scenes`` and for ``coco`` in its official layout, ``root`` is a prepared folder, or the one under which
    ``python -m dcmq.data prepare`` put it. ``mirflickr:24581`` names a population.

    Raises:
        DcmqError: unknown name or option, a missing or empty root, a data set that is not prepared.
    """
    known = sorted({*DATASETS, *PREPARED})
    plain = name.partition(":")[0]
    if name not in DATASETS and plain not in PREPARED:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DcmqError(f"dataset: {name!r} is not known{hint} (known: {', '.join(known)})")
    try:
        return DATASETS[name](root, **options) if name in DATASETS else _prepared(name, root, **options)
    except TypeError as error:
        if inspect.trace()[-1].function in ("_scenes", "_coco"):
            raise DcmqError(f"dataset {name}: {error}; check data_options") from None
        raise
    except PermissionError as error:
        raise DcmqError(f"data_root: {error.filename} may not be read: check its permissions") from None


def find_prepared(name: str, folder: Path) -> Path:
    """The prepared folder of ``name`` (``mirflickr``, ``mirflickr:24581``): ``folder`` itself or one under its ``prepared``.

    Raises:
        DcmqError: none, another data set's, or several of which none is the usual population.
    """
    from dcmq.data.prepared import DESCRIPTION, description

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
    usual = {path for path, there in fitting.items() if there == DEFAULT.get(plain)}
    chosen = usual if len(usual) == 1 else set(fitting)
    if len(chosen) != 1:
        if chosen:
            raise DcmqError(
                f"data_root: {folder} holds {', '.join(map(str, sorted(chosen)))}: name one of these as data_root"
            )
        raise DcmqError(f"{name} is not prepared under {folder}: python -m dcmq.data prepare {name} --root {folder}")
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

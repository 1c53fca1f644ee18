"""Data sets by name. To add one: write a loader that returns a RetrievalDataset and name it in ``DATASETS``."""

import difflib
import inspect
from pathlib import Path

from dcmq.data.dataset import RetrievalDataset
from dcmq.errors import DcmqError


def _scenes(root: str, **options) -> RetrievalDataset:
    from dcmq.data.scenes import load_scenes

    return load_scenes(**options)


def _coco(root: str, **options) -> RetrievalDataset:
    from dcmq.data.coco import load_coco

    return load_coco(_folder(root, "coco"), **options)


DATASETS = {"scenes": _scenes, "coco": _coco}


def load_dataset(name: str, root: str = "", **options) -> RetrievalDataset:
    """The data set ``name``; ``root`` is its folder where it is not generated, ``options`` go to its loader.

    Raises:
        DcmqError: unknown name or option, a missing or empty root.
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DcmqError(f"dataset: {name!r} is not known{hint} (known: {', '.join(sorted(DATASETS))})")
    try:
        return DATASETS[name](root, **options)
    except TypeError as error:
        if inspect.trace()[-1].function in ("_scenes", "_coco"):
            raise DcmqError(f"dataset {name}: {error}; check data_options") from None
        raise


def _folder(root: str, name: str) -> Path:
    if not root:
        raise DcmqError(f"dataset {name} needs data_root: the folder that holds its files")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DcmqError(f"data_root: {folder} does not exist")
    if not any(folder.iterdir()):
        raise DcmqError(f"data_root: {folder} is empty; unpack the data set there")
    return folder

"""Embeddings made elsewhere, so that a model that is hard to install can still teach."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.teachers.base import Teacher, l2_normalize, register_teacher


class Precomputed(Teacher):
    """``precomputed:FILE``: npz (without pickle) or safetensors with ``image_id`` (n,), ``image`` and ``text`` (n, d).

    ``label_text`` is read where ``text`` is absent. Rows may stand in any order and cover more than the data set.

    Raises:
        DcmqError: missing file or array, shapes that disagree, NaN, all-zero rows, repeated ids.
    """

    def __init__(self, file: str):
        path = Path(file).expanduser()
        arrays = _read(path)
        text = "text" if "text" in arrays else "label_text"
        for name in ("image_id", "image", text):
            if name not in arrays:
                raise DcmqError(f"teacher: {path} has no array {name!r} (it has {', '.join(sorted(arrays))})")
        self.ids, image, words = _whole(arrays["image_id"]), arrays["image"], arrays[text]
        if image.ndim != 2 or image.shape != words.shape or len(image) != len(self.ids):
            raise DcmqError(
                f"teacher: {path}: image {image.shape}, {text} {words.shape} and {len(self.ids)} ids disagree"
            )
        for name, array in (("image", image), (text, words)):
            bad = np.flatnonzero(~np.isfinite(array.astype(np.float32)).all(1) | (np.abs(array).max(1) == 0))
            if len(bad):
                raise DcmqError(
                    f"teacher: {path}: {len(bad)} rows of {name} are NaN or zero (first id: {self.ids[bad[0]]})"
                )
        self.row = {str(key): i for i, key in enumerate(self.ids.tolist())}
        if len(self.row) != len(self.ids):
            raise DcmqError(f"teacher: {path} names {len(self.ids) - len(self.row)} image ids twice")
        self.image, self.text = l2_normalize(torch.from_numpy(image)), l2_normalize(torch.from_numpy(words))
        self.name = f"precomputed:{path.name}"
        self.parameters = 0
        self.fingerprint = digest(self.image, self.text, [str(i) for i in self.ids.tolist()])
        self.description = (
            f"precomputed embeddings {path.name}, {len(self.ids):,} x {image.shape[1]}, {self.fingerprint}"
        )

    def embed_dataset(self, dataset, progress=True):
        """See :class:`Teacher`. Raises DcmqError if the file lacks a sample of the data set."""
        wanted = [str(key) for key in dataset.ids.tolist()]
        missing = [key for key in wanted if key not in self.row]
        if missing:
            raise DcmqError(
                f"teacher: {self.name} lacks {len(missing)} of {len(wanted)} samples (first id: {missing[0]})"
            )
        rows = [self.row[key] for key in wanted]
        return self.image[rows], self.text[rows]


def _whole(ids: np.ndarray) -> np.ndarray:
    """Numbers that a table turned into floats, as the whole numbers that they were."""
    return ids.astype(np.int64) if ids.dtype.kind == "f" and (ids % 1 == 0).all() else ids


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DcmqError(f"teacher: no file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile, SafetensorError) as error:
        raise DcmqError(f"teacher: {path} is no readable npz or safetensors file ({error})") from None


@register_teacher("precomputed:FILE")
def _make(name: str, dataset: str) -> Precomputed:
    file = name.partition(":")[2]
    if not file:
        raise DcmqError("teacher: precomputed needs a file of embeddings; write precomputed:FILE")
    return Precomputed(file)

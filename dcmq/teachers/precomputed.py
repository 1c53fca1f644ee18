"""Embeddings made elsewhere, so that a model that is hard to install can still teach."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.teachers.base import Teacher, TeacherFacts, l2_normalize, register_teacher


class Precomputed(Teacher):
    """A file of embeddings, npz (without pickle) or safetensors: ``image_id`` (n,), ``image`` and ``text`` (n, d).

    ``label_text`` is read where ``text`` is absent. Rows may stand in any order and cover more than the data set.

    Raises:
        DcmqError: missing file or array, shapes that disagree, NaN, all-zero rows, repeated ids.
    """

    def __init__(self, file: str):
        path = Path(file).expanduser()
        arrays = _read(path)
        text_name = "text" if "text" in arrays else "label_text"
        for name in ("image_id", "image", text_name):
            if name not in arrays:
                raise DcmqError(f"teacher: {path} has no array {name!r} (it has {', '.join(sorted(arrays))})")
        self.ids, image, text = _whole(arrays["image_id"]), arrays["image"], arrays[text_name]
        if image.ndim != 2 or image.shape != text.shape or len(image) != len(self.ids):
            raise DcmqError(
                f"teacher: {path}: image {image.shape}, {text_name} {text.shape} and {len(self.ids)} ids disagree"
            )
        for name, array in (("image", image), (text_name, text)):
            bad = np.flatnonzero(~np.isfinite(array.astype(np.float32)).all(1) | (np.abs(array).max(1) == 0))
            if len(bad):
                raise DcmqError(
                    f"teacher: {path}: {len(bad)} rows of {name} are NaN or zero (first id: {self.ids[bad[0]]})"
                )
        self.row = {str(key): i for i, key in enumerate(self.ids.tolist())}
        if len(self.row) != len(self.ids):
            raise DcmqError(f"teacher: {path} names {len(self.ids) - len(self.row)} image ids twice")
        self.image, self.text = l2_normalize(torch.from_numpy(image)), l2_normalize(torch.from_numpy(text))
        self.name = f"precomputed:{path.name}"
        self.parameters = 0
        self.fingerprint = digest(self.image, self.text, [str(i) for i in self.ids.tolist()])
        self.description = (
            f"precomputed embeddings {path.name}, {len(self.ids):,} x {image.shape[1]}, {self.fingerprint}"
        )

    def embed_dataset(self, dataset, progress=True):
        """Unit vectors (n, d) of images and label sentences, in row order. Raises DcmqError if the file lacks a
        sample."""
        names = [str(key) for key in dataset.ids.tolist()]
        missing = [key for key in names if key not in self.row]
        if missing:
            raise DcmqError(
                f"teacher: {self.name} lacks {len(missing)} of {len(names)} samples (first id: {missing[0]})"
            )
        rows = [self.row[key] for key in names]
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


@register_teacher(
    "precomputed:FILE",
    description=TeacherFacts(
        source="embeddings of any model, made in your own script",
        embedding="any",
        checked="shapes, ids, numbers; not which model it was",
    ),
)
def _make(name: str, dataset: str) -> Precomputed:
    return Precomputed(name.partition(":")[2])

"""Embeddings made elsewhere, so that a model that is hard to install can still teach."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.teachers.base import Teacher, TeacherFacts, l2_normalize, register_teacher


class Precomputed(Teacher):
    """A file of embeddings, npz (without pickle) or safetensors: ``image_id`` (n,), numbers or names, ``image`` and ``text``
    (n, d), floating point of any precision and length.

    ``label_text`` is read where ``text`` is absent. Rows may stand in any order and cover more than the data set.

    Raises:
        DcmqError: missing file or array, other types, shapes that disagree, NaN, all-zero rows, repeated ids.
    """

    def __init__(self, file: str):
        path = Path(os.path.expanduser(file))
        arrays = _read(path)
        text_name = "text" if "text" in arrays else "label_text"
        for name in ("image_id", "image", text_name):
            if name not in arrays:
                raise DcmqError(f"teacher: {path} has no array {name!r} (it has {', '.join(sorted(arrays)) or 'none'})")
        self.ids, image, text = _ids(path, arrays["image_id"]), arrays["image"], arrays[text_name]
        for name, array in (("image", image), (text_name, text)):
            if array.dtype.kind != "f":
                raise DcmqError(f"teacher: {path}: {name} holds {array.dtype}, not floating-point numbers")
        if image.ndim != 2 or not image.size or image.shape != text.shape or len(image) != len(self.ids):
            raise DcmqError(
                f"teacher: {path}: image {image.shape}, {text_name} {text.shape} and {len(self.ids)} ids disagree"
            )
        for name, array in (("image", image), (text_name, text)):
            bad = np.flatnonzero(~np.isfinite(array).all(1) | (np.abs(array).max(1) == 0))
            if len(bad):
                raise DcmqError(
                    f"teacher: {path}: {len(bad)} rows of {name} are NaN or zero (first id: {self.ids[bad[0]]})"
                )
        self.row = {_name(key): i for i, key in enumerate(self.ids.tolist())}
        if len(self.row) != len(self.ids):
            raise DcmqError(f"teacher: {path} names {len(self.ids) - len(self.row)} image ids twice")
        self.image, self.text = _unit(image), _unit(text)
        self.name = f"precomputed:{path.name}"
        self.parameters = 0
        self.fingerprint = digest(self.image, self.text, [str(i) for i in self.ids.tolist()])
        self.description = (
            f"precomputed embeddings {path.name}, {len(self.ids):,} x {image.shape[1]}, {self.fingerprint}"
        )

    def embed_dataset(self, dataset, progress=True):
        """Unit vectors (n, d) of images and label sentences, in row order. Raises DcmqError if the file lacks a
        sample."""
        names = [_name(key) for key in dataset.ids.tolist()]
        missing = [key for key in names if key not in self.row]
        if missing:
            raise DcmqError(
                f"teacher: {self.name} lacks {len(missing)} of {len(names)} samples (first id: {missing[0]})"
            )
        rows = [self.row[key] for key in names]
        return self.image[rows], self.text[rows]


def _ids(path: Path, ids: np.ndarray) -> np.ndarray:
    """(n,) whole numbers or names; numbers that a table turned into floats are the whole numbers that they were."""
    if ids.ndim != 1 or ids.dtype.kind not in "iufUS":
        raise DcmqError(f"teacher: {path}: image_id is {ids.dtype} {ids.shape}, not (n,) whole numbers or names")
    if ids.dtype.kind == "S":
        return np.array([name.decode("utf-8", "backslashreplace") for name in ids.tolist()])
    if ids.dtype.kind == "f":
        exact = 2 ** min(np.finfo(ids.dtype).nmant + 1, 53)  # of larger ones, several were rounded to one
        if not ((np.abs(ids.astype(np.float64)) < exact) & (ids % 1 == 0)).all():
            raise DcmqError(f"teacher: {path}: image_id holds numbers that are not whole, or too large for {ids.dtype}")
        return ids.astype(np.int64)
    return ids


def _name(key: int | str) -> str:
    """An id as text, in the spelling that data sets have."""
    return unicodedata.normalize("NFC", str(key))


def _unit(array: np.ndarray) -> torch.Tensor:
    """The rows of ``array`` (n, d) at length 1, float32. Squares of numbers such as 1e-30 or 1e25 are none in float32: a power of
    two is taken out of each row first, which changes no digit."""
    array = array.astype(np.float32) if array.dtype.itemsize < 4 else array
    _, exponents = np.frexp(np.abs(array).max(1, keepdims=True))
    scaled = np.ldexp(array, -exponents)
    return l2_normalize(torch.from_numpy(scaled.astype(np.float64) if scaled.dtype.itemsize > 8 else scaled))


def _read(path: Path) -> dict[str, np.ndarray]:
    if not os.path.isfile(path):  # Path.is_file raises of names that no disk can hold
        raise DcmqError(f"teacher: no file {path}")
    try:
        if path.suffix.lower() == ".safetensors":
            return {name: _array(name, tensor) for name, tensor in load_file(path).items()}
        with np.load(path, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
            return {name: member for name, member in members.items() if isinstance(member, np.ndarray)}
    except DcmqError:
        raise
    except Exception as error:  # zip, zlib, numpy and safetensors raise of many kinds where bytes are damaged
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DcmqError(f"teacher: {path} is no readable npz or safetensors file ({reason})") from None


def _array(name: str, tensor: torch.Tensor) -> np.ndarray:
    """``tensor`` in numpy, which knows no bfloat16: short floating-point numbers are exact in float32. Raises DcmqError of ids in
    such, as most were rounded."""
    short = tensor.is_floating_point() and tensor.element_size() <= 2 and tensor.dtype != torch.float16
    if short and name == "image_id":
        raise DcmqError(f"teacher: image_id is {tensor.dtype}, which rounds most whole numbers: write whole numbers")
    return (tensor.float() if short else tensor).numpy()


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

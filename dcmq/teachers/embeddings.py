"""A teacher's embeddings of a data set, computed once and kept."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import cache_dir
from dcmq.core.storage import CorruptFile, load_tensors, locked, save_tensors
from dcmq.core.user_code import code_fingerprint
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.lazy_images import LazyImages
from dcmq.teachers.base import Teacher, TeacherEmbeddings, l2_normalize

TEXT_RECIPE = "label names in class order joined by one space"


def embed(teacher: Teacher, dataset: RetrievalDataset, progress: bool = True) -> TeacherEmbeddings:
    """The teacher's embeddings of ``dataset``, from the cache if they were made before. Images that are made on demand are
    embedded on demand.

    The cache key is (teacher, data, text recipe, code). A damaged file is written again; a second process waits for the
    first.

    Raises:
        DcmqError: an embedding that is not a number.
    """
    code = code_fingerprint(type(teacher))
    embeddings = TeacherEmbeddings(
        vectors=lambda: _vectors(teacher, dataset, code, progress),
        name=teacher.name,
        description=teacher.description,
        parameters=teacher.parameters,
        fingerprint=teacher.fingerprint,
        code=code,
        encode_texts=teacher.encode_texts if teacher.reads_any_text else None,
    )
    if not isinstance(dataset.images, LazyImages):
        _ = embeddings.image  # now, so that what is wrong is said before anything is trained
    return embeddings


def _vectors(teacher: Teacher, dataset: RetrievalDataset, code: str, progress: bool) -> tuple[Tensor, Tensor]:
    key = digest(teacher.fingerprint, dataset.fingerprint, dataset.image_code, TEXT_RECIPE, code)

    def made() -> dict[str, Tensor]:
        image, text = teacher.embed_dataset(dataset, progress)
        return {"image": image.to(teacher.stored), "text": text.to(teacher.stored).clone()}  # no shared memory

    facts = {"teacher": teacher.description, "dataset": dataset.name, "text": TEXT_RECIPE}
    tensors = kept(key, made, teacher.name, facts)
    return _full(tensors["image"]), _full(tensors["text"])


def kept(key: str, make: Callable[[], dict[str, Tensor]], teacher: str, facts: dict[str, str]) -> dict[str, Tensor]:
    """The tensors of ``key`` that lie in the cache, or those of ``make``, which are kept there.

    Args:
        key: identifies all that decides them. facts: written beside them, for who looks into the file.

    Raises:
        DcmqError: the ``teacher`` gave a number that is none.
    """
    path = cache_dir() / "embeddings" / f"{key}.safetensors"
    tensors = _found(path, key)
    if tensors is None:
        with locked(path.with_suffix(".lock")):
            tensors = _found(path, key)  # by the process that had the lock
            if tensors is None:
                tensors = make()
                if not all(vectors.isfinite().all() for vectors in tensors.values()):
                    raise DcmqError(f"teacher {teacher} gave NaN: its weights or preprocessing are broken")
                save_tensors(path, tensors, facts | {"key": key})
    return tensors


def _found(path: Path, key: str) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        tensors, facts = load_tensors(path)
    except CorruptFile:
        tensors, facts = {}, {}
    if facts.get("key") == key:
        return tensors
    print(f"{path} is damaged, or another file under this name: it is made again", file=sys.stderr)
    return None


def _full(vectors: Tensor) -> Tensor:
    """float32; vectors that were kept in half precision get their length of 1 back."""
    return vectors if vectors.dtype == torch.float32 else l2_normalize(vectors)

"""Teachers by name, and their embeddings computed once. To add one: a subclass of Teacher and a line in ``resolve_teacher``."""

import difflib

import torch
from filelock import FileLock
from torch import Tensor

from dcmq.data.dataset import RetrievalDataset
from dcmq.core.errors import DcmqError
from dcmq.core.paths import cache_dir
from dcmq.core.hashing import digest
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors
from dcmq.teachers.base import Teacher, TeacherEmbeddings, unit

KNOWN = (
    *("clip", "clip-wide", "clip-rn50", "clip-vit-b32", "clip-vit-l14", "open_clip:ARCH/TAG", "open_clip:ARCH//FILE"),
    *("declip-rn50:FILE", "declip-vit-b32:FILE", "albef:FILE", "blip-vit-b", "blip-vit-b:FOLDER", "precomputed:FILE"),
)
TEXT_RECIPE = "label names in class order joined by one space"


def resolve_teacher(name: str, dataset: str) -> Teacher:
    """The teacher that ``name`` means on data set ``dataset``; ``clip`` is the bundled one on ``scenes``, else ViT-B/32.

    Raises:
        DcmqError: unknown name, or weights that cannot be had.
    """
    kind, _, rest = name.partition(":")
    if kind == "precomputed" and rest:
        from dcmq.teachers.precomputed import Precomputed

        return Precomputed(rest)
    if name in ("clip", "clip-wide") and dataset == "scenes":
        from dcmq.teachers.scenes_clip import BundledClip

        return BundledClip(name)
    if name == "clip-wide":
        raise DcmqError(f"teacher: clip-wide knows scenes only, not {dataset}; use clip or open_clip:ARCH/TAG")
    if name in ("clip", "clip-rn50", "clip-vit-b32", "clip-vit-l14") or (kind == "open_clip" and rest):
        from dcmq.teachers.openclip import NAMED, OpenClip

        return OpenClip(name) if rest else OpenClip(NAMED["clip-vit-b32" if name == "clip" else name], name)
    if kind in ("declip-rn50", "declip-vit-b32"):
        from dcmq.teachers.declip import Declip

        return Declip(name)
    if kind == "albef":
        from dcmq.teachers.albef import Albef

        return Albef(name)
    if kind == "blip-vit-b":
        from dcmq.teachers.blip import Blip

        return Blip(name)
    close = difflib.get_close_matches(name, KNOWN, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise DcmqError(f"teacher: {name!r} is not known{hint} (known: {', '.join(KNOWN)})")


def embed(teacher: Teacher, dataset: RetrievalDataset, progress: bool = True) -> TeacherEmbeddings:
    """The teacher's embeddings of ``dataset``, from the cache if they were made before.

    The cache key is (teacher, data, text recipe). A damaged file is made again; a second process waits for the first.

    Raises:
        DcmqError: an embedding that is not a number.
    """
    key = digest(teacher.fingerprint, dataset.fingerprint, TEXT_RECIPE)
    path = cache_dir() / "embeddings" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        try:
            tensors, _ = load_tensors(path)
        except CorruptFile:  # absent files are reported so too
            image, text = teacher.embed_dataset(dataset, progress)
            if not (image.isfinite().all() and text.isfinite().all()):
                raise DcmqError(f"teacher {teacher.name} gave NaN: its weights or preprocessing are broken") from None
            tensors = {"image": image.to(teacher.stored), "text": text.to(teacher.stored)}
            save_tensors(path, tensors, {"teacher": teacher.resolved, "dataset": dataset.name, "text": TEXT_RECIPE})
    return TeacherEmbeddings(
        image=_full(tensors["image"]),
        text=_full(tensors["text"]),
        name=teacher.name,
        resolved=teacher.resolved,
        parameters=teacher.parameters,
        fingerprint=teacher.fingerprint,
    )


def _full(vectors: Tensor) -> Tensor:
    """float32; vectors that were kept in half precision get their length of 1 back."""
    return vectors if vectors.dtype == torch.float32 else unit(vectors)

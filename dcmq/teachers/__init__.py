"""Teachers by name, and their embeddings computed once. To add one: a subclass of Teacher and a line in ``resolve_teacher``."""

import difflib

from filelock import FileLock

from dcmq.data.dataset import RetrievalDataset
from dcmq.errors import DcmqError
from dcmq.paths import cache_dir
from dcmq.storage import CorruptFile, digest, load_tensors, save_tensors
from dcmq.teachers.base import Teacher, TeacherEmbeddings

KNOWN = ("clip", "clip-wide", "open_clip:ARCH/TAG", "open_clip:ARCH//FILE", "precomputed:FILE")
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
    if name == "clip" or (kind == "open_clip" and rest):
        from dcmq.teachers.openclip import OpenClip

        return OpenClip("ViT-B-32/openai", "clip") if name == "clip" else OpenClip(name)
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
            tensors = {"image": image, "text": text}
            save_tensors(path, tensors, {"teacher": teacher.resolved, "dataset": dataset.name, "text": TEXT_RECIPE})
    return TeacherEmbeddings(
        image=tensors["image"].float(),
        text=tensors["text"].float(),
        name=teacher.name,
        resolved=teacher.resolved,
        parameters=teacher.parameters,
        fingerprint=teacher.fingerprint,
    )

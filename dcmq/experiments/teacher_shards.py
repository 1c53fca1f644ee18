"""A teacher's embeddings of a large data set, made in shards of rows: an end in the middle costs one of them."""

import shutil
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cache, partial
from mmap import mmap
from multiprocessing import parent_process
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dcmq.core.arrays import new_array
from dcmq.core.errors import DcmqError
from dcmq.core.executors import scheduler_address
from dcmq.core.hashing import digest
from dcmq.core.paths import cache_dir
from dcmq.core.shards import make_on_cluster
from dcmq.core.storage import CorruptFile, load_tensors, save_tensors
from dcmq.core.user_code import code_fingerprint
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.lazy_images import LazyImages
from dcmq.teachers.base import TEACHERS, Encoder, Teacher, TeacherEmbeddings
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher

_BATCH = 128  # images, the batch of Encoder.embed_dataset: in another one the last bits may be others
_SHARD = 8  # batches: a minute of ViT-B/32 on a few cores
_FEW = 2  # shards that are not worth files
_alone = Lock()  # a worker of a cluster may have threads; they share one copy of the teacher


def embed_in_shards(teacher: Teacher, dataset: RetrievalDataset, progress: bool = True) -> TeacherEmbeddings:
    """The embeddings that :func:`dcmq.teachers.embeddings.embed` gives, to the bit. Embedding a large data set goes on
    where an earlier process was ended.

    This process embeds with torch's threads, as several copies of a large teacher may not fit into memory; or the
    workers of the cluster that ``$DCMQ_SCHEDULER`` names, if the teacher is one of the package's. Images that are made
    on demand are embedded by whoever needs them: tasks of that cluster may be waiting for them.

    Raises:
        DcmqError: an embedding that is not a number, or what :func:`dcmq.core.shards.make_on_cluster` raises.
    """
    if type(teacher).embed_dataset is not Encoder.embed_dataset or len(_shards(len(dataset.ids))) <= _FEW:
        return embed(teacher, dataset, progress)
    code = code_fingerprint(type(teacher))
    key = digest(teacher.fingerprint, code, dataset.fingerprint, dataset.image_code, _BATCH)
    folder = cache_dir() / "embeddings" / f"{key}.shards"
    resuming = copy(teacher)
    resuming.embed_dataset = partial(_embed_dataset, resuming, folder)
    made = embed(resuming, dataset, progress)

    def vectors() -> tuple[Tensor, Tensor]:
        both = made.image, made.text
        shutil.rmtree(folder, ignore_errors=True)  # now that all is in one file
        return both

    embeddings = replace(made, vectors=vectors)
    if not isinstance(dataset.images, LazyImages):
        _ = embeddings.image
    return embeddings


def _shards(n: int) -> list[list[np.ndarray]]:
    """The rows of each batch of each shard."""
    batches = np.array_split(np.arange(n), max(1, -(-n // _BATCH)))
    return [batches[first : first + _SHARD] for first in range(0, len(batches), _SHARD)]


def _embed_dataset(teacher: Encoder, folder: Path, dataset: RetrievalDataset, progress: bool = True):
    """Unit vectors (n, d) of images and of label sentences by ``Encoder.embed_dataset``, which looks those of images up
    in the shards."""
    vectors = _image_vectors(teacher, folder, dataset, progress)
    rows = LazyImages(dataset.images.shape, lambda: np.arange(len(vectors)))
    reader = copy(teacher)
    reader.encode_images = lambda rows: vectors[rows[0] : rows[-1] + 1]  # no copy: together they are as large as all
    return Encoder.embed_dataset(reader, replace(dataset, images=rows), progress=False)


def _image_vectors(teacher: Encoder, folder: Path, dataset: RetrievalDataset, progress: bool) -> Tensor:
    """(n, d) unit vectors of the images, from the shards in ``folder`` as far as they are there and whole."""
    shards = {
        folder / f"{batches[0][0]}-{batches[-1][-1] + 1}.safetensors": batches for batches in _shards(len(dataset.ids))
    }
    missing = {file: batches for file, batches in shards.items() if _stored(file) is None}
    images, total = np.asanyarray(dataset.images), sum(map(len, shards.values()))
    initial = total - sum(map(len, missing.values()))
    quiet = not progress or parent_process() is not None
    with tqdm(total=total, initial=initial, desc=f"teacher {teacher.name}", unit="batch", disable=quiet) as bar:
        scheduler = "" if isinstance(dataset.images, LazyImages) else scheduler_address()
        if scheduler and len(missing) > 1 and _is_packages(teacher.name):
            _encode_elsewhere(teacher, dataset.name, images, folder, missing, scheduler, bar)
            missing = {file: batches for file, batches in missing.items() if _stored(file) is None}
        for file, batches in missing.items():
            save_tensors(file, {"image": _encode(teacher, images, batches, bar)})
    return _joined(list(shards), len(images))


def _joined(shards: Sequence[Path], n: int) -> Tensor:
    """(n, d) the rows of all shards, of which one at a time is in memory beside."""
    vectors, done = None, 0
    for file in shards:
        part = load_tensors(file)[0]["image"]
        vectors = part.new_empty(n, part.shape[1]) if vectors is None else vectors
        vectors[done : done + len(part)] = part
        done += len(part)
    return vectors


def _encode(teacher: Encoder, images: np.ndarray, batches: Sequence[np.ndarray], bar: tqdm | None = None) -> Tensor:
    parts = []
    for rows in batches:
        parts.append(teacher.encode_images(np.asarray(images[rows])))
        if not parts[-1].isfinite().all():
            raise DcmqError(f"teacher {teacher.name} gave NaN: its weights or preprocessing are broken")
        if bar is not None:
            bar.update()
    return torch.cat(parts)


def _stored(file: Path) -> Tensor | None:
    """The vectors of a shard; None where it is not there, or damaged: then it is named and deleted."""
    if not file.is_file():
        return None
    try:
        return load_tensors(file)[0]["image"]
    except CorruptFile:
        print(f"{file} is damaged: its images are embedded again", file=sys.stderr)
        file.unlink()
        return None


def _encode_elsewhere(
    teacher: Encoder, dataset: str, images: np.ndarray, folder: Path, shards: dict, scheduler: str, bar: tqdm
) -> None:
    facts, where = (teacher.name, dataset, *_identity(teacher)), _file_of(images, folder)
    make_on_cluster(
        _embed_shard,
        {file: (facts, where, digest(images[batches[0][0]]), batches) for file, batches in shards.items()},
        {file: f"teacher {teacher.name}, rows {file.stem}" for file in shards},
        scheduler,
        lambda file: bar.update(len(shards[file])),
        lambda line: bar.write(line, file=sys.stderr),
    )


def _embed_shard(file: Path, facts: tuple[str, ...], where: Path, first: str, batches: Sequence[np.ndarray]) -> None:
    """Embed a shard as a worker of a cluster does.

    Args:
        facts: the teacher's name, that of the data set, and the teacher's identity.
        where: file of the images. first: a hash of the shard's first one.
    """
    name, dataset, *identity = facts
    try:
        images = np.load(where, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DcmqError(f"a worker of the cluster cannot read {where} ({error}): it must see that folder") from None
    if digest(images[batches[0][0]]) != first:
        raise DcmqError(f"a worker of the cluster finds other images in {where}: it must see the same folder")
    with _alone:
        teacher = _teacher(name, dataset)
        if _identity(teacher) != tuple(identity):
            raise DcmqError(
                f"teacher {name}: a worker of the cluster finds other weights or code, or only one side has a GPU: start "
                "the workers with the same version and the same files as this process"
            )
        save_tensors(file, {"image": _encode(teacher, images, batches)})


def _identity(teacher: Encoder) -> tuple[str, str]:
    return teacher.fingerprint, code_fingerprint(type(teacher))


_teacher = cache(resolve_teacher)  # of a worker


def _is_packages(name: str) -> bool:
    """True for a teacher that any process of this package makes by its name."""
    short = name.partition(":")[0]
    return short in TEACHERS and TEACHERS.is_own(short)


def _file_of(images: np.ndarray, folder: Path) -> Path:
    """The ``.npy`` file that holds ``images``; one in ``folder`` is written where they are in memory."""
    if isinstance(images, np.memmap) and isinstance(images.base, mmap) and str(images.filename).endswith(".npy"):
        return Path(images.filename).absolute()
    file = folder / "images.npy"
    folder.mkdir(parents=True, exist_ok=True)
    with new_array(file, images.shape) as store:
        store[:] = images
    return file

"""The benchmark ``scenes``, version 2: samples drawn on first use and cached."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

import numpy as np
from tqdm.auto import tqdm

from dcmq.core.arrays import cached_array
from dcmq.core.code import fingerprint
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import cache_dir
from dcmq.data.bow import bag_of_words
from dcmq.data.catalog import DatasetEntry, register_dataset
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.lazy_images import LazyImages
from dcmq.data.scenes.drawing import SIDE
from dcmq.data.scenes.grammar import CLASSES
from dcmq.data.scenes.sample import VERSION, make_scene, plan_of
from dcmq.data.scenes.wording import TERSE, title
from dcmq.data.splits import Split, draw_split

LARGEST = 10**6
_CHUNK = 500


def _images_of(names: list[str]) -> np.ndarray:
    return np.stack([make_scene(name).image for name in names])


def load_scenes(
    seed: int = 0, query: int = 500, train: int = 2000, gallery: int = 5500, label_missing: float = 0.1
) -> RetrievalDataset:
    """The draw ``seed`` of the benchmark, version 2, made on first use and cached.

    Each seed is a data set of its own: other images, texts, queries and training samples of the same kind.

    Args:
        query, train, gallery: sizes of the split, train within gallery; query + gallery is at most 10^6.
        seed: of scenes, split and forgotten labels.
        label_missing: chance that annotators forgot a label (ours, chosen before any result; at least one is kept).
            Relevance always uses the true labels.

    Raises:
        DcmqError: sizes that do not fit, or ``label_missing`` outside [0, 1).
    """
    n = query + gallery
    if n > LARGEST:
        raise DcmqError(f"scenes: query + gallery is {n}, the most is {LARGEST}")
    if not 0 <= label_missing < 1:
        raise DcmqError(f"scenes: label_missing is {label_missing}, not in [0, 1)")
    split = draw_split(n, query, train, gallery, seed)
    choices = dict(version=VERSION, seed=seed, query=query, train=train, gallery=gallery, label_missing=label_missing)

    samples = [make_scene(f"{seed}:{i}", with_image=False) for i in range(n)]
    labels = np.zeros((n, len(CLASSES)), np.uint8)
    for row, sample in enumerate(samples):
        labels[row, list(sample.labels)] = 1
    tags = [sample.tags for sample in samples]
    bow, vocabulary = bag_of_words([" ".join(row_tags) for row_tags in tags], split.train, min_rows=2, stop=False)
    stored = _stored_split(split, digest(choices))
    return RetrievalDataset(
        name="scenes",
        ids=np.arange(n),
        classes=CLASSES,
        labels=labels,
        train_labels=_forget(labels, label_missing, seed),
        images=LazyImages((n, SIDE, SIDE, 3), lambda: _images(seed, n)),
        bow=bow,
        vocabulary=vocabulary,
        captions=tuple((sample.caption,) for sample in samples),
        tags=tuple(map(tuple, tags)),
        backgrounds=np.array([sample.background for sample in samples]),
        split=stored,
        fingerprint=digest(choices, stored.hash, labels),
        choices=choices,
        image_code=fingerprint("dcmq.data.scenes.sample"),
    )


def caption_pairs(seed: int, start: int, count: int) -> tuple[np.ndarray, list[str]]:
    """Images (count, 64, 64, 3) uint8 and their captions, to train a teacher on; never a sample of the benchmark.

    A share ``TERSE`` of the captions is titles of bare words, the others sentences.
    """
    names = [f"pairs:{seed}:{i}" for i in range(start, start + count)]
    return _draw_all(names, np.empty((count, SIDE, SIDE, 3), np.uint8)), [_web_text(name) for name in names]


def labelled_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 64, 64, 3) uint8 and their labels (count, C) uint8, to train a backbone on; never a sample of the
    benchmark, nor a pair that a teacher saw."""
    names = [f"labelled:{i}" for i in range(count)]
    labels = np.zeros((count, len(CLASSES)), np.uint8)
    for row, name in enumerate(names):
        labels[row, list(plan_of(name).labels)] = 1
    return _draw_all(names, np.empty((count, SIDE, SIDE, 3), np.uint8)), labels


def _web_text(name: str) -> str:
    rng = random.Random(f"title:{name}")
    if rng.random() < TERSE:
        return title(rng, plan_of(name))
    return make_scene(name, with_image=False).caption


def _forget(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    kept = labels * (rng.random(labels.shape) >= share)
    for row in np.flatnonzero(kept.sum(1) == 0):  # someone always names one thing
        kept[row, rng.choice(np.flatnonzero(labels[row]))] = 1
    return kept.astype(np.uint8)


def _stored_split(split: Split, key: str) -> Split:
    path = cache_dir() / "splits" / f"scenes-{key}.json"
    if path.is_file() and Split.load(path).hash == split.hash:
        return split
    split.save(path)
    return split


def _images(seed: int, n: int) -> np.ndarray:
    """The first ``n`` images of ``seed``, memory-mapped; drawn where the cache does not have them."""
    names = [f"{seed}:{i}" for i in range(n)]
    code = fingerprint("dcmq.data.scenes.sample")
    path = cache_dir() / "scenes" / f"{VERSION}-{seed}-{n}-{code}.npy"
    return cached_array(path, (n, SIDE, SIDE, 3), lambda images: _draw_all(names, images))


def _draw_all(names: list[str], images: np.ndarray) -> np.ndarray:
    """Draw the images of ``names`` into ``images``, (n, 64, 64, 3) uint8. Returns ``images``."""
    parts = [names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)]
    with tqdm(total=len(names), unit="image", desc="drawing scenes", disable=len(parts) < 4 or parent_process() is not None) as bar:
        for i, part in enumerate(_drawn(parts)):
            images[i * _CHUNK : i * _CHUNK + len(part)] = part
            bar.update(len(part))
    return images


def _drawn(parts: list[list[str]]) -> Iterator[np.ndarray]:
    """The images of each part, by several processes where that is quicker."""
    workers = os.cpu_count() or 1
    if len(parts) < 40 or workers == 1:  # starting workers takes longer than drawing 20,000 images
        yield from map(_images_of, parts)
        return
    done = 0
    try:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            for images in pool.map(_images_of, parts):
                yield images
                done += 1
    except BrokenProcessPool:  # a script from standard input, or without a main guard, cannot start workers
        yield from map(_images_of, parts[done:])


register_dataset("scenes", DatasetEntry(load=load_scenes, needs_root=False, draws=True))

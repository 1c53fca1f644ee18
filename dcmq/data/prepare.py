"""Prepared folders written from a source, and verified later."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import dcmq
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.storage import locked, require_space
from dcmq.data.catalog import full_name
from dcmq.data.decode import DECODER, decoded, image_key, names_key, repeated
from dcmq.data.open_images import too_large
from dcmq.data.options import check_fit, check_whole
from dcmq.data.own_folder import forget_splits, require_own, sweep_own
from dcmq.data.populations import check_counts
from dcmq.data.prepared import (
    DESCRIPTION,
    FORMAT,
    IMAGES,
    bags_of_words,
    description,
    file_entry,
    load_prepared,
    require_files,
    stored_split,
    write_description,
    write_rows,
)
from dcmq.data.readers.layout import one_file
from dcmq.data.replaced import content_choices
from dcmq.data.source import Source
from dcmq.data.splits import Split

_MISSING_SHOWN = 5
# Reasons why samples are left out. Their names stay as they are, because fingerprints are hashes of them too.
_NOT_ON_DISK, _REPEATED = "picture not on disk", "one file under many names"


def prepare(
    source: Source,
    folder: Path,
    image_size: int = 256,
    query: int | None = None,
    train: int | None = None,
    seed: int = 0,
    words: int = 2026,
    official: bool = True,
    skip_missing: bool = False,
) -> dict:
    """Write the prepared folder of ``source``. Returns the content of its ``dataset.json``.

    Args:
        image_size: pixels a side that images are squashed to.
        query, train: sizes of the split, those of the published tables by default.
        seed: of the split.
        words: size of the vocabulary where texts are captions.
        official: compare counts with the published ones, where there are any.
        skip_missing: leave out samples whose image is not on disk, and count them, instead of refusing.

    Raises:
        DcmqError: counts that differ, missing or broken images, no space, sizes that do not fit, a folder of other files.
    """
    require_own(folder)
    sizes = {"image_size": image_size, "words": words, "query": query, "train": train, "seed": seed}
    check_whole(source.name, {option: value for option, value in sizes.items() if value is not None})
    if source.split is not None and (query, train) != (None, None):
        raise DcmqError(f"{source.name}: its split is given with the data; query and train cannot be chosen")
    if official:
        check_counts(full_name(source.name, source.population), source.counts, source.filtered)
    (folder / DESCRIPTION).unlink(missing_ok=True)  # until it is written again, the folder is no prepared one
    source = _with_images(source, skip_missing)
    if source.split is None:  # before hours of decoding
        check_fit(source.name, len(source.ids), *_sizes(source, query, train))
    require_space(
        folder, _decoded_bytes(source, image_size, folder), f"{source.name}: decoding {len(source.files):,} images"
    )
    key, names = (make(source.root, source.files, image_size) for make in (image_key, names_key))
    if source.images:
        key = digest(key, source.images.key, source.images.rows)
    images, broken = decoded(folder, key, source.files, image_size, source.name, source.images and source.images.read)
    source = source.rows(
        np.setdiff1d(np.arange(len(source.ids)), list(broken)),
        dropped=source.dropped | {"not decodable": len(broken)},
    )
    with locked(folder / ".lock"):
        sweep_own(folder)
        entries = {IMAGES: file_entry(folder / IMAGES)}
        query, train = _sizes(source, query, train)
        choices = source.choices | {
            "image_size": image_size,
            "seed": seed,
            "query": query,
            "train": train,
            "dropped": source.dropped,
            "pictures": len(source.ids),  # its name stays: the fingerprint is a hash of it
        }
        split = _split(source, folder, choices)
        if source.bow is None:
            choices["words"] = words
            bow, vocabulary = bags_of_words(source.captions or source.tags, split, words, source.any_language)
            source = replace(source, bow=bow, vocabulary=vocabulary)
        content = {"content": _content(source, entries)} if source.hash_images else content_choices(names, entries[IMAGES]["sha256"])
        choices |= content
        written = ["manifest.parquet", "bow.npz", "classes.txt", "vocabulary.txt"]
        write_rows(folder, source, split)
        about = {
            "format": FORMAT,
            "dcmq": dcmq.__version__,
            "name": source.name,
            "population": source.population,
            "texts": "captions" if source.captions else "tags",
            "any_language": source.any_language,
            "counts": source.counts | _counts(source, split),
            "counts_checked": official,
            "filtered": source.filtered,
            "choices": choices,
            "left_out": [_left_out(name, source) for name in broken.values()],
            "recipe": source.recipe,
            "split": split.hash,
            "fingerprint": digest(choices, split.hash, source.ids, source.labels, list(source.vocabulary)),
            "decoder": DECODER,
            "files": entries | {name: file_entry(folder / name) for name in written},
        }
        write_description(folder, about)
        return about


def verify(folder: Path) -> dict:
    """Read every byte of a prepared folder again. Returns the content of its ``dataset.json``.

    Raises:
        DcmqError: a file that differs from its checksum, an index file that was edited, counts that changed.
    """
    about = description(folder)
    require_files(folder, about)
    data = load_prepared(folder)
    for path in sorted((folder / "splits").glob("*.json")):
        Split.load(path)
    if (data.split.hash, data.fingerprint) != (about["split"], about["fingerprint"]):
        raise DcmqError(f"{folder}: split or choices differ from those in {DESCRIPTION}: prepare the data set again")
    if about["counts_checked"]:
        check_counts(full_name(about["name"], about["population"]), about["counts"], about["filtered"])
    return about


def _sizes(source: Source, query: int | None, train: int | None) -> tuple[int, int]:
    """The sizes that were chosen, else the published ones, else a tenth of the samples and all the rest, up to 2,000
    and 10,000."""
    n = len(source.ids)
    query = query or source.query or max(1, min(2000, n // 10))
    return query, train or source.train or max(1, min(10_000, n - query))


def _with_images(source: Source, skip_missing: bool) -> Source:
    """The samples whose images are on disk; without ``skip_missing`` that must be all."""
    on_disk = np.array([os.path.isfile(path) for path in tqdm(source.files, desc="looking for images", unit="image")])
    absent = np.flatnonzero(~on_disk)
    if len(absent) and not (skip_missing and on_disk.any()):
        examples = ", ".join(str(source.files[i]) for i in absent[:_MISSING_SHOWN])
        raise DcmqError(
            f"{source.name}: {len(absent):,} of {len(on_disk):,} images are not on disk ({examples}"
            f"{', …' if len(absent) > _MISSING_SHOWN else ''}): put them there, or leave those samples out with "
            "--skip-missing (results are then not comparable)"
        )
    source = _without(source, absent, _NOT_ON_DISK, "their images are not on disk")
    if source.placeholders:
        source = _without(source, repeated(source.files), _REPEATED, "their images are one file under many names")
    if not source.images and (twins := one_file(source.files)):
        one, other = (source.ids[row] for row in twins)
        raise DcmqError(
            f"{source.name}: images {one} and {other} are one file, {source.files[twins[0]]}: give each a file of its own"
        )
    return source


def _without(source: Source, rows: Sequence[int], reason: str, message: str) -> Source:
    if not len(rows):
        return source
    warnings.warn(f"{source.name}: {len(rows):,} samples left out: {message}", stacklevel=4)
    kept = np.setdiff1d(np.arange(len(source.ids)), rows)
    return source.rows(kept, dropped=source.dropped | {reason: len(rows)})


def _decoded_bytes(source: Source, size: int, folder: Path) -> int:
    """The bytes that decoding still needs: none where a file of that size lies already, whole or begun."""
    needed, files = len(source.files) * size * size * 3, (folder / "images.npy", folder / "images.part")
    return 0 if any(file.is_file() and file.stat().st_size >= needed for file in files) else needed


def _split(source: Source, folder: Path, choices: dict) -> Split:
    """The split that came with the data, or one drawn for these rows, as an index file."""
    forget_splits(folder)  # of former rows
    if source.split is None:
        return stored_split(folder, source.recipe, source.labels, choices)
    split = source.split
    choices |= {"query": len(split.query), "train": len(split.train)}
    if not min(choices["query"], choices["train"]):
        raise DcmqError(
            f"{source.name}: the split column leaves {choices['query']} queries and {choices['train']} training samples"
        )
    split.save(folder / "splits" / "{query}-{train}-{seed}.json".format(**choices))
    return split


def _content(source: Source, entries: dict) -> str:
    bow = source.bow.tocsr().sorted_indices()
    texts = [list(row) for row in source.captions or source.tags]
    return digest(
        entries["images.npy"]["sha256"],
        bow.indptr.astype(np.int64),
        bow.indices.astype(np.int64),
        texts,
        list(source.classes),
    )


def _counts(source: Source, split: Split) -> dict[str, int]:
    gallery = source.labels[split.gallery].any(0)
    return {
        "samples": len(source.ids),
        "query": len(split.query),
        "train": len(split.train),
        "gallery": len(split.gallery),
        "words": len(source.vocabulary),
        "queries without relevant item": int((~(source.labels[split.query] > 0)[:, gallery].any(1)).sum()),
    }


def _left_out(name: str, source: Source) -> str:
    reason = "" if source.images else too_large(Path(name))
    return _readable(name, source.root) + (f" ({reason})" if reason else "")


def _readable(name: str, root: Path) -> str:
    """The path of a file relative to ``root``, as text whatever its bytes are."""
    return os.path.relpath(name, root).replace(os.sep, "/").encode("utf-8", "backslashreplace").decode()

"""From a source to a prepared folder, and the check that one is still what it was made as."""

import hashlib
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import dcmq
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.storage import require_space, write_json
from dcmq.data.catalog import full_name
from dcmq.data.decode import DECODER, decoded, image_key, repeated
from dcmq.data.populations import check_counts
from dcmq.data.prepared import DESCRIPTION, FORMAT, description, load_prepared, stored_split, words_of, write_rows
from dcmq.data.source import Source
from dcmq.data.splits import Split

_MISSING_SHOWN = 5


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
    """Write the prepared folder of ``source``; returns what its ``dataset.json`` says.

    Args:
        query, train: sizes of the split, those of the published tables by default.
        words: size of the vocabulary where texts are captions.
        official: compare counts with the published ones, where there are any.
        skip_missing: leave out samples whose picture is not on disk, and count them, instead of refusing.

    Raises:
        DcmqError: counts that differ, missing or broken pictures, no space, sizes that do not fit.
    """
    asked = {"image_size": image_size, "words": words, "query": query, "train": train}
    for option, value in asked.items():
        if value is not None and value < 1:
            raise DcmqError(f"{source.name}: {option} is {value}, and must be at least 1")
    if source.split is not None and (query, train) != (None, None):
        raise DcmqError(f"{source.name}: its split is given with the data; query and train cannot be chosen")
    if official:
        check_counts(full_name(source.name, source.population), source.counts, source.filtered)
    (folder / DESCRIPTION).unlink(missing_ok=True)  # a folder that is being made is not a prepared one
    source = _with_images(source, skip_missing)
    require_space(
        folder, _decoded_bytes(source, image_size, folder), f"{source.name}: decoding {len(source.files):,} pictures"
    )
    key = image_key(source.root, source.files, image_size)
    if source.images:
        key = digest(key, source.images.key, source.images.rows)
    images, broken = decoded(folder, key, source.files, image_size, source.name, source.images and source.images.read)
    source = source.rows(
        np.setdiff1d(np.arange(len(source.ids)), list(broken)),
        dropped=source.dropped | {"not decodable": len(broken)},
    )
    sums = {"images.npy": _summed(folder / "images.npy")}
    query, train = _sizes(source, query, train)
    choices = source.choices | {
        "image_size": image_size,
        "seed": seed,
        "query": query,
        "train": train,
        "dropped": source.dropped,
        "pictures": len(source.ids),
    }
    split = _split(source, folder, choices)
    if source.bow is None:
        choices["words"] = words
        bow, vocabulary = words_of(source.captions or source.tags, split, words, source.any_language)
        source = replace(source, bow=bow, vocabulary=vocabulary)
    if source.hash_images:
        choices["content"] = _content(source, sums)
    write_rows(folder, source, split)
    names = ["manifest.parquet", "bow.npz", "classes.txt", "vocabulary.txt"]
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
        "left_out": [_shown(name, source.root) for name in broken.values()],
        "recipe": source.recipe,
        "split": split.hash,
        "fingerprint": digest(choices, split.hash, source.ids, source.labels, list(source.vocabulary)),
        "decoder": DECODER,
        "files": sums | {name: _summed(folder / name) for name in names},
    }
    write_json(folder / DESCRIPTION, about)
    return about


def verify(folder: Path) -> dict:
    """Read every byte of a prepared folder again; returns what its ``dataset.json`` says.

    Raises:
        DcmqError: a file that differs from its checksum, an index file that was edited, counts that changed.
    """
    about = description(folder)
    data = load_prepared(folder)
    for name, file in about["files"].items():
        if _summed(folder / name)["sha256"] != file["sha256"]:
            raise DcmqError(f"{folder / name} differs from its checksum in {DESCRIPTION}: prepare the data set again")
    for path in sorted((folder / "splits").glob("*.json")):
        Split.load(path)
    if (data.split.hash, data.fingerprint) != (about["split"], about["fingerprint"]):
        raise DcmqError(f"{folder}: split or choices differ from those in {DESCRIPTION}: prepare the data set again")
    if about["counts_checked"]:
        check_counts(full_name(about["name"], about["population"]), about["counts"], about["filtered"])
    return about


def _sizes(source: Source, query: int | None, train: int | None) -> tuple[int, int]:
    """What was asked for, else as published, else a tenth of the samples and all the rest, within the published sizes."""
    n = len(source.ids)
    query = query or source.query or max(1, min(2000, n // 10))
    return query, train or source.train or max(1, min(10_000, n - query))


def _with_images(source: Source, skip_missing: bool) -> Source:
    there = np.array([path.is_file() for path in tqdm(source.files, desc="looking for pictures", unit="picture")])
    absent = np.flatnonzero(~there)
    if len(absent) and not (skip_missing and there.any()):
        named = ", ".join(str(source.files[i]) for i in absent[:_MISSING_SHOWN])
        raise DcmqError(
            f"{source.name}: {len(absent):,} of {len(there):,} pictures are not on disk ({named}"
            f"{', …' if len(absent) > _MISSING_SHOWN else ''}): put them there, or leave those samples out with "
            "--skip-missing (results are then not comparable)"
        )
    source = _left_out(source, absent, "picture not on disk")
    return _left_out(source, repeated(source.files), "one file under many names") if source.placeholders else source


def _left_out(source: Source, rows, reason: str) -> Source:
    if not len(rows):
        return source
    warnings.warn(f"{source.name}: {len(rows):,} samples left out: {reason}", stacklevel=4)
    kept = np.setdiff1d(np.arange(len(source.ids)), rows)
    return source.rows(kept, dropped=source.dropped | {reason: len(rows)})


def _decoded_bytes(source: Source, size: int, folder: Path) -> int:
    """What decoding still needs: nothing where a file of that size lies already."""
    needed, path = len(source.files) * size * size * 3, folder / "images.npy"
    return 0 if path.is_file() and path.stat().st_size >= needed else needed


def _split(source: Source, folder: Path, choices: dict) -> Split:
    """The split that came with the data, or one drawn for these rows, as an index file."""
    for old in (folder / "splits").glob("*.json"):
        old.unlink()  # of former rows
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


def _content(source: Source, sums: dict) -> str:
    bow = source.bow.tocsr().sorted_indices()
    texts = [list(row) for row in source.captions or source.tags]
    return digest(
        sums["images.npy"]["sha256"],
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


def _summed(path: Path) -> dict:
    state, size = hashlib.sha256(), path.stat().st_size
    with (
        path.open("rb") as file,
        tqdm(total=size, unit="B", unit_scale=True, desc=f"hashing {path.name}", disable=size < 10**8) as bar,
    ):
        while block := file.read(1 << 22):
            state.update(block)
            bar.update(len(block))
    return {"bytes": size, "sha256": state.hexdigest()}


def _shown(name: str, root: Path) -> str:
    return os.path.relpath(name, root).replace(os.sep, "/").encode("utf-8", "backslashreplace").decode()

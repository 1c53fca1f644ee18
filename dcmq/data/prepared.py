"""Prepared folders: a data set read, filtered, decoded and split once, with its counts, hashes and choices.

dataset.json       counts, choices, what was left out, a size and a SHA-256 of every other file and of itself; written last
manifest.parquet   id, file, labels, text, split: a row per sample
bow.npz            tags or words, sparse 0/1; their names in vocabulary.txt, those of the labels in classes.txt
splits/*.json      index files
images.npy         (n, size, size, 3) uint8, memory-mapped; images.proof.json beside it saves reading all of it each time

All of them are compared with their checksums when they are read.
"""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix, load_npz, save_npz
from tqdm.auto import tqdm

from dcmq.core.arrays import finish, open_array
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.registry import suggestion
from dcmq.core.sealed import read_sealed, sealed
from dcmq.core.storage import CorruptFile, atomic_write, read_json, write_json
from dcmq.data.bow import bag_of_words
from dcmq.data.catalog import full_name
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.options import check_fit, check_whole
from dcmq.data.source import Source
from dcmq.data.splits import Split, draw
from dcmq.data.words import LATIN, LETTERS, LETTERS_AND_DIGITS

FORMAT = 2
DESCRIPTION, IMAGES = "dataset.json", "images.npy"
_RENAMED_COUNTS = {"pictures": "images"}  # folders that were prepared before have the former name


def load_prepared(folder: Path, **options) -> RetrievalDataset:
    """The data set in a prepared folder.

    Args:
        options: ``query``, ``train`` and ``seed`` draw another split, which is kept beside the first; anything else
            that was chosen when the folder was prepared may be named, and must be the same.

    Raises:
        DcmqError: a file is missing or damaged, an option that needs preparing again.
    """
    about = description(folder)
    choices = _chosen(about, options)
    content = {name: _content(folder, about, name) for name in about["files"] if name != IMAGES}
    table = pq.read_table(pa.BufferReader(content["manifest.parquet"]))
    bow = csr_matrix(load_npz(io.BytesIO(content["bow.npz"])))
    images = _images(folder, about)
    ids = table["id"].to_numpy(zero_copy_only=False)
    ids = ids if ids.dtype.kind == "i" else ids.astype(str)
    classes, vocabulary = (_names(content[f"{name}.txt"]) for name in ("classes", "vocabulary"))
    labels, texts = _label_matrix(table, classes), tuple(map(tuple, table["text"].to_pylist()))
    split = stored_split(folder, about["recipe"], labels, choices)
    if split.hash != about["split"] and "words" in choices:  # its training rows rank the words
        bow, vocabulary = bags_of_words(texts, split, choices["words"], about["any_language"])
    return RetrievalDataset(
        name=about["name"],
        ids=ids,
        classes=classes,
        labels=labels,
        train_labels=labels,
        images=images,
        bow=bow,
        vocabulary=vocabulary,
        captions=texts if about["texts"] == "captions" else (),
        tags=texts if about["texts"] == "tags" else (),
        split=split,
        fingerprint=digest(choices, split.hash, ids, labels, list(vocabulary)),
        choices=choices,
        image_code="" if "content" in choices else about["decoder"],
        word_pattern=_word_pattern(about["any_language"]) if "words" in choices else LETTERS_AND_DIGITS,
    )


def description(folder: Path) -> dict:
    """The content of ``dataset.json``. Raises DcmqError if it is missing, damaged or of another format."""
    if not (folder / DESCRIPTION).exists():
        raise DcmqError(f"{folder} holds no {DESCRIPTION}: it is no prepared data set, or preparing did not end")
    about = read_sealed(folder / DESCRIPTION, "prepare the data set again")
    if about.get("format") != FORMAT:
        raise DcmqError(f"{folder / DESCRIPTION} is not of format {FORMAT}: prepare the data set again")
    counts = {_RENAMED_COUNTS.get(name, name): count for name, count in about["counts"].items()}
    return about | {"counts": counts}


def write_description(folder: Path, about: dict) -> None:
    """Write ``dataset.json``, last of all files."""
    write_json(folder / DESCRIPTION, sealed(about))


def stored_split(folder: Path, recipe: str, labels: np.ndarray, choices: dict) -> Split:
    """The split of ``choices`` (query, train, seed) from its index file in ``folder``; drawn if it is new, and kept there
    unless nobody can write there.

    Raises:
        DcmqError: sizes that do not fit, a damaged index file, or a split that was given with the data.
    """
    path = folder / "splits" / "{query}-{train}-{seed}.json".format(**choices)
    if path.is_file():
        return Split.load(path)
    if recipe == "given":
        raise DcmqError(f"{folder}: its split was given with the data; query, train and seed cannot be chosen")
    check_fit(str(folder), len(labels), choices["query"], choices["train"])
    split = draw(recipe, labels, choices["query"], choices["train"], choices["seed"])
    if os.access(folder, os.W_OK):
        split.save(path)
    return split


def bags_of_words(
    texts: tuple[tuple[str, ...], ...], split: Split, vocab_size: int, any_language: bool
) -> tuple[csr_matrix, tuple[str, ...]]:
    """Bags (n, V) of the ``vocab_size`` most frequent words of the training rows' texts, and these V words."""
    documents = [" ".join(row) for row in texts]
    return bag_of_words(documents, split.train, max_words=vocab_size, pattern=_word_pattern(any_language))


def _word_pattern(any_language: bool) -> str:
    return LETTERS if any_language else LATIN


def write_rows(folder: Path, source: Source, split: Split) -> None:
    """Write manifest, matrix and names of a source that is decoded and split."""
    parts = np.full(len(source.ids), "gallery", "U10")
    for name in ("train", "validation", "query"):
        parts[getattr(split, name)] = name
    # File names need not be UTF-8 on disk; the manifest only shows them.
    start = os.path.join(source.root, "")
    files = [str(path).removeprefix(start).replace(os.sep, "/") for path in source.files]
    files = [name.encode("utf-8", "backslashreplace").decode() for name in files]
    names = np.array(source.classes, object)
    table = pa.table(
        {
            "id": pa.array(source.ids),
            "file": files,
            "labels": pa.array([names[row > 0].tolist() for row in source.labels], pa.list_(pa.string())),
            "text": pa.array(list(map(list, source.captions or source.tags)), pa.list_(pa.string())),
            "split": parts.tolist(),
        }
    )
    manifest, bow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, manifest)
    atomic_write(folder / "manifest.parquet", manifest.getvalue())
    save_npz(bow, csr_matrix(source.bow, dtype=np.float32))
    atomic_write(folder / "bow.npz", bow.getvalue())
    for name in ("classes", "vocabulary"):
        atomic_write(folder / f"{name}.txt", "".join(f"{word}\n" for word in getattr(source, name)).encode())


def require_files(folder: Path, about: dict) -> None:
    """Read every byte of a prepared folder. Raises DcmqError where a file is missing or is not what was written."""
    for name, written in about["files"].items():
        if file_entry(_path(folder, about, name)) != written:
            raise _differs(folder, about, name)


def file_entry(path: Path) -> dict:
    """The size in bytes and the SHA-256 of a file."""
    state, size = hashlib.sha256(), path.stat().st_size
    with (
        path.open("rb") as file,
        tqdm(total=size, unit="B", unit_scale=True, desc=f"hashing {path.name}", disable=size < 10**8) as bar,
    ):
        while block := file.read(1 << 22):
            state.update(block)
            bar.update(len(block))
    return {"bytes": size, "sha256": state.hexdigest()}


def _content(folder: Path, about: dict, name: str) -> bytes:
    content = _path(folder, about, name).read_bytes()
    if hashlib.sha256(content).hexdigest() != about["files"][name]["sha256"]:
        raise _differs(folder, about, name)
    return content


def _images(folder: Path, about: dict) -> np.memmap:
    """The images, memory-mapped. Where the proof beside them is absent or damaged, all of them are read, and it is written."""
    path, written = _path(folder, about, IMAGES), about["files"][IMAGES]
    proof = path.with_suffix(".proof.json")
    try:
        images = open_array(path)
        if read_json(proof)["sha256"] == written["sha256"]:
            return images
    except CorruptFile:
        pass
    if file_entry(path) != written:
        raise _differs(folder, about, IMAGES)
    if os.access(folder, os.W_OK):
        finish(path, path)
    return np.load(path, mmap_mode="r")


def _path(folder: Path, about: dict, name: str) -> Path:
    """The path of a file of the folder. Raises DcmqError where it is not there, or has another size."""
    path, wanted = folder / name, about["files"][name]["bytes"]
    size = path.stat().st_size if path.is_file() else -1
    if size != wanted:
        state = "missing" if size < 0 else f"{size:,} bytes long, not {wanted:,}"
        raise DcmqError(f"{path} is {state}: prepare {full_name(about['name'], about['population'])} again")
    return path


def _differs(folder: Path, about: dict, name: str) -> DcmqError:
    again = full_name(about["name"], about["population"])
    return DcmqError(f"{folder / name} differs from its checksum in {DESCRIPTION}: prepare {again} again")


def _chosen(about: dict, options: dict) -> dict:
    """The stored choices, with another split where ``options`` name one."""
    choices = dict(about["choices"])
    check_whole(about["name"], {name: options[name] for name in ("query", "train", "seed") if name in options})
    for name, value in options.items():
        value = list(value) if isinstance(value, tuple) else value
        if name in ("query", "train", "seed"):
            choices[name] = value
        elif name not in choices:
            raise DcmqError(
                f"{about['name']}: no option {name!r}{suggestion(name, choices)} (known: {', '.join(sorted(choices))}); "
                "check data_options"
            )
        elif choices[name] != value:
            raise DcmqError(
                f"{about['name']}: prepared with {name}={choices[name]}, not {value}: prepare it again with "
                f"--{name.replace('_', '-')}, in another folder"
            )
    return choices


def _label_matrix(table: pa.Table, classes: tuple[str, ...]) -> np.ndarray:
    column = table["labels"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    labels = np.zeros((len(column), len(classes)), np.uint8)
    labels[rows, pc.index_in(column.flatten(), pa.array(classes)).to_numpy()] = 1
    return labels


def _names(content: bytes) -> tuple[str, ...]:
    return tuple(content.decode().split("\n")[:-1])

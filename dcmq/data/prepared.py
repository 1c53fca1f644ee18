"""Prepared folders: a data set read, filtered, decoded and split once, with its counts, hashes and choices.

dataset.json       counts, choices, what was left out, a size and a SHA-256 of every other file; written last
manifest.parquet   id, file, labels, text, split: a row per sample
bow.npz            tags or words, sparse 0/1; their names in vocabulary.txt, those of the labels in classes.txt
splits/*.json      index files
images.npy         (n, size, size, 3) uint8, memory-mapped
"""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix, load_npz, save_npz

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.registry import suggestion
from dcmq.core.storage import atomic_write
from dcmq.data.bow import bag_of_words
from dcmq.data.catalog import full_name
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.source import Source
from dcmq.data.splits import Split, draw
from dcmq.data.words import LATIN, LETTERS, LETTERS_AND_DIGITS

FORMAT = 2
DESCRIPTION = "dataset.json"
_RENAMED_COUNTS = {"pictures": "images"}  # folders that were prepared before have the former name


def load_prepared(folder: Path, **options) -> RetrievalDataset:
    """The data set in a prepared folder.

    Args:
        options: ``query``, ``train`` and ``seed`` draw another split, which is kept beside the first; anything else
            that was chosen when the folder was prepared may be named, and must be the same.

    Raises:
        DcmqError: a file is missing or has another size, an option that needs preparing again.
    """
    about = description(folder)
    _require_files(folder, about)
    choices = _chosen(about, options)
    try:
        table = pq.read_table(folder / "manifest.parquet")
        bow = csr_matrix(load_npz(folder / "bow.npz"))
        images = np.load(folder / "images.npy", mmap_mode="r")
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise DcmqError(f"{folder} is damaged ({error}): prepare it again") from None
    ids = table["id"].to_numpy(zero_copy_only=False)
    ids = ids if ids.dtype.kind == "i" else ids.astype(str)
    classes, vocabulary = (_names(folder / f"{name}.txt") for name in ("classes", "vocabulary"))
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
    try:
        about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DcmqError(
            f"{folder} holds no {DESCRIPTION}: it is no prepared data set, or preparing did not end"
        ) from None
    except (OSError, ValueError) as error:
        raise DcmqError(f"{folder / DESCRIPTION} cannot be read ({error}): prepare the data set again") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DcmqError(f"{folder / DESCRIPTION} is not of format {FORMAT}: prepare the data set again")
    counts = {_RENAMED_COUNTS.get(name, name): count for name, count in about["counts"].items()}
    return about | {"counts": counts}


def stored_split(folder: Path, recipe: str, labels: np.ndarray, choices: dict) -> Split:
    """The split of ``choices`` (query, train, seed) from its index file in ``folder``; drawn and kept there if it is
    new.

    Raises:
        DcmqError: sizes that do not fit, a damaged index file, or a split that was given with the data.
    """
    path = folder / "splits" / "{query}-{train}-{seed}.json".format(**choices)
    if path.is_file():
        return Split.load(path)
    if recipe == "given":
        raise DcmqError(f"{folder}: its split was given with the data; query, train and seed cannot be chosen")
    split = draw(recipe, labels, choices["query"], choices["train"], choices["seed"])
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
    files = [_relative(path, source.root).encode("utf-8", "backslashreplace").decode() for path in source.files]
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


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _require_files(folder: Path, about: dict) -> None:
    for name, file in about["files"].items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            size = -1
        if size != file["bytes"]:
            state = "missing" if size < 0 else f"{size:,} bytes long, not {file['bytes']:,}"
            raise DcmqError(
                f"{folder / name} is {state}: prepare {full_name(about['name'], about['population'])} again"
            )


def _chosen(about: dict, options: dict) -> dict:
    """The stored choices, with another split where ``options`` name one."""
    choices = dict(about["choices"])
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


def _names(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").split("\n")[:-1])

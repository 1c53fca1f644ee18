"""A user's own images: a table of image path, text and labels, one row per image or per text.

Columns go by these names, in any order and case; ``id`` and ``split`` may be left out:

image    path, relative to the table or absolute, within the root (also: file, filename, file_name, image_name, filepath, path,
         image_path)
text     a caption, or a list of them (also: caption, captions, title, description); a column named tags holds tags instead
labels   names, separated by ; or | or , or a list (also: label, classes, class, category)
id       numbers or names
split    query (or test), train, validation (or val), gallery (or database)
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DatasetEntry, ReadOptions, register_dataset
from dcmq.data.readers.columns import read_rows
from dcmq.data.readers.layout import is_file, nfc, on_disk, one_file, outside
from dcmq.data.readers.tables import Table, read_table
from dcmq.data.source import Source
from dcmq.data.splits import Split
from dcmq.data.words import LETTERS, unspaced_script, words

_SHOWN = 3


@dataclass
class _Sample:
    """The rows of one image."""

    image: str
    rows: list[int] = field(default_factory=list)
    labels: dict[str, None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def read_folder(root: Path, options: ReadOptions = ReadOptions()) -> Source:  # noqa: B008 (it cannot be changed)
    """The images of the one table under ``root``, or of the table that ``options`` name. Rows of the same image are joined.

    Images without a label or without a word are left out and counted.

    Raises:
        DcmqError: no table or several, a column missing or there twice, cells that cannot be read, images outside the root, an
            image in two parts or under two ids, one class only, nothing left.
    """
    root = Path(root).resolve()
    table = read_table(_table_path(root, options.table))
    rows = read_rows(table, options)
    samples: dict[str, _Sample] = {}
    for row, image in enumerate(rows.images):
        sample = samples.setdefault(_one_name(image, table.path.parent), _Sample(image))
        sample.rows.append(row)
        sample.labels.update(dict.fromkeys(rows.labels[row]))
        sample.texts += rows.texts[row]
    parts = _agreed(table, samples.values(), rows.parts, "in")
    ids = _agreed(table, samples.values(), rows.ids, "named")

    labelled = [sample for sample in samples.values() if sample.labels]
    kept = [sample for sample in labelled if words(" ".join(sample.texts), LETTERS)]
    if not kept:
        raise DcmqError(f"folder: no row of {table.path} has both a label and a word of two letters or more")
    _warn_of_unspaced(kept)
    classes = sorted({name for sample in kept for name in sample.labels})
    column = {name: i for i, name in enumerate(classes)}
    matrix = np.zeros((len(kept), len(classes)), np.uint8)
    for row, sample in enumerate(kept):
        matrix[row, [column[name] for name in sample.labels]] = 1
    raw = tuple(tuple(sample.texts) for sample in kept)
    return Source(
        name="folder",
        population="",
        root=table.path.parent,
        ids=_unique([ids[sample.image] for sample in kept]) if ids else np.array([sample.image for sample in kept]),
        files=_files(table, kept, root, options.allow_outside),
        classes=tuple(classes),
        labels=matrix,
        captions=raw if rows.kind == "captions" else (),
        tags=raw if rows.kind == "tags" else (),
        counts={
            "rows": table.count,
            "images": len(samples),
            "with label": len(labelled),
            "classes": len(classes),
            "kept": len(kept),
        },
        dropped={"without label": len(samples) - len(labelled), "without text": len(labelled) - len(kept)},
        choices={"table": table.path.name} | rows.choices,
        any_language=True,
        recipe="given" if parts else "random",
        split=_split([parts[sample.image] for sample in kept]) if parts else None,
    )


def _table_path(root: Path, table: str) -> Path:
    if table:
        path = root / os.path.expanduser(table)
        if not is_file(path):
            raise DcmqError(f"folder: there is no table {path}")
        return path
    kinds = (".csv", ".tsv", ".parquet")
    tables = sorted(
        p for p in root.iterdir() if p.suffix.lower() in kinds and not p.name.startswith((".", "~$")) and is_file(p)
    )
    if len(tables) != 1:
        names = ", ".join(p.name for p in tables) or "none"
        raise DcmqError(
            f"folder: {root} should hold one .csv, .tsv or .parquet table (there: {names}); name it with --table, whatever "
            "its ending"
        )
    return tables[0]


def _one_name(image: str, folder: Path) -> str:
    """The same name for every way to write a path, so that no image is a query and in the gallery too."""
    return nfc(os.path.normpath(folder / image))


def _agreed(table: Table, samples: Iterable[_Sample], values: list | None, verb: str) -> dict[str, object]:
    """The value that its rows have by image, None where none has one; nothing without ``values``. Raises DcmqError where
    two rows differ."""
    agreed = {}
    for sample in samples if values else ():
        rows = [row for row in sample.rows if values[row] is not None]
        other = next((row for row in rows if values[row] != values[rows[0]]), None)
        if other is not None:
            raise DcmqError(
                f"folder: {sample.image} is {verb} {values[rows[0]]} in {table.place(rows[0])} of {table.path.name} and "
                f"{verb} {values[other]} in {table.place(other)}: keep one of them"
            )
        agreed[sample.image] = values[rows[0]] if rows else None
    return agreed


def _unique(ids: list[int | str | None]) -> np.ndarray:
    missing = sum(i is None for i in ids)
    if missing:
        raise DcmqError(f"folder: {missing} of {len(ids)} images have no id; fill them in, or leave the column out")
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        raise DcmqError(f"folder: the id {twice[0]} stands at two different images; leave the column out, or mend it")
    return np.array(ids)


def _files(table: Table, samples: list[_Sample], root: Path, allow_outside: bool) -> list[Path]:
    """The image files, as the disk spells them. Raises DcmqError for those out of ``root`` and of the table's folder, and for two
    samples of one file."""
    folder, listings = table.path.parent, {}
    files = [_with_suffix(on_disk(folder / sample.image), listings) for sample in samples]
    away = [] if allow_outside else outside(files, {root, folder}, os.path.realpath)
    if away:
        examples = ", ".join(f"{samples[i].image} in {table.place(samples[i].rows[0])}" for i in away[:_SHOWN])
        raise DcmqError(
            f"folder: {len(away):,} of {len(files):,} images lie outside {root} ({examples}{', …' if len(away) > _SHOWN else ''}): "
            "a table from elsewhere could name any file of this machine; --allow-outside reads them"
        )
    if twins := one_file(files):
        one, other = (samples[i] for i in twins)
        raise DcmqError(
            f"folder: {one.image} in {table.place(one.rows[0])} of {table.path.name} and {other.image} in "
            f"{table.place(other.rows[0])} are one file, {files[twins[0]]}: name it in one way, or keep one of them"
        )
    return files


def _with_suffix(path: Path, listings: dict[Path, dict[str, list[Path]]]) -> Path:
    """``path``, or the one image file there that is called so but for its suffix. Raises DcmqError where two are."""
    if is_file(path):
        return path
    if path.parent not in listings:
        images = Image.registered_extensions()
        there = sorted(path.parent.iterdir()) if os.path.isdir(path.parent) else []
        listings[path.parent] = {}
        for file in there:
            if file.suffix.lower() in images:
                listings[path.parent].setdefault(nfc(file.stem), []).append(file)
    named = listings[path.parent].get(nfc(path.name), [])
    if len(named) > 1:
        raise DcmqError(
            f"folder: two images are called so, {named[0].name} and {named[1].name}, where the table has {path.name} in "
            f"{path.parent}: write the suffix too"
        )
    return named[0] if named else path


def _split(parts: list[str | None]) -> Split:
    """The split with these parts. Validation is part of train, and a tenth of it where no row says so."""
    names = np.array([part or "gallery" for part in parts])
    query, validation = (np.flatnonzero(names == name) for name in ("query", "validation"))
    train = np.flatnonzero(np.isin(names, ["train", "validation"]))
    if not len(validation):
        validation = np.sort(np.random.default_rng(0).permutation(train)[: len(train) // 10])
    return Split(query, train, np.flatnonzero(names != "query"), validation)


def _warn_of_unspaced(samples: list[_Sample]) -> None:
    scripts = Counter(script for sample in samples if (script := unspaced_script(" ".join(sample.texts))))
    for script, count in scripts.items():
        warnings.warn(
            f"folder: {count:,} of {len(samples):,} images have {script} in their text, which is not cut into words where no "
            "spaces stand between them: put spaces there",
            stacklevel=3,
        )


def _read_source(root: Path, population: str, options: ReadOptions) -> Source:
    return read_folder(root, options)


register_dataset(
    "folder",
    DatasetEntry(read=_read_source, options=("table", "separator", "fold_case", "text_column", "allow_outside")),
)

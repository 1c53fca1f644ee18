"""A user's own images: a CSV or parquet table of image path, text and labels, one row per image or per text.

Columns go by these names, in any order and case; ``id`` and ``split`` may be left out:

image    path, relative to the table or absolute (also: file, filename, file_name, filepath, path, image_path)
text     a caption (also: caption, captions, title, description); a column named tags holds tags instead
labels   names, separated by ; or | or , (also: label, classes, class, category)
id       numbers or names
split    query (or test), train, gallery (or database)
"""

import os
import re
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DatasetEntry, ReadOptions, register_dataset
from dcmq.data.source import Source
from dcmq.data.splits import Split
from dcmq.data.words import LETTERS, words

if TYPE_CHECKING:
    import pandas as pd  # takes half a second, which only those who read a table should wait

COLUMNS = {
    "image": ("image", "file", "filename", "file_name", "filepath", "path", "image_path"),
    "text": ("text", "caption", "captions", "title", "description", "tags"),
    "labels": ("labels", "label", "classes", "class", "category"),
    "id": ("id",),
    "split": ("split",),
}
SEPARATORS = ";|,"
_PARTS = {
    "query": "query",
    "test": "query",
    "train": "train",
    "gallery": "gallery",
    "database": "gallery",
    "": "gallery",
}


def read_folder(root: Path, table: str = "") -> Source:
    """The images of the table ``table`` under ``root``, or of the only table there. Rows of the same image are joined.

    Images without a label or without a word are left out and counted.

    Raises:
        DcmqError: no table or several, a column missing, one class only, an unknown split, nothing left.
    """
    root = Path(root).resolve()
    path = _table_path(root, table)
    frame, kind = _columns(_read_table(path), path)
    separator = next((s for s in SEPARATORS if frame["labels"].str.contains(s, regex=False).any()), SEPARATORS[0])
    images = frame["image"].str.strip().str.replace("\\", "/")
    if (images == "").any():
        raise DcmqError(f"folder: line {_line(images == '')} of {path.name} names no image")
    samples: dict[str, dict] = {}
    for row, image in enumerate(images):
        sample = samples.setdefault(_one_name(image, path.parent), {"labels": {}, "texts": [], "row": row})
        sample["labels"].update(dict.fromkeys(_split_cell(frame["labels"].iloc[row], separator)))
        text = " ".join(frame["text"].iloc[row].split())
        sample["texts"] += (
            _split_cell(text, separator if separator in text else " ") if kind == "tags" else [text] * bool(text)
        )
    total = len(samples)
    samples = {name: sample for name, sample in samples.items() if sample["labels"]}
    labelled = len(samples)
    samples = {name: sample for name, sample in samples.items() if words(" ".join(sample["texts"]), LETTERS)}
    classes = sorted({name for sample in samples.values() for name in sample["labels"]})
    if not samples:
        raise DcmqError(f"folder: no row of {path} has both a label and a word of two letters or more")
    column = {name: i for i, name in enumerate(classes)}
    labels = np.zeros((len(samples), len(classes)), np.uint8)
    for row, sample in enumerate(samples.values()):
        labels[row, [column[name] for name in sample["labels"]]] = 1
    rows = [sample["row"] for sample in samples.values()]
    texts = tuple(tuple(sample["texts"]) for sample in samples.values())
    return Source(
        name="folder",
        population="",
        root=path.parent,
        ids=_ids(frame["id"].iloc[rows]) if "id" in frame else images.iloc[rows].to_numpy(str),
        files=[_on_disk(path.parent / image) for image in images.iloc[rows]],
        classes=tuple(classes),
        labels=labels,
        captions=texts if kind == "captions" else (),
        tags=texts if kind == "tags" else (),
        counts={
            "rows": len(frame),
            "images": total,
            "with label": labelled,
            "classes": len(classes),
            "kept": len(rows),
        },
        dropped={"without label": total - labelled, "without text": labelled - len(samples)},
        choices={"table": path.name, "separator": separator, "texts": kind},
        any_language=True,
        recipe="given" if "split" in frame else "random",
        split=_split(frame["split"].iloc[rows], path) if "split" in frame else None,
    )


def _table_path(root: Path, table: str) -> Path:
    if table:
        path = Path(table).expanduser() if Path(table).expanduser().is_absolute() else root / table
        if not path.is_file():
            raise DcmqError(f"folder: there is no table {path}")
        return path
    tables = sorted(p for p in root.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".parquet"))
    if len(tables) != 1:
        names = ", ".join(p.name for p in tables) or "none"
        raise DcmqError(
            f"folder: {root} should hold one .csv, .tsv or .parquet table (there: {names}); name it with --table"
        )
    return tables[0]


def _read_table(path: Path) -> "pd.DataFrame":
    """The table with all cells as text: a spreadsheet's 12.0 stays as it was written, and NA is a word like any
    other."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
            joined = frame.map(lambda v: ";".join(map(str, v)) if isinstance(v, list | tuple | np.ndarray) else v)
            return joined.astype(object).where(frame.notna(), "").astype(str)
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
        separator = max("\t,;", key=header.count)
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DcmqError(f"folder: {path} is not UTF-8: save it as 'CSV UTF-8'") from None
    except PermissionError:
        raise DcmqError(f"folder: {path} may not be read: check its permissions") from None
    except (OSError, ValueError) as error:  # the parsers' own errors are ValueErrors
        raise DcmqError(f"folder: {path} is no table ({str(error).splitlines()[0]})") from None


def _columns(frame: "pd.DataFrame", path: Path) -> "tuple[pd.DataFrame, str]":
    """The columns under our names, and the kind of the texts, captions or tags."""
    import pandas as pd

    theirs = {str(name).strip().lower(): name for name in frame.columns}
    chosen = {}
    for column, names in COLUMNS.items():
        name = next((n for n in names if n in theirs), None)
        if name:
            chosen[column] = theirs[name]
        elif column in ("image", "text", "labels"):
            raise DcmqError(
                f"folder: {path.name} has no column {column!r} (nor {', '.join(names[1:])}); it has {', '.join(map(str, frame.columns))}"
            )
    if frame.empty:
        raise DcmqError(f"folder: {path} has no rows")
    kind = "tags" if str(chosen["text"]).strip().lower() == "tags" else "captions"
    return pd.DataFrame({ours: frame[name] for ours, name in chosen.items()}).fillna(""), kind


def _split_cell(cell: str, separator: str) -> list[str]:
    """The parts of a cell; a whole number that a spreadsheet wrote as 12.0 is 12."""
    parts = (" ".join(part.split()) for part in cell.split(separator))
    return [re.sub(r"^(\d+)\.0$", r"\1", part) for part in parts if part]


def _ids(cells: "pd.Series") -> np.ndarray:
    """The ids: whole numbers where all are, also if a spreadsheet wrote them as 12.0, 12,0 or 1.2E+01; names
    otherwise."""
    cells = cells.str.strip()
    if (cells == "").any():
        raise DcmqError(
            f"folder: {(cells == '').sum()} of {len(cells)} images have no id; fill them in, or leave the column out"
        )
    numbers = cells.str.replace(",", ".")
    if numbers.str.fullmatch(r"\d{1,18}(\.0+)?|\d(\.\d+)?[eE]\+(0?\d|1[0-7])").all() and not any(
        Decimal(n) % 1 for n in numbers
    ):
        ids = np.array([int(Decimal(number)) for number in numbers])
    else:
        ids = np.array(cells.tolist())
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DcmqError(
            f"folder: the id {values[counts > 1][0]} stands at two different images; leave the column out, or mend it"
        )
    return ids


def _one_name(image: str, folder: Path) -> str:
    """The same name for every way to write a path, so that no image is a query and in the gallery too."""
    return unicodedata.normalize("NFC", os.path.normpath(folder / image))


def _on_disk(path: Path) -> Path:
    """The path as the disk spells it: a name with accents may have been composed there, and decomposed in the table."""
    spellings = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    return path if path.is_file() else next((p for p in spellings if p.is_file()), path)


def _split(cells: "pd.Series", path: Path) -> Split:
    cells = cells.str.strip().str.lower()
    unknown = sorted(set(cells) - set(_PARTS))
    if unknown:
        raise DcmqError(f"folder: split {unknown[0]!r} in {path.name} is none of {', '.join(filter(None, _PARTS))}")
    parts = cells.map(_PARTS).to_numpy()
    query, train = (np.flatnonzero(parts == name) for name in ("query", "train"))
    validation = np.sort(np.random.default_rng(0).permutation(train)[: len(train) // 10])
    return Split(query, train, np.flatnonzero(parts != "query"), validation)


def _line(mask: "pd.Series") -> int:
    """The line in the file of the first row that ``mask`` marks."""
    return int(np.flatnonzero(mask)[0]) + 2  # the header is line 1


def _read_source(root: Path, population: str, options: ReadOptions) -> Source:
    return read_folder(root, options.table)


register_dataset("folder", DatasetEntry(read=_read_source))

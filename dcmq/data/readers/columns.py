"""What each row of a user's table says: its image, texts, labels, id and part of the split, in columns of many names."""

import re
import warnings
from dataclasses import dataclass
from decimal import Decimal

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.catalog import ReadOptions
from dcmq.data.readers import labels as label_cells
from dcmq.data.readers.layout import nfc
from dcmq.data.readers.tables import IMAGE_COLUMNS, Cell, Table

COLUMNS = {
    "image": IMAGE_COLUMNS,
    "text": ("text", "caption", "captions", "title", "description", "tags"),
    "labels": ("labels", "label", "classes", "class", "category"),
    "id": ("id",),
    "split": ("split",),
}
_PARTS = {
    "query": ("query", "queries", "test", "testing"),
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "gallery": ("gallery", "database", "retrieval", ""),
}
_PART = {name: part for part, names in _PARTS.items() for name in names}
_LONGEST = 1000  # letters of an id or a path: each takes as much memory as the longest
_SHOWN = 3


@dataclass(frozen=True)
class Rows:
    """A table of n rows, read.

    Attributes:
        images: paths with ``/`` in them.
        labels: names of classes, a list per row. texts: captions or tags, a list per row.
        kind: ``captions`` or ``tags``.
        ids: numbers or names, None where a row has none; None where the table has no such column.
        parts: ``query``, ``train``, ``validation`` or ``gallery``, None where a row names none; None as for ``ids``.
        choices: how cells were read, by name.
    """

    images: list[str]
    labels: list[list[str]]
    texts: list[list[str]]
    kind: str
    ids: list[int | str | None] | None
    parts: list[str | None] | None
    choices: dict


def read_rows(table: Table, options: ReadOptions) -> Rows:
    """The rows of ``table``. Warns of labels that may not be meant as they are read.

    Raises:
        DcmqError: a column missing or there twice, a cell that cannot be what it should, no rows.
    """
    label_cells.check_separator(options.separator)
    columns = _columns(table, options.text_column)
    if not table.count:
        raise DcmqError(f"folder: {table.path} has no rows")
    kind = "tags" if _is_tags(table, columns["text"]) else "captions"
    labels, separator = _labels(table, columns["labels"][0], options)
    texts = [[_texts_in(cell, kind, separator) for cell in table.column(number)] for number in columns["text"]]
    return Rows(
        images=_images(table, columns["image"][0]),
        labels=labels,
        texts=[[text for cell in cells for text in cell] for cells in zip(*texts, strict=True)],
        kind=kind,
        ids=_ids(table, columns["id"][0]) if "id" in columns else None,
        parts=_parts(table, columns["split"][0]) if "split" in columns else None,
        choices={"separator": separator, "texts": kind}
        | ({"fold_case": True} if options.fold_case else {})  # the fingerprints of tables read without it stay
        | ({"text_column": [table.header[number] for number in columns["text"]]} if options.text_column else {}),
    )


def _images(table: Table, number: int) -> list[str]:
    images = [image.strip().replace("\\", "/") for image in _plain(table, number, "image")]
    for row, image in enumerate(images):
        if not 0 < len(image) <= _LONGEST:
            wrong = f"has an image path of {len(image):,} letters" if image else "names no image"
            raise DcmqError(f"folder: {table.place(row)} of {table.path.name} {wrong}")
    return images


def _columns(table: Table, text_column: str) -> dict[str, list[int]]:
    """The numbers of the columns by our names: one each, but for several of texts that ``text_column`` names."""
    theirs = [name.lower() for name in table.header]
    found = {ours: [i for i, name in enumerate(theirs) if name in names] for ours, names in COLUMNS.items()}
    if text_column:
        asked = [text_column] if text_column.lower() in theirs else text_column.split(",")
        found["text"] = sorted({i for name in asked for i in _numbers(table, theirs, nfc(name.strip()))})
    for ours, numbers in found.items():
        names = ", ".join(table.header[i] for i in numbers)
        if not numbers and ours in ("image", "text", "labels"):
            more = f"; --text-column names another for {ours}" if ours == "text" else ""
            raise DcmqError(
                f"folder: {table.path.name} has no column {ours!r} (nor {', '.join(COLUMNS[ours][1:])}); it has "
                f"{', '.join(table.header)}{more}"
            )
        if len(numbers) > 1 and not (ours == "text" and text_column):
            what = (
                f"say which with --text-column, or --text-column {names.replace(', ', ',')} for all"
                if ours == "text"
                else "rename those that are not meant"
            )
            raise DcmqError(f"folder: {table.path.name} has several columns for {ours!r}, {names}: {what}")
    return {ours: numbers for ours, numbers in found.items() if numbers}


def _numbers(table: Table, theirs: list[str], name: str) -> list[int]:
    numbers = [i for i, column in enumerate(theirs) if column == name.lower()]
    if not numbers:
        raise DcmqError(
            f"folder: {table.path.name} has no column {name!r}{suggestion(name, table.header)} (it has "
            f"{', '.join(table.header)}); check --text-column"
        )
    return numbers


def _is_tags(table: Table, numbers: list[int]) -> bool:
    tags = {table.header[i].lower() == "tags" for i in numbers}
    if len(tags) > 1:
        raise DcmqError(
            f"folder: --text-column names tags and captions of {table.path.name}: they are read in two ways"
        )
    return tags.pop()


def _plain(table: Table, number: int, column: str) -> list[str]:
    """The cells of a column that holds no lists."""
    cells = table.column(number)
    for row, cell in enumerate(cells):
        if isinstance(cell, tuple):
            raise DcmqError(
                f"folder: {table.place(row)} of {table.path.name} has a list as {column}: one text is meant"
            )
    return cells


def _labels(table: Table, number: int, options: ReadOptions) -> tuple[list[list[str]], str]:
    """The names in each row, and the separator that cut them. Warns of what may not be meant as it is read."""
    cells, rows = table.column(number), []
    for row, cell in enumerate(cells):
        try:
            rows.append(label_cells.listed(cell, bare=True))
        except ValueError as error:
            raise DcmqError(
                f"folder: {table.place(row)} of {table.path.name} has {error} as labels, {str(cell)[:80]!r}: write it as "
                "['red', 'round']"
            ) from None
    there = label_cells.separators_in(cell for cell, names in zip(cells, rows, strict=True) if names is None)
    separator = options.separator or next(iter(there), label_cells.SEPARATORS[0])
    if options.separator not in ("", label_cells.WHOLE) and there:
        uncut = [cell for cell, names in zip(cells, rows, strict=True) if names is None]
        if not any(set(options.separator) & set(cell) for cell in uncut):
            raise DcmqError(
                f"folder: --separator {options.separator!r} stands in no cell of labels in {table.path.name}; "
                f"{', '.join(f'{s!r} stands in {n:,}' for s, n in there.items())}: name that, or {label_cells.WHOLE!r} where a "
                "cell is one name"
            )
    others = [f"{n:,} cells hold {s!r} too" for s, n in there.items() if s != separator]
    if others and not options.separator:
        warnings.warn(
            f"folder: labels of {table.path.name} are cut at {separator!r}, and {', '.join(others)}: say --separator "
            f"{separator!r} where that is meant, or --separator {''.join(there)!r} to cut at each",
            stacklevel=3,
        )
    rows = [
        label_cells.cut(cell, separator) if names is None else names for cell, names in zip(cells, rows, strict=True)
    ]
    _check_names(table, rows)
    if options.fold_case:
        return label_cells.one_spelling(rows), separator
    if alike := label_cells.look_alikes({name for names in rows for name in names}):
        groups = "; ".join(", ".join(group) for group in alike[:_SHOWN]) + ("; …" if len(alike) > _SHOWN else "")
        warnings.warn(f"folder: classes that look alike are kept apart: {groups}: --fold-case joins them", stacklevel=3)
    return rows, separator


def _check_names(table: Table, rows: list[list[str]]) -> None:
    """Raise DcmqError of a row with half a list as a name, and of rows that mark the classes by 0 and 1."""
    for row, names in enumerate(rows):
        if half := next(filter(label_cells.is_half, names), None):
            raise DcmqError(
                f"folder: {table.place(row)} of {table.path.name} has the label {half[:80]!r}, which is part of a list: write "
                "the cell as ['red', 'round']"
            )
    full = [row for row, names in enumerate(rows) if names]
    if full and len(rows[full[0]]) > 1 and label_cells.are_marks([rows[row] for row in full]):
        raise DcmqError(
            f"folder: {table.place(full[0])} of {table.path.name} has {', '.join(rows[full[0]])[:80]} as labels, as all rows "
            "have 0 and 1 for each class, whose names are unknown: write the names of the classes that an image has"
        )


def _texts_in(cell: Cell, kind: str, separator: str) -> list[str]:
    try:
        texts = label_cells.listed(cell)
    except ValueError:  # a caption may begin as a list does
        texts = None
    if texts is None and kind == "tags":
        cuts = (s for s in (separator, *label_cells.SEPARATORS) if s != label_cells.WHOLE and set(s) & set(cell))
        return label_cells.cut(cell, next(cuts, " "))
    return [line for text in ([cell] if texts is None else texts) if (line := " ".join(text.split()))]


def _ids(table: Table, number: int) -> list[int | str | None]:
    """The ids: whole numbers where all are, also if a spreadsheet wrote them as 12.0, 12,0 or 1.2E+01; names otherwise, and where
    one begins with a zero, as 007 does."""
    cells = [cell.strip() for cell in _plain(table, number, "id")]
    for row, cell in enumerate(cells):
        if len(cell) > _LONGEST:
            raise DcmqError(f"folder: {table.place(row)} of {table.path.name} has an id of {len(cell):,} letters")
    numbers = [cell.replace(",", ".") for cell in cells if cell]
    whole = re.compile(r"(0|[1-9][0-9]{0,17})(\.0+)?|[0-9](\.[0-9]+)?[eE]\+(0?[0-9]|1[0-7])")
    if all(whole.fullmatch(n) for n in numbers) and not any(Decimal(n) % 1 for n in numbers):
        return [int(Decimal(cell.replace(",", "."))) if cell else None for cell in cells]
    return [cell or None for cell in cells]


def _parts(table: Table, number: int) -> list[str | None]:
    """The part of the split that each row names, None where it names none."""
    cells = [cell.strip().lower() for cell in _plain(table, number, "split")]
    for row, cell in enumerate(cells):
        if cell not in _PART:
            raise DcmqError(
                f"folder: split {cell[:80]!r} in {table.place(row)} of {table.path.name} is none of "
                f"{', '.join(filter(None, _PART))}"
            )
    return [_PART[cell] if cell else None for cell in cells]

"""A table of any common kind as cells of text: comma, tab, semicolon or ``|`` between them, Excel's ``sep=`` line, parquet."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.readers.layout import nfc

Cell = str | tuple[str, ...]  # a tuple where the file itself holds a list

IMAGE_COLUMNS = ("image", "file", "filename", "file_name", "image_name", "filepath", "path", "image_path")
_SEPARATORS = "\t,;|"  # the most frequent one in the header is meant, the first of these where several are
_DECLARED = re.compile(r'"?sep=([^"\w\r\n ])"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
_TAB = "\t"


@dataclass(frozen=True)
class Table:
    """The rows of a file below its header. A row of blanks is none.

    Attributes:
        header: names of the columns as they are written, without surrounding blanks.
        count: the number of rows.
        column: a function of a column's number to its cells, in row order: text in NFC, empty where nothing stands.
        place: a function of a row's number to where it stands in the file, such as ``line 7``.
    """

    path: Path
    header: tuple[str, ...]
    count: int
    column: Callable[[int], list[Cell]]
    place: Callable[[int], str]


def read_table(path: Path) -> Table:
    """The table in ``path``. A number is text as it was written, and NA is a word like any other.

    Raises:
        DcmqError: a file that is no table, is not UTF-8 or may not be read; a row with more or fewer cells than the
            header; quotation marks that do not pair; a cell that is no text.
    """
    try:
        return _parquet(path) if path.suffix.lower() == ".parquet" else _delimited(path)
    except PermissionError:
        raise DcmqError(f"folder: {path} may not be read: check its permissions") from None
    except UnicodeDecodeError:
        raise DcmqError(f"folder: {path} is not UTF-8: save it as 'CSV UTF-8'") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DcmqError(
            f"folder: {path} is no table ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from None


def _delimited(path: Path) -> Table:
    text = path.read_bytes().decode().lstrip("\ufeff")  # programs that add a byte order mark add a second one
    if "\0" in text:  # UTF-16 without a byte order mark is UTF-8 too, with many of them
        raise DcmqError(f"folder: {path} is not UTF-8: save it as 'CSV UTF-8'")
    if not text.strip():
        raise DcmqError(f"folder: {path} is empty")
    if re.match(r'\s*(\{\s*"|\[\s*[\[{])', text):
        raise DcmqError(f"folder: {path} is JSON, not a table: save it as CSV or Parquet")
    declared = _DECLARED.match(text)
    lines = list(io.StringIO(text, newline=""))  # cut at every kind of line end, and at nothing else
    first = 1 if declared else 0
    header = next((line for line in lines[first:] if line.strip()), "")
    separator = declared[1] if declared else max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)
    try:
        rows = _quoted(lines, first, separator)
    except csv.Error as error:
        if separator != _TAB:
            raise DcmqError(f"folder: {path.name}, {error}") from None
        rows = _unquoted(lines, first, separator)
    rows = [(line, cells) for line, cells in rows if any(cell.strip() for cell in cells)]
    names = [nfc(name).strip() for name in rows[0][1]] if rows else []
    while names and not names[-1]:
        names.pop()
    cells = [_fitted(cells, len(names), path, line, separator) for line, cells in rows[1:]]
    return Table(
        path,
        tuple(names),
        len(cells),
        lambda number: [nfc(row[number]) for row in cells],
        lambda row: f"line {rows[row + 1][0]}",
    )


def _quoted(lines: list[str], first: int, separator: str) -> list[tuple[int, list[str]]]:
    """The number of its line, and the cells, of each row from line ``first`` on, as the rules for quotation marks have it.

    Raises:
        csv.Error: quotation marks that do not pair, or that swallow other rows; a cell of too many letters.
    """
    remedy = "write a quotation mark inside a cell twice, or separate cells by tabs"
    reader = csv.reader(lines[first:], delimiter=separator, strict=True, skipinitialspace=True)
    rows, ends, start = [], [], first
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if "field limit" in str(error):
                raise csv.Error(
                    f"line {start + 1}: a cell of more than {csv.field_size_limit():,} letters begins there: shorten it, or "
                    f"close its quotation marks"
                ) from None
            raise csv.Error(
                f"line {start + 1}: a quotation mark opens a cell there that is not closed as it should be: {remedy}"
            ) from None
        if cells is None:
            break
        rows.append((start + 1, cells))
        start = first + reader.line_num
        ends.append(start)
    is_row = _row_test(rows, separator)
    for (line, _), end in zip(rows, ends, strict=True):
        swallowed = next((number for number in range(line, end) if is_row(lines[number])), None)
        if swallowed is not None:
            raise csv.Error(
                f"line {line}: a quotation mark opens a cell there that holds the row in line {swallowed + 1}: {remedy}"
            )
    return rows


def _row_test(rows: list[tuple[int, list[str]]], separator: str) -> Callable[[str], bool]:
    """A function that is true of a line inside a cell that is a row itself: it has as many cells as the header, and one of them
    ends as files of images do, or that of the images looks like those of the table. No caption does."""
    header = next((cells for _, cells in rows if any(cell.strip() for cell in cells)), [])
    width = len(header)
    column = next((i for i, name in enumerate(header) if nfc(name).strip().lower() in IMAGE_COLUMNS), None)
    names = [cells[column] for _, cells in rows if cells is not header and column is not None and column < len(cells)]
    shapes = {_shape(name) for name in names}

    def is_row(line: str) -> bool:
        parts = [part.strip(' "\r\n') for part in line.split(separator)]
        if len(parts) < width:
            return False
        suffixes = {Path(part).suffix.lower() for part in parts}
        return bool(suffixes & Image.registered_extensions().keys()) or (
            column is not None and bool(parts[column]) and _shape(parts[column]) in shapes
        )

    return is_row


def _shape(name: str) -> str:
    """The look of a name: ``a/0`` for every folder with names that hold a digit. Blanks and line ends stay."""
    runs = re.findall(r"[^\W_]+|[\W_]", name.strip())
    return "".join("0" if any(c.isdigit() for c in run) else "a" if run[0].isalnum() else run for run in runs)


def _unquoted(lines: list[str], first: int, separator: str) -> list[tuple[int, list[str]]]:
    """As :func:`_quoted`, a row in each line: quotation marks are text, but for those around a whole cell."""
    rows = [(number + 1, lines[number].rstrip("\r\n").split(separator)) for number in range(first, len(lines))]
    return [(number, [_bare(cell) for cell in cells]) for number, cells in rows]


def _bare(cell: str) -> str:
    whole = re.fullmatch(r'\s*"((?:[^"]|"")*)"\s*', cell)
    return whole[1].replace('""', '"') if whole else cell


def _fitted(cells: list[str], width: int, path: Path, line: int, separator: str) -> list[str]:
    """The ``cells`` of a row without empty ones beyond the header. Raises DcmqError where their number is another."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != width:
        raise DcmqError(
            f"folder: line {line} of {path.name} has {len(cells)} cells, the header {width}: put each cell that holds "
            f"{separator!r} into quotation marks, and give every row all its cells"
        )
    return cells


def _parquet(path: Path) -> Table:
    file = pq.ParquetFile(path)  # of a folder named split=train, read_table would make a column
    schema = file.schema_arrow

    def column(number: int) -> list[Cell]:
        name = schema.names[number]
        try:
            place = schema.names[:number].count(name)  # columns of one name are all read, in their order
            values = file.read(columns=[name]).column(place).to_pylist()
            return [_cell(value) for value in values]
        except TypeError as error:
            raise DcmqError(f"folder: column {name!r} of {path.name} holds {error}: write text into it") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DcmqError(f"folder: column {name!r} of {path.name} cannot be read ({reason})") from None

    names = tuple(nfc(name).strip() for name in schema.names)
    return Table(path, names, file.metadata.num_rows, column, lambda row: f"row {row + 1}")


def _cell(value, inside: bool = False) -> Cell:
    """A value of parquet as a cell. Raises TypeError of what is neither text nor number, nor a list of such."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, list | tuple) and not inside:
        return tuple(text for item in value if (text := _cell(item, inside=True)))
    if isinstance(value, dict | list | tuple):
        keys = f" ({', '.join(map(str, value))})" if isinstance(value, dict) else ""
        raise TypeError(f"{'structures' + keys if isinstance(value, dict) else 'lists of lists'}")
    text = value.decode() if isinstance(value, bytes) else str(value)
    if "\0" in text:
        raise TypeError("bytes that are no text")
    return nfc(text)

"""Images in a parquet file: which columns hold their bytes and their ids, and rows read where they lie."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dcmq.core.errors import DcmqError

NO_ID = "without an id"
_IMAGE_COLUMNS = ("image", "jpg", "png", "webp", "img", "bytes", "thumbnail")
_ID_COLUMNS = ("id", "key", "__key__", "file_name", "filename", "path", "image_id", "uid")
_ROWS = 64  # of a parquet file, read at a time


def list_rows(file: Path, passed_over: dict[str, list[str]]) -> tuple[list[bytes], list[int], list[int]]:
    """Names, rows and sizes of the images in a parquet file; those without an id are named in ``passed_over``, by the reason.

    Raises:
        DcmqError: it has no column of images, or one of ids that cannot be names.
        pyarrow.ArrowException, OSError: it cannot be read.
    """
    with pq.ParquetFile(file) as opened:
        schema, n = opened.schema_arrow, opened.metadata.num_rows
        _image_column(schema)
        column = _id_column(schema)
        ids = _as_names(opened.read(columns=[column]).column(column)) if column else [b"%d" % row for row in range(n)]
    rows = [row for row in range(n) if ids[row]]
    if len(rows) < n:
        passed_over.setdefault(NO_ID, []).extend(f"{file.name}, row {row}" for row in range(n) if not ids[row])
    return [ids[row] for row in rows], rows, [file.stat().st_size] * len(rows)


def _id_column(schema: pa.Schema) -> str:
    """The name of the column with the images' ids; empty where there is none. Raises DcmqError where it holds no texts or integers."""
    column = next((name for name in _ID_COLUMNS if name in schema.names), "")
    if column:
        kind = _only(schema, column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_integer(kind) or _is_text(kind)):
            raise DcmqError(f"has ids of type {kind} in its column {column}: make them text or integers")
    return column


def _as_names(ids: pa.ChunkedArray) -> list[bytes | None]:
    """Texts or integers of a column as bytes; None where there is nothing."""
    kind = ids.type
    if pa.types.is_dictionary(kind):
        ids = ids.cast(kind.value_type)
    texts = ids if _is_text(ids.type) else ids.cast(pa.string())
    return texts.cast(pa.large_binary()).to_pylist()  # as bytes: what is no UTF-8 is named later


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _only(schema: pa.Schema, name: str) -> pa.Field:
    """The column of that name. Raises DcmqError where several have it."""
    if (number := schema.names.count(name)) > 1:
        raise DcmqError(f"has {number} columns named {name}: leave one of them")
    return schema.field(name)


def _image_column(schema: pa.Schema) -> str:
    """The name of the column with the images' bytes, or with a ``bytes`` field in it. Raises DcmqError where there is none, or
    several have the name."""

    def is_bytes(kind: pa.DataType) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    def holds_bytes(kind: pa.DataType) -> bool:
        if not pa.types.is_struct(kind):
            return is_bytes(kind)
        inner = [kind.field(i) for i in range(kind.num_fields)]
        return [is_bytes(one.type) for one in inner if one.name == "bytes"] == [True]

    found = list(dict.fromkeys(column.name for column in schema if holds_bytes(column.type)))
    named = [name for name in _IMAGE_COLUMNS if name in found]
    if not named and len(found) != 1:
        raise DcmqError(f"has no column of images: name the one with their bytes {_IMAGE_COLUMNS[0]}")
    return _only(schema, (named or found)[0]).name


def read_rows(file: Path, rows: np.ndarray) -> Iterator[bytes | None]:
    """The images in some ``rows``, ascending, of a parquet file, of which only the row groups that hold them are read."""
    with pq.ParquetFile(file) as opened:
        column, first, wanted = _image_column(opened.schema_arrow), 0, 0
        for group in range(opened.num_row_groups):
            end = first + opened.metadata.row_group(group).num_rows
            if wanted < len(rows) and rows[wanted] < end:
                place = first
                for batch in opened.iter_batches(_ROWS, row_groups=[group], columns=[column]):
                    images = batch.column(column)
                    images = pc.struct_field(images, "bytes") if pa.types.is_struct(images.type) else images
                    while wanted < len(rows) and rows[wanted] < place + len(batch):
                        yield images[int(rows[wanted]) - place].as_py()
                        wanted += 1
                    place += len(batch)
            first = end

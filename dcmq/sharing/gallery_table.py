"""A gallery as a table that any database reads: an item's id, its code, and its codewords as one vector.

The codewords of an item have length 1 and stand one after the other. So the dot product with a query whose
sub-vectors have length 1 is the item's score: the sum of M cosines.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from torch.nn import functional as F

from dcmq.codes.export import items_in_parts
from dcmq.codes.index import CodeIndex
from dcmq.codes.pack import unpack
from dcmq.core.errors import DcmqError

FORMAT = 1  # of the table; a change that an older reader would misread is a new one
METADATA = "dcmq"  # the key of the table's metadata under which it explains itself, as JSON
ID, CODE, DECODED, THUMBNAIL = "id", "code", "decoded", "thumbnail"
_ROWS, _ROWS_WITH_THUMBNAILS = 1 << 16, 1 << 12  # of a part, some 60 MB each
_EXPLAINED = {
    CODE: "M codeword numbers, codebook 0 first, most significant bit first, zero bits at the end",
    DECODED: "those codewords, each of length 1, one after the other",
    "codebooks": "base64 of little-endian float32 (M, K, D / M), codewords of length 1",
    "score": "the dot product of decoded and a query's embedding, each of its M sub-vectors scaled to length 1",
}
Thumbnails = Callable[[Sequence[str]], list[bytes | None]]


class GalleryTable(NamedTuple):
    """A schema, and the rows in parts, of which one is in memory at a time."""

    schema: pa.Schema
    parts: Iterator[pa.RecordBatch]


def unit_codebooks(index: CodeIndex) -> np.ndarray:
    """(M, K, D / M) float32: the index' codebooks with codewords of length 1."""
    return F.normalize(index.codebooks, dim=2).numpy()


def gallery_table(index: CodeIndex, dtype: str = "float32", thumbnails: Thumbnails | None = None) -> GalleryTable:
    """The table of an index, in the order in which its items were added.

    Args:
        dtype: ``float32``, or ``float16``, which rounds scores in their fourth digit.
        thumbnails: gives image files for a part's ids, None where there is none; they become one more column.

    Raises:
        DcmqError: an empty index.
    """
    if not len(index):
        raise DcmqError("export: the index is empty; add codes first")
    codebooks = unit_codebooks(index)
    number = pa.from_numpy_dtype(np.dtype(dtype))
    text_ids = next(items_in_parts(index, 1))[0].dtype.kind == "O"
    fields = [
        pa.field(ID, pa.string() if text_ids else pa.int64(), nullable=False),
        pa.field(CODE, pa.binary(index.code_size), nullable=False),
        pa.field(DECODED, pa.list_(number, index.num_codebooks * index.subvector_dim), nullable=False),
    ]
    if thumbnails:
        fields.append(pa.field(THUMBNAIL, pa.binary()))
    schema = pa.schema(fields, {METADATA: json.dumps(_explanation(index, codebooks))})

    def parts() -> Iterator[pa.RecordBatch]:
        for ids, codes in items_in_parts(index, _ROWS_WITH_THUMBNAILS if thumbnails else _ROWS):
            numbers = unpack(codes, index.num_codebooks, index.num_codewords)
            decoded = codebooks.astype(dtype)[np.arange(index.num_codebooks), numbers]
            columns = [
                pa.array(ids, schema.field(ID).type),
                pa.FixedSizeBinaryArray.from_buffers(schema.field(CODE).type, len(codes), [None, pa.py_buffer(codes)]),
                pa.FixedSizeListArray.from_arrays(pa.array(decoded.ravel()), type=schema.field(DECODED).type),
            ]
            if thumbnails:
                columns.append(pa.array(thumbnails(ids.tolist()), pa.binary()))
            yield pa.record_batch(columns, schema=schema)

    return GalleryTable(schema, parts())


def _explanation(index: CodeIndex, codebooks: np.ndarray) -> dict:
    return {
        "format": FORMAT,
        "num_codebooks": index.num_codebooks,
        "num_codewords": index.num_codewords,
        "subvector_dim": index.subvector_dim,
        "bits": index.bits,
        "codebooks": base64.b64encode(codebooks.astype("<f4").tobytes()).decode(),
        "explained": _EXPLAINED,
    }

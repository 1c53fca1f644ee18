"""A gallery as a Lance table, which LanceDB opens, with an index over the student's own codebooks."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.sharing.gallery_table import DECODED, Thumbnails, gallery_table, unit_codebooks
from dcmq.sharing.targets import new_target

_BITS = (4, 8)  # of a codeword's number, which Lance can store


def export_lance(
    index: CodeIndex, folder: Path | str, dtype: str = "float32", thumbnails: Thumbnails | None = None
) -> Path:
    """Write ``index`` as a Lance table, and return its folder; see :func:`dcmq.sharing.gallery_table.gallery_table`.

    The vectors are indexed by product quantization with the codebooks of ``index``, in one partition. So what is
    searched are its codes, and no item is missed.

    Raises:
        DcmqError: an empty index, codebooks that Lance does not take, a folder that is there already or cannot be
            written, or no lance.
    """
    folder, bits = Path(folder), bits_per_codeword(index.num_codewords)
    if bits not in _BITS:
        raise DcmqError(
            f"export: Lance takes codebooks of 16 or 256 codewords, not {index.num_codewords}: write parquet"
        )
    if bits == 4 and index.num_codebooks % 2:
        raise DcmqError(f"export: Lance takes an even number of codebooks, not {index.num_codebooks}: write parquet")
    lance, table = _require_lance(), gallery_table(index, dtype, thumbnails)
    with new_target(folder) as written:
        rows = pa.RecordBatchReader.from_batches(table.schema, table.parts)
        dimension = index.num_codebooks * index.subvector_dim
        lance.write_dataset(rows, written).create_index(
            DECODED,
            "IVF_PQ",
            metric="dot",
            num_partitions=1,
            ivf_centroids=np.zeros((1, dimension), dtype),
            num_sub_vectors=index.num_codebooks,
            num_bits=bits,
            pq_codebook=unit_codebooks(index).astype(dtype),
        )
    return folder


def _require_lance():
    try:
        import lance
    except ModuleNotFoundError:
        raise DcmqError("export: Lance tables need lance: pip install 'dcmq[lance]'") from None
    return lance

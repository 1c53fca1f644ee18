"""An index in plain files, for programs that know nothing of this package."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcmq.codes.faiss_engines import has_fast_scan, inverted_index, product_index, require_faiss
from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError

_LARGEST_IDS = 1 << 32  # bytes of ids.npy
_CANDIDATE_FACTOR = 8  # candidates for each item wanted, which plain faiss ranks by their exact scores

_README = """# A gallery of product-quantized codes

{items} items, {bits} bits each: M = {num_codebooks} codebooks of K = {num_codewords} codewords.

| file | what it holds |
|---|---|
| `codebooks.npy` | float32 ({num_codebooks}, {num_codewords}, {subvector_dim}): codeword k of codebook m; only its direction counts |
| `codes.npy` | uint8 ({items}, {code_size}): for each item its M codeword numbers, {bits_each} bits each, codebook 0 first, most significant bit first, zero bits at the end |
| `ids.npy` | {id_type} ({items},): what each row of `codes.npy` is |
{faiss}
**Score of an item.** Cut the query's embedding into M parts of {subvector_dim} numbers and scale each part to length 1. The score is the
sum over m of the cosine of part m with the codeword that the item has in codebook m: between -{num_codebooks} and {num_codebooks}, higher is nearer.

```python
import numpy as np

codebooks, codes, ids = (np.load(f"{{name}}.npy") for name in ("codebooks", "codes", "ids"))
parts = query.reshape({num_codebooks}, {subvector_dim})
parts = parts / np.linalg.norm(parts, axis=1, keepdims=True)
codewords = codebooks / np.linalg.norm(codebooks, axis=2, keepdims=True)
tables = np.einsum("md,mkd->mk", parts, codewords)  # cosines with all codewords
bits = np.unpackbits(codes, axis=1, count={bits}).reshape(len(codes), {num_codebooks}, {bits_each})
numbers = bits @ (1 << np.arange({bits_each} - 1, -1, -1))
scores = tables[np.arange({num_codebooks}), numbers].sum(1)
print(ids[np.argsort(-scores, kind="stable")[:10]])
```
"""

_README_FAISS = """| `index.faiss` | the same gallery for faiss: `{index_type}`; its labels are rows of `ids.npy` |

```python
import faiss

index = faiss.read_index("index.faiss")
scores, rows = index.search(parts.reshape(1, -1).astype("float32"), 10)  # parts as below
```

It finds candidates by rounded scores and ranks them by exact ones; `index.k_factor` ({factor}) says how many for each item wanted.
{lists}"""

_README_LISTS = """It looks at {nprobe} of {nlist} lists, so items are missed; `faiss.downcast_index(index.base_index).nprobe` says at how many.
"""


def export_index(index: CodeIndex, folder: Path | str, with_faiss: bool = True) -> Path:
    """Write ``index`` as ``.npy`` files, a README of the format and, with faiss, a file for ``faiss.read_index``.

    Returns:
        the folder.

    Raises:
        DcmqError: an empty index, a folder that is not empty or cannot be written, or no faiss.
    """
    folder = Path(folder)
    if not len(index):
        raise DcmqError("export: the index is empty; add codes first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DcmqError(f"export: {folder} is there already and not empty; choose another folder")
    ids, exported = ids_of_one_width(index), faiss_index(index) if with_faiss else None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            _write(index, ids, exported, Path(temporary) / "all")
            os.replace(Path(temporary) / "all", folder)  # whole or not at all
    except OSError as error:
        raise DcmqError(f"export: cannot write {folder}: {error.strerror}") from None
    return folder


def items_in_parts(index: CodeIndex, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and codes of the items of ``index``, ``size`` at a time, in the order in which they were added.

    So only a part of an index that is mapped into memory is read from disk, and only a part of the ids is decoded.
    """
    for start in range(0, len(index), size):
        rows = slice(start, start + size)
        yield index._ids.take(rows), np.ascontiguousarray(index._codes.take(rows))


def faiss_index(index: CodeIndex):
    """A faiss index of the gallery: candidates by the fast scan (K = 16) or the inverted lists, ranked by exact scores."""
    faiss, product = require_faiss(), product_index(index.codebooks, index.codes)
    base = faiss.IndexPQFastScan(product) if has_fast_scan(index.num_codewords) else product
    if index.nlist:
        base = inverted_index(index.codebooks, index.codes, index.centroids, index.lists)
        base.nprobe = index.nprobe
    if base is product:
        return product
    refined = faiss.IndexRefine(base, product)
    refined.k_factor = _CANDIDATE_FACTOR
    return refined


def ids_of_one_width(index: CodeIndex) -> np.ndarray:
    """The ids as a ``.npy`` file without pickle can hold them: each text takes the space of the longest."""
    ids = index.ids
    if ids.dtype.kind == "i":
        return ids
    longest = max(ids, key=len)
    if 4 * len(longest) * len(ids) > _LARGEST_IDS:
        raise DcmqError(
            f"export: ids.npy would take {4e-9 * len(longest) * len(ids):.1f} GB, as one id has {len(longest):,} letters "
            f"({longest[:40]!r}...): remove it, or export to parquet"
        )
    return ids.astype(str)


def _write(index: CodeIndex, ids: np.ndarray, exported, folder: Path) -> None:
    """Write all files; ``exported`` is faiss' index, or None."""
    folder.mkdir()
    np.save(folder / "codebooks.npy", index.codebooks.numpy())
    np.save(folder / "codes.npy", index.codes)
    np.save(folder / "ids.npy", ids)
    if exported is not None:
        require_faiss().write_index(exported, str(folder / "index.faiss"))
    readme = _README.format(
        items=len(index),
        bits=index.bits,
        bits_each=index.bits // index.num_codebooks,
        num_codebooks=index.num_codebooks,
        num_codewords=index.num_codewords,
        subvector_dim=index.subvector_dim,
        code_size=index.code_size,
        id_type=ids.dtype.name,
        faiss="" if exported is None else _faiss_section(index, type(exported).__name__),
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _faiss_section(index: CodeIndex, index_type: str) -> str:
    lists = _README_LISTS.format(nprobe=index.nprobe, nlist=index.nlist) if index.nlist else ""
    return _README_FAISS.format(index_type=index_type, factor=_CANDIDATE_FACTOR, lists=lists)

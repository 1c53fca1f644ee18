"""A gallery in plain files, for programs that know nothing of this package."""

import os
import tempfile
from pathlib import Path

import numpy as np

from dcmq.codes.faiss_engines import faiss, fast_scan, inverted_index, product_index
from dcmq.codes.index import CodeIndex, default_probes
from dcmq.core.errors import DcmqError

_FACTOR = 8  # candidates for each item wanted, which plain faiss ranks by their exact scores


_README = """# A gallery of product-quantised codes

{items} items, {bits} bits each: M = {books} codebooks of K = {words} codewords.

| file | what it holds |
|---|---|
| `codebooks.npy` | float32 ({books}, {words}, {length}): codeword k of book m; only its direction counts |
| `codes.npy` | uint8 ({items}, {width}): for each item its M codeword numbers, {each} bits each, book 0 first, most significant bit first, zero bits at the end |
| `ids.npy` | {kind} ({items},): what each row of `codes.npy` is |
{faiss}
**Score of an item.** Cut the query's embedding into M parts of {length} numbers and scale each part to length 1. The score is the
sum over m of the cosine of part m with the codeword that the item has in book m: between -{books} and {books}, higher is nearer.

```python
import numpy as np

codebooks, codes, ids = (np.load(f"{{name}}.npy") for name in ("codebooks", "codes", "ids"))
parts = query.reshape({books}, {length}) / np.linalg.norm(query.reshape({books}, {length}), axis=1, keepdims=True)
words = codebooks / np.linalg.norm(codebooks, axis=2, keepdims=True)
tables = np.einsum("md,mkd->mk", parts, words)  # cosines with all codewords
bits = np.unpackbits(codes, axis=1, count={bits}).reshape(len(codes), {books}, {each})
numbers = bits @ (1 << np.arange({each} - 1, -1, -1))
scores = tables[np.arange({books}), numbers].sum(1)
print(ids[np.argsort(-scores, kind="stable")[:10]])
```
"""


_FAISS = """| `index.faiss` | the same gallery for faiss: `{description}`; its labels are rows of `ids.npy` |

```python
import faiss

index = faiss.read_index("index.faiss")
scores, rows = index.search(parts.reshape(1, -1).astype("float32"), 10)  # parts as below
```

It finds candidates by rounded scores and ranks them by exact ones; `index.k_factor` ({factor}) says how many for each item wanted.
{lists}"""


_LISTS = """It looks at {probes} of {lists} lists, so items are missed; `faiss.downcast_index(index.base_index).nprobe` says at how many.
"""


def export(index: CodeIndex, folder: Path | str, with_faiss: bool = True) -> Path:
    """Write ``index`` as ``.npy`` files, a README of the format and, with faiss, a file for ``faiss.read_index``.

    Raises:
        DcmqError: an empty index, a folder that holds something already, one that cannot be written, or no faiss.
    """
    folder = Path(folder)
    if not len(index):
        raise DcmqError("export: the index is empty; add codes first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DcmqError(f"export: {folder} is there already and not empty; choose another folder")
    described = faiss_index(index) if with_faiss else None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
            _write(index, Path(made) / "all", described)
            os.replace(Path(made) / "all", folder)  # whole or not at all
    except OSError as error:
        raise DcmqError(f"export: cannot write {folder}: {error.strerror}") from None
    return folder


def faiss_index(index: CodeIndex):
    """faiss' index of the gallery: candidates by the fast scan (K = 16) or the inverted lists, ranked by exact scores."""
    product, (centroids, lists) = product_index(index.codebooks, index.codes), index.lists
    base = faiss().IndexPQFastScan(product) if fast_scan(index.words) else product
    if len(centroids):
        base = inverted_index(index.codebooks, index.codes, centroids, lists)
        base.nprobe = default_probes(len(centroids))
    if base is product:
        return product
    refined = faiss().IndexRefine(base, product)
    refined.k_factor = _FACTOR
    return refined


def _write(index: CodeIndex, folder: Path, made) -> None:
    folder.mkdir()
    np.save(folder / "codebooks.npy", index.codebooks.numpy())
    np.save(folder / "codes.npy", index.codes)
    np.save(folder / "ids.npy", index.ids)
    text = ""
    if made is not None:
        faiss().write_index(made, str(folder / "index.faiss"))
        number = len(index.lists[0])
        lists = _LISTS.format(probes=default_probes(number), lists=number) if number else ""
        text = _FAISS.format(description=type(made).__name__, factor=_FACTOR, lists=lists)
    num_codebooks, words, length = index.codebooks.shape
    readme = _README.format(
        items=len(index),
        bits=index.bits,
        each=index.bits // num_codebooks,
        num_codebooks=num_codebooks,
        words=words,
        length=length,
        width=index.width,
        kind=index.ids.dtype.name,
        faiss=text,
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")

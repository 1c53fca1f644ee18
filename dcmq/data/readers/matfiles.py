"""Ready-made MATLAB files in circulation, of either container, in whatever orientation they were saved.

images within     FLICKR-25K.mat (images, YAll, LAll); mirflickr25k-iall/-yall/-lall.mat;
                  nus-wide-tc21-iall/-yall/-lall.mat
names of files    index/caption/label.mat, or caption.txt; imgList/tagList/labelList.mat; FAll instead of IAll.
                  Images lie under the root

Rows were filtered by whoever made the files, and neither classes nor tags are named in them: a classes.txt or
vocabulary.txt beside them names the columns, else classes are taken as alphabetical, which is said.
"""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, issparse

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DATASETS
from dcmq.data.readers.layout import is_file, lines, nfc, on_disk, one_file, outside, text, whole
from dcmq.data.readers.mat_arrays import MatArray, MatImages, arrays_in
from dcmq.data.source import Source, row_words


def read_mat(name: str, population: str, root: Path) -> Source:
    """The samples of the ``.mat`` files under ``root``; rows without a label, or without tag or caption, are left out.

    Args:
        name, population: a registered data set and a published population of it.

    Raises:
        DcmqError: no files, arrays missing or of sizes that do not fit together, values other than 0 and 1.
    """
    root = Path(root).resolve()
    arrays = _arrays(root, name)
    images, files, labels = (arrays.get(kind) for kind in ("images", "files", "labels"))
    if labels is None or (images is None and files is None) or not ({"tags", "captions"} & set(arrays)):
        raise DcmqError(
            f"{name}: the .mat files under {root} hold {', '.join(sorted(arrays)) or 'nothing known'}; images or files, "
            "tags or captions, and labels are needed"
        )
    names = _names(files.value) if files is not None else []
    n = images.value[0] if images is not None and not names else len(names)
    if not n:
        raise DcmqError(f"{name}: {(files or images).path}: {(files or images).key} is empty: it names no image")
    labels = _binary(labels, n).astype(np.uint8)
    tags = csr_matrix(_binary(arrays["tags"], n), dtype=np.float32) if "tags" in arrays else None
    captions = _captions(arrays["captions"].value, n) if tags is None else ()
    published = DATASETS[name].populations[population]
    classes = _class_names(root / "classes.txt", labels.shape[1], published.classes)
    vocabulary = _tag_names(root / "vocabulary.txt", tags.shape[1]) if tags is not None else ()
    worded = (
        tags.getnnz(1) > 0
        if tags is not None
        else np.array([any(c.isalpha() for t in row for c in t) for row in captions])
    )
    kept = np.flatnonzero(labels.any(1) & worded)
    if not len(kept):
        raise DcmqError(f"{name}: no row of the .mat files under {root} has both a label and a text")
    source = Source(
        name=name,
        population=population,
        root=root,
        ids=np.arange(n) if images is not None else np.array([Path(p).stem for p in names]),
        files=[images.path] * n if images is not None else _image_files(root, names),
        images=MatImages(images.path, images.key, np.arange(n)) if images is not None else None,
        classes=classes,
        labels=labels,
        captions=captions,
        tags=() if tags is None else row_words(tags, vocabulary),
        bow=tags,
        vocabulary=vocabulary,
        query=published.query,
        train=published.train,
        counts={"rows": n, "classes": labels.shape[1], "vocabulary": len(vocabulary), "kept": len(kept)},
        dropped={"without label or text": n - len(kept)},
        choices={
            "population": population,
            "layout": "mat",
            "class_names": "classes.txt" if (root / "classes.txt").is_file() else "alphabetical",
        },
        recipe=published.recipe,
        filtered=True,
    )
    source = source.rows(kept)
    if images is None:
        _require_distinct(name, files, kept, source)
    return source


def _require_distinct(name: str, files: MatArray, kept: np.ndarray, source: Source) -> None:
    """Raise DcmqError where two rows have one image, or two images of one name: names are the ids."""
    twins, often = one_file(source.files), Counter(source.ids.tolist())
    if twins is None and len(often) < len(source.ids):
        twice = next(i for i, times in often.items() if times > 1)
        twins = tuple(np.flatnonzero(source.ids == twice)[:2])
    if twins is not None:
        one, other = (f"{kept[row] + 1} ({source.files[row]})" for row in twins)
        raise DcmqError(
            f"{name}: rows {one} and {other} of {files.path.name} are of one image or name: keep one, or rename it"
        )


def _arrays(root: Path, name: str) -> dict[str, MatArray]:
    """The arrays under ``root`` by kind, a key of :data:`KEYS`."""
    paths = sorted({*root.glob("*.mat"), *root.glob("*/*.mat")})
    if not paths:
        raise DcmqError(f"{name}: no .mat file in {root} or the folders in it")
    arrays: dict[str, MatArray] = {}
    for path in paths:
        for kind, array in arrays_in(path):
            if kind in arrays:
                raise DcmqError(
                    f"{name}: both {arrays[kind].path.name} and {path.name} hold {kind}: keep one of them under {root}"
                )
            arrays[kind] = array
    captions = next(iter(sorted({*root.glob("caption.txt"), *root.glob("*/caption.txt")})), None)
    if "captions" not in arrays and captions:  # one a line, empty where there is none
        rows = np.array(text(captions).removesuffix("\n").split("\n"), object)
        arrays["captions"] = MatArray(captions, "lines", rows)
    return arrays


def _binary(array: MatArray, n: int) -> np.ndarray:
    """(n, C) 0/1, turned if it is (C, n) in the file."""
    value = array.value.toarray() if issparse(array.value) else np.asarray(array.value)
    name = f"{array.path}: {array.key}"
    if value.dtype.kind not in "biuf":
        raise DcmqError(f"{name} holds {value.dtype}, not numbers")
    if not value.size:
        raise DcmqError(f"{name} is {value.shape}: it holds nothing; write the file again, or fetch it again")
    if value.ndim != 2 or n not in value.shape:
        raise DcmqError(f"{name} is {value.shape}, but there are {n:,} images: the files do not belong together")
    if value.shape[0] != n:
        value = value.T
    elif value.shape[1] == n:
        raise DcmqError(f"{name} is {value.shape}: which side is that of the images cannot be told")
    if not np.isin(value, (0, 1)).all():
        raise DcmqError(f"{name} holds values other than 0 and 1")
    return value


def _text(value) -> str:
    while isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    value = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return nfc(whole(value)).strip()


def _names(value: np.ndarray) -> list[str]:
    """File names, without padding, Windows' separators and (folder, name) pairs."""
    value = np.asarray(value)
    if value.ndim == 2 and 1 not in value.shape:
        return ["/".join(_text(part) for part in row).replace("\\", "/") for row in value]
    return [_text(name).replace("\\", "/") for name in value.reshape(-1)]


def _captions(value: np.ndarray, n: int) -> tuple[tuple[str, ...], ...]:
    rows = np.atleast_1d(value)
    rows = rows.reshape(-1) if rows.ndim == 2 and 1 in rows.shape else rows
    if len(rows) != n:
        raise DcmqError(f"there are {len(rows):,} captions for {n:,} images: the files do not belong together")
    texts = [[_text(t) for t in (row.reshape(-1) if isinstance(row, np.ndarray) else [row])] for row in rows]
    return tuple(tuple(t for t in row if t) for row in texts)


def _class_names(file: Path, width: int, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the ``width`` columns of the labels: those in ``file``, else the ``usual`` ones, which a warning
    says."""
    if file.is_file():
        return _column_names(file, width)
    if len(usual) != width:
        raise DcmqError(
            f"the .mat files name none of their {width} classes: write them to {file}, one a line, in column order"
        )
    warnings.warn(
        f"the .mat files do not name their classes: taken as alphabetical; {file} can say otherwise", stacklevel=3
    )
    return usual


def _tag_names(file: Path, width: int) -> tuple[str, ...]:
    return _column_names(file, width) if file.is_file() else tuple(f"tag{i:04d}" for i in range(width))


def _column_names(file: Path, width: int) -> tuple[str, ...]:
    names = tuple(map(nfc, lines(file)))
    if any("\0" in name for name in names):
        raise DcmqError(f"{file} is not UTF-8: save it as that")
    if len(names) != width:
        raise DcmqError(f"{file} names {len(names)} columns, the .mat file has {width}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DcmqError(f"{file} names {twice[0]!r} for several columns: give each its own name")
    return names


def _image_files(root: Path, names: list[str]) -> list[Path]:
    """The places of images: absolute paths of the maker's machine are cut from the left until the first is on disk."""
    parts = Path(names[0].lstrip("/")).parts
    for base in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        for cut in range(len(parts)):
            if is_file(base / Path(*parts[cut:])):
                files = [on_disk(base / Path(*Path(name.lstrip("/")).parts[cut:])) for name in names]
                if away := outside(files, [root]):
                    raise DcmqError(
                        f"the .mat files name {names[away[0]][:200]!r}, which is not in {root}: it is not read"
                    )
                return files
    raise DcmqError(f"the image {names[0][:200]} of the .mat files is nowhere under {root}: unpack the images there")

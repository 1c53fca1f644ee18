"""Ready-made MATLAB files in circulation, of either container, in whatever orientation they were saved.

pictures within   FLICKR-25K.mat (images, YAll, LAll); mirflickr25k-iall/-yall/-lall.mat; nus-wide-tc21-iall/-yall/-lall.mat
names of files    index/caption/label.mat, or caption.txt; imgList/tagList/labelList.mat; FAll instead of IAll. Pictures lie under the root

Rows were filtered by whoever made the files, and neither classes nor tags are named in them: a classes.txt or
vocabulary.txt beside them names the columns, else classes are taken as alphabetical, which is said.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from scipy.sparse import csr_matrix, issparse

from dcmq.core.errors import DcmqError
from dcmq.data.readers.layout import lines, text
from dcmq.data.readers.mirflickr import SIZES as MIR_SIZES
from dcmq.data.readers.nuswide import SIZES as NUS_SIZES
from dcmq.data.source import Source, named

KEYS = {
    "pictures": ("images", "IAll"),
    "files": ("index", "FAll", "imgs"),
    "tags": ("YAll", "tags"),
    "captions": ("caption", "captions"),
    "labels": ("LAll", "labels", "category", "label"),
}


_TC21 = (
    "animal beach buildings clouds flowers grass lake mountain ocean person plants reflection road rocks sky snow sunset "
    "tree vehicle water window"
)


_MIR = (
    "animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river sea sky "
    "structures sunset transport tree water"
)


CLASSES = {"mirflickr": tuple(_MIR.split()), "nuswide": tuple(_TC21.split())}


@dataclass(frozen=True)
class MatImages:
    """Pictures of an HDF5 file, whose axes MATLAB reversed: each is (3, W, H) there and (H, W, 3) here."""

    path: Path
    key: str
    rows: np.ndarray

    def read(self, row: int) -> np.ndarray:
        """The picture of ``row``, (H, W, 3) uint8."""
        with h5py.File(self.path) as file:
            picture = file[self.key][int(self.rows[row])]
        return np.ascontiguousarray(picture.transpose(2, 1, 0) if picture.shape[0] == 3 else picture).astype(np.uint8)


def read_mat(name: str, population: str, root: Path) -> Source:
    """The samples of the ``.mat`` files under ``root``; rows without a label, or without tag or caption, are left out.

    Raises:
        DcmqError: none, arrays missing or of sizes that do not fit together, values other than 0 and 1.
    """
    root = Path(root).resolve()
    found = _arrays(root, name)
    pictures, files = found.get("pictures"), found.get("files")
    labels = found.get("labels")
    if labels is None or (pictures is None and files is None) or not ({"tags", "captions"} & set(found)):
        raise DcmqError(
            f"{name}: the .mat files under {root} hold {', '.join(sorted(found)) or 'nothing known'}; pictures or files, tags or captions, and labels are needed"
        )
    names = _names(files[2]) if files is not None else []
    n = len(names) or pictures[2][0]
    labels = _binary(labels, n).astype(np.uint8)
    tags = csr_matrix(_binary(found["tags"], n), dtype=np.float32) if "tags" in found else None
    captions = _captions(found["captions"][2], n) if tags is None else ()
    classes = _column_names(root, "classes.txt", labels.shape[1], CLASSES.get(name, ()), "class")
    vocabulary = _column_names(root, "vocabulary.txt", tags.shape[1], (), "tag") if tags is not None else ()
    worded = (
        tags.getnnz(1) > 0
        if tags is not None
        else np.array([any(c.isalpha() for t in row for c in t) for row in captions])
    )
    kept = np.flatnonzero(labels.any(1) & worded)
    if not len(kept):
        raise DcmqError(f"{name}: no row of the .mat files under {root} has both a label and a text")
    query, train = {"mirflickr": MIR_SIZES, "nuswide": NUS_SIZES}.get(name, {}).get(population, (5000, 10_000))[-2:]
    whole = Source(
        name=name,
        population=population,
        root=root,
        ids=np.arange(n) if pictures is not None else np.array([Path(p).stem for p in names]),
        files=[pictures[0]] * n if pictures is not None else _on_disk(root, names),
        images=MatImages(pictures[0], pictures[1], np.arange(n)) if pictures is not None else None,
        classes=classes,
        labels=labels,
        captions=captions,
        tags=() if tags is None else named(tags, vocabulary),
        bow=tags,
        vocabulary=vocabulary,
        query=query,
        train=train,
        counts={"rows": n, "classes": labels.shape[1], "vocabulary": len(vocabulary), "kept": len(kept)},
        dropped={"without label or text": n - len(kept)},
        choices={
            "population": population,
            "layout": "mat",
            "class_names": "classes.txt" if (root / "classes.txt").is_file() else "alphabetical",
        },
        recipe="per class" if name == "nuswide" else "random",
        filtered=True,
    )
    return whole.rows(kept)


def _arrays(root: Path, name: str) -> dict[str, tuple]:
    """By kind: the file, the key, and the array, or only its shape where it holds pictures."""
    paths = sorted({*root.glob("*.mat"), *root.glob("*/*.mat")})
    if not paths:
        raise DcmqError(f"{name}: no .mat file in {root} or the folders in it")
    found: dict[str, tuple] = {}
    for path in paths:
        for kind, key, value in _content(path):
            if kind in found:
                raise DcmqError(
                    f"{name}: both {found[kind][0].name} and {path.name} hold {kind}: keep one of them under {root}"
                )
            found[kind] = (path, key, value)
    listed = next(iter(sorted({*root.glob("caption.txt"), *root.glob("*/caption.txt")})), None)
    if "captions" not in found and listed:  # one a line, empty where there is none
        found["captions"] = (listed, "lines", np.array(text(listed).removesuffix("\n").split("\n"), object))
    return found


def _content(path: Path) -> list[tuple]:
    kinds = {key: kind for kind, keys in KEYS.items() for key in keys}
    try:
        if path.open("rb").read(8)[:4] != b"\x89HDF" and not h5py.is_hdf5(path):
            known = loadmat(path)
            return [(kinds[k], k, v) for k, v in known.items() if k in kinds and (kinds[k] != "pictures")]
        with h5py.File(path) as file:
            return [(kinds[k], k, file[k].shape if kinds[k] == "pictures" else file[k][()]) for k in file if k in kinds]
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DcmqError(
            f"{path} is no whole MATLAB file ({str(error).splitlines()[0] if str(error) else type(error).__name__}): fetch it again"
        ) from None


def _binary(found: tuple, n: int) -> np.ndarray:
    """(n, C) 0/1, turned if it is (C, n)."""
    path, key, value = found
    value = value.toarray() if issparse(value) else np.asarray(value)
    if value.ndim != 2 or n not in value.shape:
        raise DcmqError(
            f"{path}: {key} is {value.shape}, but there are {n:,} pictures: the files do not belong together"
        )
    if value.shape[0] != n:
        value = value.T
    elif value.shape[1] == n:
        raise DcmqError(f"{path}: {key} is {value.shape}: which side is that of the pictures cannot be told")
    if not np.isin(value, (0, 1)).all():
        raise DcmqError(f"{path}: {key} holds values other than 0 and 1")
    return value


def _text(value) -> str:
    while isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    return str(value).strip()


def _names(value: np.ndarray) -> list[str]:
    """File names: padding, Windows' separators and (folder, name) pairs undone."""
    value = np.asarray(value)
    if value.ndim == 2 and 1 not in value.shape:
        return ["/".join(_text(part) for part in row).replace("\\", "/") for row in value]
    return [_text(name).replace("\\", "/") for name in value.reshape(-1)]


def _captions(value: np.ndarray, n: int) -> tuple[tuple[str, ...], ...]:
    rows = np.asarray(value)
    rows = rows.reshape(-1) if rows.ndim == 2 and 1 in rows.shape else rows
    if len(rows) != n:
        raise DcmqError(f"there are {len(rows):,} captions for {n:,} pictures: the files do not belong together")
    texts = [[_text(t) for t in (row.reshape(-1) if isinstance(row, np.ndarray) else [row])] for row in rows]
    return tuple(tuple(t for t in row if t) for row in texts)


def _column_names(root: Path, file: str, width: int, usual: tuple[str, ...], what: str) -> tuple[str, ...]:
    if (root / file).is_file():
        names = tuple(lines(root / file))
        if len(names) != width:
            raise DcmqError(f"{root / file} names {len(names)} columns, the .mat file has {width}")
        return names
    if what == "tag":
        return tuple(f"tag{i:04d}" for i in range(width))
    if len(usual) != width:
        raise DcmqError(
            f"the .mat files name none of their {width} classes: write them to {root / file}, one a line, in column order"
        )
    warnings.warn(
        f"the .mat files do not name their classes: taken as alphabetical; {root / file} can say otherwise",
        stacklevel=3,
    )
    return usual


def _on_disk(root: Path, names: list[str]) -> list[Path]:
    """Where pictures lie: absolute paths of the maker's machine are cut from the left until the first is found."""
    parts = Path(names[0].lstrip("/")).parts
    for base in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        for cut in range(len(parts)):
            if (base / Path(*parts[cut:])).is_file():
                return [base / Path(*Path(name.lstrip("/")).parts[cut:]) for name in names]
    raise DcmqError(f"the picture {names[0]} of the .mat files is nowhere under {root}: unpack the pictures there")

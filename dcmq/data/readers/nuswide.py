"""NUS-WIDE in its official layout: tc21 and tc10 keep its 21 and 10 largest concepts.

Groundtruth/AllLabels/Labels_<concept>.txt, ConceptsList/Concepts81.txt, NUS_WID_Tags/AllTags1k.txt and TagList1k.txt,
ImageList/Imagelist.txt, and the images under Flickr/ (or images/), which are not distributed

All files have one line per image in the same order. Tags are AllTags1k.txt, from which All_Tags.txt differs in 16
images; TrainTestLabels is not used, one of its lines is broken.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DatasetEntry, Population, ReadOptions, register_dataset
from dcmq.data.downloads import Archive
from dcmq.data.readers.layout import is_file, lines, locate, nfc, open_file, outside
from dcmq.data.source import Source, row_words

PAGE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
WANTED = {
    "AllLabels": "Groundtruth.zip",
    "Concepts81.txt": "ConceptsList.zip",
    "AllTags1k.txt": "NUS_WID_Tags.zip",
    "TagList1k.txt": "NUS_WID_Tags.zip",
    "Imagelist.txt": "ImageList.zip",
}
IMAGES = (
    "NUS-WIDE's images are not distributed: ask its authors for them by the form on "
    f"{PAGE}, or fetch what is left at the addresses of NUS-WIDE-urls.rar, and put them there as Flickr/FOLDER/NAME.jpg"
)
_COUNTS = {"images": 269_648, "concepts": 81, "vocabulary": 1000, "tag ones": 1_559_464}
POPULATIONS = {
    "tc21": Population(
        _COUNTS | {"classes": 21, "with label": 195_834, "label ones": 411_438, "kept": 190_421},
        query=2100,
        train=10_500,
        recipe="per class",
        classes=tuple(
            "animal beach buildings clouds flowers grass lake mountain ocean person plants reflection road rocks sky "
            "snow sunset tree vehicle water window".split()
        ),
    ),
    "tc10": Population(
        _COUNTS | {"classes": 10, "with label": 186_577, "kept": 181_365}, query=2000, train=5000, recipe="per class"
    ),
}
_BLANKS = b" \t\r\n"


def read_nuswide(root: Path, population: str = "tc21") -> Source:
    """The samples with one of the largest concepts and one of the 1,000 tags; rows in Imagelist.txt's order.

    A few photo ids stand twice, with labels that do not always agree: both are kept, as in the published populations.

    Raises:
        DcmqError: files missing, of different lengths or with a broken line; no image folder.
    """
    root = Path(root).resolve()
    places = locate("nuswide", root, WANTED, f"Unpack them there, fetch them with --download, or from {PAGE}")
    names = [line.replace("\\", "/") for line in lines(places["Imagelist.txt"])]
    vocabulary = tuple(map(nfc, lines(places["TagList1k.txt"])))
    concepts = lines(places["Concepts81.txt"])
    label_files = [places["AllLabels"] / f"Labels_{concept}.txt" for concept in concepts]
    flags = np.stack([_flags(file, len(names)) for file in tqdm(label_files, desc="labels", unit="concept")], 1)
    bow = _tag_matrix(places["AllTags1k.txt"], len(names), len(vocabulary))
    published = POPULATIONS[population]
    size = published.counts["classes"]
    largest = np.sort(np.argsort(-flags.sum(0, dtype=np.int64), kind="stable")[:size])
    order = sorted(largest, key=lambda c: concepts[c])
    labels = np.ascontiguousarray(flags[:, order])
    labelled, tagged = labels.any(1), bow.getnnz(1) > 0
    kept = labelled & tagged
    if not kept.any():
        raise DcmqError(f"nuswide: no image in {root} has both one of the {size} concepts and a tag")
    photos = Counter(Path(name).stem.rpartition("_")[2] for name in names)
    folder = _image_folder(root, places["Imagelist.txt"].parent, names)
    files = [folder / name for name in names]
    if away := outside(files, [folder]):
        raise DcmqError(
            f"nuswide: Imagelist.txt names {names[away[0]][:200]!r}, which is not in {folder}: it is not read"
        )
    whole = Source(
        name="nuswide",
        population=population,
        root=root,
        ids=np.array([name.removesuffix(".jpg") for name in names]),
        files=files,
        classes=tuple(nfc(concepts[c]) for c in order),
        labels=labels,
        captions=(),
        tags=row_words(bow, vocabulary),
        bow=bow,
        vocabulary=vocabulary,
        query=published.query,
        train=published.train,
        counts={
            "images": len(names),
            "concepts": len(concepts),
            "classes": len(order),
            "vocabulary": len(vocabulary),
            "tag ones": int(bow.nnz),
            "label ones": int(labels.sum()),
            "with label": int(labelled.sum()),
            "with tag": int(tagged.sum()),
            "photo ids that stand twice": sum(n > 1 for n in photos.values()),
            "kept": int(kept.sum()),
        },
        dropped={"without label": int((~labelled).sum()), "without tag": int((labelled & ~tagged).sum())},
        choices={"population": population, "tags": "AllTags1k.txt"},
        recipe=published.recipe,
        placeholders=True,
    )
    return whole.rows(np.flatnonzero(kept))


def _flags(path: Path, n: int) -> np.ndarray:
    """(n,) uint8 0/1 from a file with one a line."""
    with open_file(path, "Groundtruth.zip") as file:
        content = file.read()
    flags = np.frombuffer(content.translate(None, _BLANKS), np.uint8) - ord("0")
    if len(flags) != n or flags.max(initial=0) > 1:
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip() not in (b"0", b"1", b""):
                raise DcmqError(f"{path}, line {number}: {line.strip().decode('latin-1')!r} is neither 0 nor 1")
        raise DcmqError(f"{path} has {len(flags):,} lines, Imagelist.txt {n:,}: unpack both again")
    return flags


def _tag_matrix(path: Path, n: int, width: int) -> csr_matrix:
    """(n, width) 0/1 from as many figures a line, whatever blanks stand between them."""
    indices, starts = [], [0]
    with open_file(path, "NUS_WID_Tags.zip") as file, tqdm(file, total=n, desc="tags", unit="image") as bar:
        for number, line in enumerate(bar, 1):
            flags = np.frombuffer(line.translate(None, _BLANKS), np.uint8) - ord("0")
            if not len(flags):
                continue
            if len(flags) != width or flags.max() > 1:
                raise DcmqError(f"{path}, line {number}: not {width:,} times 0 or 1, as TagList1k.txt has tags")
            indices.append(np.flatnonzero(flags))
            starts.append(starts[-1] + len(indices[-1]))
    if len(indices) != n:
        raise DcmqError(f"{path} has {len(indices):,} lines, Imagelist.txt {n:,}: unpack both again")
    columns = np.concatenate([*indices, np.empty(0, np.int64)]).astype(np.int32)
    return csr_matrix((np.ones(len(columns), np.float32), columns, starts), (n, width))


def _image_folder(root: Path, beside: Path, names: list[str]) -> Path:
    """The folder in which the first of ``names`` that is anywhere lies. Raises DcmqError where it lies in two."""
    folders = [base / part for base in (root, beside.parent, beside) for part in ("Flickr", "images", "Images", "")]
    for name in names[:1000]:
        there = [folder for folder in folders if is_file(folder / name)]
        if second := next((f for f in there if not os.path.samefile(f / name, there[0] / name)), None):
            raise DcmqError(f"nuswide: {name} lies in both {there[0]} and {second}: keep one of them under {root}")
        if there:
            return there[0]
    raise DcmqError(f"nuswide: no image of Imagelist.txt under {root / 'Flickr'}. {IMAGES}")


def _read_source(root: Path, population: str, options: ReadOptions) -> Source:
    return read_nuswide(root, population)


_HOST = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide"
register_dataset(
    "nuswide",
    DatasetEntry(
        read=_read_source,
        populations=POPULATIONS,
        archives=tuple(  # neither sizes nor checksums are published
            Archive(f"{_HOST}/{name}.zip", into=name)
            for name in ("Groundtruth", "ConceptsList", "ImageList", "NUS_WID_Tags")
        ),
    ),
)

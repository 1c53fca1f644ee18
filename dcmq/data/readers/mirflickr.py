"""MIRFlickr-25K in its official layout.

mirflickr/im<ID>.jpg, ID from 1; mirflickr/doc/common_tags.txt, the 1,386 tags of 20 images or more;
mirflickr/meta/tags/tags<ID>.txt; mirflickr25k_annotations_v080/<class>.txt, the IDs that have it

24 classes: the <class>_r1.txt, where it is clearly visible, are subsets of them and no classes of their own.
"""

import re
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DatasetEntry, Population, ReadOptions, register_dataset
from dcmq.data.downloads import Archive
from dcmq.data.readers.layout import lines, locate, nfc
from dcmq.data.source import Source

PHOTOS = "mirflickr25k.zip"
ANNOTATIONS = "mirflickr25k_annotations_v080.zip"
PAGE = "https://press.liacs.nl/mirflickr/mirdownload.html"
_COUNTS = {"images": 25_000, "classes": 24, "vocabulary": 1386, "tag ones": 94_281, "label ones": 92_902}
_CLASSES = tuple(
    "animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river sea "
    "sky structures sunset transport tree water".split()
)
POPULATIONS = {
    "20015": Population(_COUNTS | {"kept": 20_015}, query=2000, train=10_000, classes=_CLASSES),
    "24581": Population(_COUNTS | {"kept": 24_581}, query=5000, train=10_000, classes=_CLASSES),
}


def read_mirflickr(root: Path, population: str = "20015") -> Source:
    """The samples with a label and, in population 20015, with a common tag; rows by ID, classes by name.

    Raises:
        DcmqError: files missing, an ID that is no image, nothing left.
    """
    root = Path(root).resolve()
    archives = {"doc/common_tags.txt": PHOTOS, "meta/tags": PHOTOS, "water.txt": ANNOTATIONS}
    places = locate("mirflickr", root, archives, f"Unpack both there, fetch them with --download, or from {PAGE}")
    vocabulary = tuple(line.rsplit(None, 1)[0] for line in lines(places["doc/common_tags.txt"]))
    files = _tag_files(places["meta/tags"])
    ids = np.array(sorted(files))
    if not len(ids):
        raise DcmqError(f"mirflickr: no tags<ID>.txt in {places['meta/tags']}; unpack {PHOTOS} again")
    tags = [tuple(lines(files[i])) for i in tqdm(ids, desc="reading tags", unit="image")]
    bow = _matrix(tags, vocabulary)  # as they are spelt in the files, of which the published counts are
    classes, labels = _labels(places["water.txt"].parent, ids)

    labelled, tagged = labels.any(1), bow.getnnz(1) > 0
    kept = labelled & tagged if population == "20015" else labelled
    if not kept.any():
        raise DcmqError(f"mirflickr: no image in {root} has both a label and a common tag")
    whole = Source(
        name="mirflickr",
        population=population,
        root=root,
        ids=ids,
        files=[places["meta/tags"].parents[1] / f"im{i}.jpg" for i in ids],
        classes=tuple(map(nfc, classes)),
        labels=labels,
        captions=(),
        tags=tuple(tuple(map(nfc, row)) for row in tags),
        bow=bow,
        vocabulary=tuple(map(nfc, vocabulary)),
        query=POPULATIONS[population].query,
        train=POPULATIONS[population].train,
        counts={
            "images": len(ids),
            "classes": len(classes),
            "vocabulary": len(vocabulary),
            "tag ones": int(bow.nnz),
            "label ones": int(labels.sum()),
            "with label": int(labelled.sum()),
            "with tag": int(tagged.sum()),
            "kept": int(kept.sum()),
        },
        dropped={
            "without label": int((~labelled).sum()),
            "without common tag": int((labelled & ~kept).sum()),
        },
        choices={"population": population},
    )
    return whole.rows(np.flatnonzero(kept))


def _tag_files(folder: Path) -> dict[int, Path]:
    """The files of tags by ID. Raises DcmqError where two are of one, as tags1.txt and tags01.txt are."""
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        found = re.fullmatch(r"tags([0-9]{1,18})\.txt", path.name)
        if found and (other := files.setdefault(int(found[1]), path)) != path:
            raise DcmqError(f"mirflickr: {other} and {path.name} are of one image: keep one of them")
    return files


def _matrix(tags: list[tuple[str, ...]], vocabulary: tuple[str, ...]) -> csr_matrix:
    """(n, V) 0/1: which words of ``vocabulary`` are among the tags of each row."""
    column = {tag: i for i, tag in enumerate(vocabulary)}
    present = [sorted({column[tag] for tag in row if tag in column}) for row in tags]
    starts = np.cumsum([0, *map(len, present)])
    indices = np.array([i for row in present for i in row], np.int32)
    return csr_matrix((np.ones(len(indices), np.float32), indices, starts), (len(tags), len(vocabulary)))


def _labels(folder: Path, ids: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names in alphabetical order and the (n, C) matrix, whatever order the folder lists its files in."""
    named = {p.stem: p for p in folder.glob("*.txt") if p.stem.lower() != "readme" and not p.stem.endswith("_r1")}
    classes = tuple(sorted(named))
    labels = np.zeros((len(ids), len(classes)), np.uint8)
    row = {int(i): n for n, i in enumerate(ids)}
    for c, name in enumerate(classes):
        for number, line in enumerate(lines(named[name]), 1):
            if not re.fullmatch(r"[0-9]{1,18}", line) or int(line) not in row:
                raise DcmqError(f"{named[name]}, entry {number}: {line!r:.80} is no image (IDs {ids[0]} to {ids[-1]})")
            labels[row[int(line)], c] = 1
    return classes, labels


def _read_source(root: Path, population: str, options: ReadOptions) -> Source:
    return read_mirflickr(root, population)


_HOST = "https://press.liacs.nl/mirflickr/mirflickr25k.v3b"
register_dataset(
    "mirflickr",
    DatasetEntry(
        read=_read_source,
        populations=POPULATIONS,
        archives=(  # sizes and MD5 as quoted by public code that downloads them
            Archive(
                f"{_HOST}/mirflickr25k_annotations_v080.zip",
                207_220,
                "aa0138c79892b1b670184d142380948f",
                into="mirflickr25k_annotations_v080",
            ),
            Archive(f"{_HOST}/mirflickr25k.zip", 3_069_184_257, "a23d0a8564ee84cda5622a6c2f947785"),
        ),
    ),
)

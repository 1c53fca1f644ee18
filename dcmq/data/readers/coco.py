"""MS COCO in its official layout: train and val pooled, captions as bags of words, images decoded once.

annotations/instances_*.json, annotations/captions_*.json, one folder of images per annotation file
"""

import json
import re
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import cache_dir
from dcmq.core.storage import read_json
from dcmq.data.bow import bag_of_words
from dcmq.data.catalog import DatasetEntry, Population, ReadOptions, register_dataset
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.decode import DECODER, decoded, image_key, names_key
from dcmq.data.downloads import Archive
from dcmq.data.options import check_fit, check_whole
from dcmq.data.readers.layout import nfc, on_disk, one_file, open_file, outside, whole
from dcmq.data.replaced import content_choices
from dcmq.data.source import Source
from dcmq.data.splits import draw_split

_HOST = "http://images.cocodataset.org"
_NEEDED = {"images", "annotations", "categories", "id", "file_name", "name", "image_id", "category_id", "caption"}
# Most of a file are numbers of polygons: left out before it is read, they take neither time nor memory. No text can look like
# that, as its quotes have a backslash before them.
_POLYGONS, _NOTHING = re.compile(rb'"segmentation"\s*:\s*\[[-+.0-9eE, \t\r\n\[\]]*\]'), b'"segmentation": 0'
_PUBLISHED = Population(
    counts={"images": 123_287, "classes": 80, "with label": 122_218, "label ones": 357_627, "kept": 122_218},
    query=5000,
    train=10_000,
)


def load_coco(
    root: Path,
    query: int = _PUBLISHED.query,
    train: int = _PUBLISHED.train,
    words: int = 2026,
    image_size: int = 256,
    seed: int = 0,
    ignore_classes: tuple[str, ...] = (),
) -> RetrievalDataset:
    """COCO's images with instance labels (crowds count) and all their captions; the gallery is all but the queries.

    Args:
        root: folder of ``annotations`` and the image folders.
        query, train: sizes of the split.
        words: size of the vocabulary (our recipe, :func:`dcmq.data.bow.bag_of_words`; the paper's 2,026 words are not
            published).
        image_size: images are squashed to this many pixels a side.
        seed: of the split.
        ignore_classes: categories left out of labels and relevance; images without any other are dropped.

    Raises:
        DcmqError: files missing or unreadable, an unknown category, sizes that do not fit, too many broken images.
    """
    check_whole("coco", {"query": query, "train": train, "words": words, "image_size": image_size, "seed": seed})
    source = read_coco(root, ignore_classes)
    check_fit("coco", len(source.ids), query, train)
    key, names = (make(source.root, source.files, image_size) for make in (image_key, names_key))
    folder = cache_dir() / f"coco-{key}"
    images, broken = decoded(folder, key, source.files, image_size, "coco")
    whole = source.rows(np.setdiff1d(np.arange(len(source.ids)), list(broken)))
    split = draw_split(len(whole.ids), query, train, seed=seed)
    bow, vocabulary = bag_of_words([" ".join(texts) for texts in whole.captions], split.train, max_words=words)
    choices = dict(
        query=query,
        train=train,
        words=words,
        image_size=image_size,
        seed=seed,
        ignore_classes=list(ignore_classes),
        dropped=source.dropped | {"not decodable": len(broken)},
        pictures=len(whole.ids),  # its name stays: the fingerprint is a hash of it
    ) | content_choices(names, read_json(folder / "images.proof.json")["sha256"])
    return RetrievalDataset(
        name="coco",
        ids=whole.ids,
        classes=whole.classes,
        labels=whole.labels,
        train_labels=whole.labels,
        images=images,
        bow=bow,
        vocabulary=vocabulary,
        captions=whole.captions,
        tags=(),
        split=split,
        fingerprint=digest(choices, split.hash, whole.ids, whole.labels, list(vocabulary)),
        choices=choices,
        image_code="" if "content" in choices else DECODER,
    )


def read_coco(root: Path, ignore_classes: tuple[str, ...] = ()) -> Source:
    """The images with a label and a caption, in the order of their ids.

    Raises:
        DcmqError: files missing or unreadable, an unknown category, nothing left.
    """
    root = Path(root).resolve()
    files, categories, labelled, captions = _annotations(root)
    names = [categories[c] for c in sorted(categories)]
    unknown = [c for c in ignore_classes if c not in names]
    if unknown:
        raise DcmqError(f"coco: ignore_classes names {unknown[0]!r}, which is no category (known: {', '.join(names)})")
    kept_ids = [c for c in sorted(categories) if categories[c] not in ignore_classes]
    column = {c: i for i, c in enumerate(kept_ids)}

    ids = sorted(i for i in files if column.keys() & labelled[i])
    dropped = {"without label": len(files) - len(ids)}
    labels_kept = len(ids)
    captioned = [i for i in ids if any(ch.isalpha() for text in captions[i] for ch in text)]
    dropped["without caption"], ids = len(ids) - len(captioned), captioned
    if not ids:
        raise DcmqError(f"coco: no image in {root} has both a label and a caption; is this the COCO layout?")
    if twins := one_file(files[i] for i in ids):
        one, other = (ids[row] for row in twins)
        raise DcmqError(f"coco: images {one} and {other} are one file, {files[one]}: keep one of them")
    labels = np.zeros((len(ids), len(kept_ids)), np.uint8)
    for row, i in enumerate(ids):
        labels[row, [column[c] for c in labelled[i] if c in column]] = 1
    return Source(
        name="coco",
        population="",
        root=root,
        ids=np.array(ids),
        files=[files[i] for i in ids],
        classes=tuple(categories[c] for c in kept_ids),
        labels=labels,
        captions=tuple(tuple(captions[i]) for i in ids),
        tags=(),
        query=_PUBLISHED.query,
        train=_PUBLISHED.train,
        counts={
            "images": len(files),
            "classes": len(kept_ids),
            "with label": labels_kept,
            "label ones": int(labels.sum()),
            "kept": len(ids),
        },
        dropped=dropped,
        choices={"ignore_classes": list(ignore_classes)},
        hash_images=False,  # the fingerprint is that of load_coco, so that the two find each other's runs
    )


def _annotations(root: Path):
    """Files, labels and captions by image id, and names by category id, from every annotation file under ``root``."""
    paths = sorted(root.glob("annotations/instances_*.json"))
    if not paths:
        raise DcmqError(f"coco: no annotations/instances_*.json under {root}; unpack COCO's annotation archive there")
    files: dict[int, Path] = {}
    categories: dict[int, str] = {}
    labelled, captions = defaultdict(set), defaultdict(list)
    for path in paths:
        part = path.stem.removeprefix("instances_")
        instances = _json(path, "images", "annotations", "categories")
        folder = root / part
        if not folder.is_dir():
            raise DcmqError(f"coco: {path.name} needs the image folder {folder}; unpack it there")
        here: set[int] = set()
        for image in _entries(path, instances, "images", id=int, file_name=str):
            if image["id"] in here:
                raise DcmqError(f"coco: image {image['id']} stands twice in {path.name}: unpack it again, or mend it")
            if image["id"] in files:  # the releases of 2014 and 2017 hold the same images
                raise DcmqError(
                    f"coco: image {image['id']} of {path.name} is in another annotation file too; keep one release"
                )
            here.add(image["id"])
            files[image["id"]] = _image_file(path, folder, image["file_name"])
        for category in _entries(path, instances, "categories", id=int, name=str):
            name = nfc(" ".join(whole(category["name"]).split()))
            if not name:
                raise DcmqError(f"coco: category {category['id']} of {path.name} has no name: give it one")
            if categories.setdefault(category["id"], name) != name:
                raise DcmqError(
                    f"coco: category {category['id']} is {categories[category['id']]!r} and in {path.name} {name!r}"
                )
        for annotation in _entries(path, instances, "annotations", image_id=int, category_id=int):
            if annotation["category_id"] not in categories:
                raise DcmqError(
                    f"coco: {path.name} labels image {annotation['image_id']} with category {annotation['category_id']}, "
                    "which its categories lack"
                )
            labelled[annotation["image_id"]].add(annotation["category_id"])
        _add_captions(path.with_name(f"captions_{part}.json"), captions)
    twice = [name for name, count in Counter(categories.values()).items() if count > 1]
    if twice:
        raise DcmqError(f"coco: two categories of {root / 'annotations'} are called {twice[0]!r}: rename one")
    return files, categories, labelled, captions


def _image_file(path: Path, folder: Path, name: str) -> Path:
    file = folder / name
    if outside([file], [folder]):
        raise DcmqError(f"coco: {path.name} names the image {name[:200]!r}, which is not in {folder}: it is not read")
    return on_disk(file)


def _add_captions(path: Path, captions: dict[int, list[str]]) -> None:
    """Add the captions in ``path`` by image id. Warns of those that hold no text."""
    empty = 0
    for annotation in _entries(path, _json(path, "annotations"), "annotations", image_id=int):
        caption = annotation.get("caption")
        if isinstance(caption, str):
            captions[annotation["image_id"]].append(nfc(whole(caption)))
        else:
            empty += 1
    if empty:
        warnings.warn(f"coco: {empty:,} annotations of {path.name} have no caption: they are left out", stacklevel=5)


def _entries(path: Path, content: dict, part: str, **kinds: type) -> list[dict]:
    """The list ``part`` of a file, each entry with fields of these kinds. Raises DcmqError that names the first without."""
    for number, entry in enumerate(content[part]):
        for field, kind in kinds.items():
            value = entry.get(field) if isinstance(entry, dict) else None
            if type(value) is not kind or (kind is int and abs(value) >= 2**63):
                what = "a whole number" if kind is int else "a text"
                raise DcmqError(
                    f"coco: entry {number} of {part} in {path.name} has {value!r:.80} as {field}, where {what} is meant: "
                    "unpack it again, or mend it"
                )
    return content[part]


def _needed(entry: dict) -> dict:
    """The fields that are read of an object in an annotation file: polygons and addresses would take gigabytes of memory."""
    return {name: entry[name] for name in _NEEDED & entry.keys()}


def _json(path: Path, *parts: str) -> dict:
    """The needed fields of a file, which has ``parts``, each a list."""
    if not path.exists():
        raise DcmqError(f"coco: {path} is missing; unpack COCO's annotation archive")
    try:
        with open_file(path) as file:
            content = json.loads(_POLYGONS.sub(_NOTHING, file.read()), object_hook=_needed)
    except (ValueError, RecursionError) as error:
        raise DcmqError(f"coco: {path} is no JSON ({error}); unpack it again") from None
    lacking = [part for part in parts if not isinstance(content, dict) or not isinstance(content.get(part), list)]
    if lacking:
        raise DcmqError(f"coco: {path} has no {' and no '.join(lacking)}: it is no annotation file of COCO's")
    return content


def _read_source(root: Path, population: str, options: ReadOptions) -> Source:
    return read_coco(root, options.ignore_classes)


register_dataset(
    "coco",
    DatasetEntry(
        read=_read_source,
        options=("ignore_classes",),
        load=load_coco,
        settings={"gumbel_weight": 0.5},  # stated; 1.0 for the others
        populations={"": _PUBLISHED},
        archives=(  # sizes and MD5 as quoted by public code that downloads them
            Archive(
                f"{_HOST}/annotations/annotations_trainval2017.zip", 252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"
            ),
            Archive(f"{_HOST}/zips/val2017.zip", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
            Archive(f"{_HOST}/zips/train2017.zip", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
        ),
    ),
)

"""MS COCO in its official layout: train and val pooled, captions as bags of words, pictures decoded once.

annotations/instances_*.json, annotations/captions_*.json, one folder of pictures per annotation file
"""

import json
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm

from dcmq.data.bow import bag_of_words
from dcmq.data.dataset import RetrievalDataset, draw_split
from dcmq.errors import DcmqError
from dcmq.paths import cache_dir
from dcmq.storage import digest, new_array, write_json

BROKEN_LIMIT = 0.01  # share of pictures that may fail to decode before the data set is refused


def load_coco(
    root: Path,
    query: int = 5000,
    train: int = 10_000,
    words: int = 2026,
    image_size: int = 256,
    seed: int = 0,
    ignore_classes: tuple[str, ...] = (),
) -> RetrievalDataset:
    """COCO's pictures with instance labels (crowds count) and all their captions; the gallery is all but the queries.

    Args:
        root: folder of ``annotations`` and the picture folders.
        words: size of the vocabulary (our recipe, :func:`dcmq.data.bow.bag_of_words`; the paper's 2,026 words are not
            published).
        image_size: pictures are squashed to this many pixels a side.
        ignore_classes: categories left out of labels and relevance; pictures without any other are dropped.

    Raises:
        DcmqError: files missing or unreadable, an unknown category, sizes that do not fit, too many broken pictures.
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
    worded = [i for i in ids if any(ch.isalpha() for text in captions[i] for ch in text)]
    dropped["without caption"], ids = len(ids) - len(worded), worded
    if not ids:
        raise DcmqError(f"coco: no picture in {root} has both a label and a caption; is this the COCO layout?")
    images, broken = _decoded(root, [files[i] for i in ids], image_size)
    dropped["not decodable"] = len(broken)
    ids = [i for row, i in enumerate(ids) if row not in broken]

    labels = np.zeros((len(ids), len(kept_ids)), np.uint8)
    for row, i in enumerate(ids):
        labels[row, [column[c] for c in labelled[i] if c in column]] = 1
    split = draw_split(len(ids), query, train, seed=seed)
    bow, vocabulary = bag_of_words([" ".join(captions[i]) for i in ids], split.train, max_words=words)
    choices = dict(
        query=query,
        train=train,
        words=words,
        image_size=image_size,
        seed=seed,
        ignore_classes=list(ignore_classes),
        dropped=dropped,
        pictures=len(ids),
    )
    return RetrievalDataset(
        name="coco",
        ids=np.array(ids),
        classes=tuple(categories[c] for c in kept_ids),
        labels=labels,
        train_labels=labels,
        images=images,
        bow=bow,
        vocabulary=vocabulary,
        captions=tuple(tuple(captions[i]) for i in ids),
        tags=(),
        split=split,
        fingerprint=digest(choices, split.hash, np.array(ids), labels, list(vocabulary)),
        choices=choices,
    )


def _annotations(root: Path):
    """File and labels and captions by image id, names by category id, from every annotation file under ``root``."""
    found = sorted(root.glob("annotations/instances_*.json"))
    if not found:
        raise DcmqError(f"coco: no annotations/instances_*.json under {root}; unpack COCO's annotation archive there")
    files: dict[int, Path] = {}
    categories: dict[int, str] = {}
    labelled, captions = defaultdict(set), defaultdict(list)
    for path in found:
        part = path.stem.removeprefix("instances_")
        instances = _json(path)
        folder = root / part
        if not folder.is_dir():
            raise DcmqError(f"coco: {path.name} needs the picture folder {folder}; unpack it there")
        for image in instances["images"]:
            files[image["id"]] = folder / image["file_name"]
        categories |= {c["id"]: c["name"] for c in instances["categories"]}
        for annotation in instances["annotations"]:
            labelled[annotation["image_id"]].add(annotation["category_id"])
        for annotation in _json(path.with_name(f"captions_{part}.json"))["annotations"]:
            captions[annotation["image_id"]].append(annotation["caption"])
    return files, categories, labelled, captions


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DcmqError(f"coco: {path} is missing; unpack COCO's annotation archive") from None
    except ValueError as error:
        raise DcmqError(f"coco: {path} is no JSON ({error}); unpack it again") from None


def _decoded(root: Path, paths: list[Path], size: int) -> tuple[np.ndarray, dict[int, str]]:
    """The pictures that can be decoded, (n, size, size, 3) uint8, memory-mapped, decoded once; and the rows that cannot."""
    key = digest(
        size, [str(p.relative_to(root)) for p in paths], [p.stat().st_size if p.is_file() else -1 for p in paths]
    )
    folder = cache_dir() / f"coco-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    path, proof = folder / "images.npy", folder / "complete.json"
    with FileLock(folder / ".lock"):
        if not (path.is_file() and proof.is_file()):
            write_json(proof, {"broken": _decode(paths, path, size)})
        broken = {int(row): name for row, name in json.loads(proof.read_text())["broken"].items()}
    return np.load(path, mmap_mode="r"), broken


def _decode(paths: list[Path], path: Path, size: int) -> dict[int, str]:
    """Write the file ``path`` of all pictures that can be decoded; returns the rows that cannot, with their names."""
    broken = {}
    with new_array(path, (len(paths), size, size, 3)) as store:
        for row, picture in enumerate(tqdm(paths, desc="decoding pictures", unit="picture")):
            try:
                with Image.open(picture) as image:
                    store[row] = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
            except (OSError, UnidentifiedImageError, ValueError):
                broken[row] = str(picture)
        if len(broken) > max(1, BROKEN_LIMIT * len(paths)):
            first = next(iter(broken.values()))
            raise DcmqError(f"coco: {len(broken)} of {len(paths)} pictures cannot be decoded (first: {first})")
    if broken:  # written again without their rows: a copy in memory would not do for 100,000 pictures
        warnings.warn(f"coco: left out, because they cannot be decoded: {', '.join(broken.values())}", stacklevel=2)
        whole = np.load(path, mmap_mode="r")
        kept = np.setdiff1d(np.arange(len(paths)), list(broken))
        with new_array(path, (len(kept), size, size, 3)) as store:
            for start in range(0, len(kept), 256):
                store[start : start + 256] = whole[kept[start : start + 256]]
    return broken

"""Data sets in the layouts of the official archives and with their published counts, with small generated JPEG files: what is
measured on them is the software, at full size, without the archives."""

import io
import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from dcmq.data.datasets import DATASETS
from dcmq.data.scenes.sample import make_scene

SIDES = (160, 120)  # pixels of an image, wide and high
_DRAWN = 1000  # images that are drawn; each file of a data set is one of them with a comment of its own
_VAL2017 = 5_000  # of COCO's images
# COCO's ids of its 80 categories
_CATEGORIES = [c for c in range(1, 91) if c not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
_INSTANCES = (1, 2, 2, 5)  # things of one category in an image that has it, drawn: 2.5 on average
_CORNERS = 30  # of a polygon around a thing
_AT_ONCE = 8192  # rows of a matrix that are drawn at once
_RARE = 0.002  # share of NUS-WIDE's images that have one of the concepts that are none of the 21 largest


class Photos:
    """Files of generated images: as many different ones as are asked for, quickly."""

    def __init__(self, drawn: int = _DRAWN):
        self.scenes = [make_scene(f"layouts:{number}") for number in range(drawn)]
        self._contents = [self._jpeg(scene.image) for scene in self.scenes]

    @staticmethod
    def _jpeg(pixels: np.ndarray) -> bytes:
        content = io.BytesIO()
        Image.fromarray(pixels).resize(SIDES, Image.Resampling.BILINEAR).save(content, "JPEG", quality=85)
        return content.getvalue()

    def write(self, files: dict[int, Path]) -> None:
        """Write file ``number`` of ``files`` with the image of that number, which holds its number as a comment."""
        for folder in {file.parent for file in files.values()}:
            folder.mkdir(parents=True, exist_ok=True)
        for number, file in tqdm(files.items(), unit="file", desc="JPEG files"):
            content, comment = self._contents[number % len(self._contents)], str(number).encode()
            marker = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
            file.write_bytes(content[:2] + marker + content[2:])

    def caption(self, number: int) -> str:
        """The caption of image ``number``."""
        return self.scenes[number % len(self.scenes)].caption


def published(name: str, population: str, share: float = 1.0) -> dict[str, int]:
    """The published counts of a data set, those of samples and of ones in matrices times ``share``."""
    whole = ("classes", "concepts", "vocabulary")
    counts = DATASETS[name].populations[population].counts
    return {count: n if count in whole else max(8, round(n * share)) for count, n in counts.items()}


def ones(n: int, rows: np.ndarray, total: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """(n, columns) bool with ``total`` ones, at random: one or more in each of ``rows``, none in the others; the first columns
    have the most."""
    matrix = np.zeros((n, columns), bool)
    numbers = 1 + rng.multinomial(max(0, total - len(rows)), np.full(len(rows), 1 / len(rows)))
    while spare := int((numbers - columns).clip(0).sum()):  # more than a row holds goes to others
        numbers = numbers.clip(max=columns)
        numbers += np.bincount(rng.choice(np.flatnonzero(numbers < columns), spare), minlength=len(rows))
    rarity = np.linspace(1, 4, columns, dtype=np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        some, wanted = rows[start : start + _AT_ONCE], numbers[start : start + _AT_ONCE]
        most = min(columns, int(wanted.max()))
        keys = rng.exponential(size=(len(some), columns)).astype(np.float32) * rarity
        first = np.argpartition(keys, most - 1, axis=1)[:, :most]
        taken = np.arange(most) < wanted[:, None]
        matrix[np.repeat(some, taken.sum(1)), first[taken]] = True
    return matrix


def coco(root: Path, photos: Photos, share: float = 1.0) -> None:
    """COCO 2017: images, instances with boxes and polygons, five captions each. ``share`` of its counts."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    counts, rng = published("coco", "", share), np.random.default_rng(0)
    n, labelled = counts["images"], np.sort(rng.permutation(counts["images"])[: counts["with label"]])
    labels = ones(n, labelled, counts["label ones"], len(_CATEGORIES), rng)
    polygons = np.random.default_rng(1).uniform(0, 640, (500, 2 * _CORNERS)).round(2).tolist()
    categories = [{"supercategory": "thing", "id": c, "name": f"thing {c}"} for c in _CATEGORIES]
    val = max(1, round(_VAL2017 * share))
    for part, numbers in {"train2017": range(n - val), "val2017": range(n - val, n)}.items():
        photos.write({number: root / part / f"{number + 1:012d}.jpg" for number in numbers})
        images = (
            {
                "license": 3,
                "file_name": f"{i + 1:012d}.jpg",
                "coco_url": f"http://images.cocodataset.org/{part}/{i + 1:012d}.jpg",
            }
            | {"height": SIDES[1], "width": SIDES[0], "date_captured": "2013-11-14 17:02:52"}
            | {"flickr_url": f"http://farm7.staticflickr.com/6116/{i + 1}_z.jpg", "id": i + 1}
            for i in numbers
        )
        things = _instances(numbers, labels, polygons)
        _write_json(root / "annotations" / f"instances_{part}.json", images, things, categories)
        captions = (
            {"image_id": i + 1, "id": 5 * i + k, "caption": f"{photos.caption(i)} number {k}"}
            for i in numbers
            for k in range(5)
        )
        _write_json(root / "annotations" / f"captions_{part}.json", iter(()), captions, None)


def _instances(numbers: range, labels: np.ndarray, polygons: list[list[float]]) -> Iterator[dict]:
    rng, number = random.Random(numbers.start), 0
    for i in numbers:
        for column in np.flatnonzero(labels[i]).tolist():
            for _ in range(rng.choice(_INSTANCES)):
                number += 1
                polygon = polygons[number % len(polygons)]
                yield {
                    "segmentation": [polygon], "area": 702.1057, "iscrowd": 0, "image_id": i + 1, "bbox": polygon[:4],
                    "category_id": _CATEGORIES[column], "id": 10_000_000 + number,
                }  # fmt: skip


def _write_json(file: Path, images: Iterator[dict], annotations: Iterator[dict], categories: list[dict] | None) -> None:
    """As the official files are: one line, and too large to be made in memory."""
    with file.open("w") as out:
        out.write('{"info": {"description": "COCO 2017 Dataset"}, "licenses": [], "images": [')
        _write_list(out.write, images)
        out.write('], "annotations": [')
        _write_list(out.write, annotations)
        out.write("]" + (f', "categories": {json.dumps(categories)}' if categories else "") + "}")


def _write_list(write: Callable[[str], object], entries: Iterator[dict]) -> None:
    for number, entry in enumerate(entries):
        write((", " if number else "") + json.dumps(entry))


def mirflickr(root: Path, photos: Photos, share: float = 1.0) -> None:
    """MIRFlickr-25K: images, a file of tags for each, a file of image numbers for each of 24 labels, 1,386 common tags."""
    counts, rng = published("mirflickr", "20015", share), np.random.default_rng(0)
    n, labelled = counts["images"], published("mirflickr", "24581", share)["kept"]
    base, notes = root / "mirflickr", root / "mirflickr25k_annotations_v080"
    photos.write({i: base / f"im{i + 1}.jpg" for i in range(n)})
    for folder in (base / "doc", base / "meta" / "tags", notes):
        folder.mkdir(parents=True, exist_ok=True)
    common = [f"tag{number}" for number in range(counts["vocabulary"])]
    (base / "doc" / "common_tags.txt").write_text("".join(f"{tag} {20 + i}\r\n" for i, tag in enumerate(common)))
    order = rng.permutation(n)
    labels = ones(n, order[:labelled], counts["label ones"], counts["classes"], rng)
    tags = ones(n, _tagged(order, labelled, counts["kept"]), counts["tag ones"], len(common), rng)
    for i in range(n):
        words = "".join(f"{common[column]}\r\n" for column in np.flatnonzero(tags[i]))
        (base / "meta" / "tags" / f"tags{i + 1}.txt").write_text(f"{words}rare{i}\r\n")
    for name, column in zip(DATASETS["mirflickr"].populations["20015"].classes, labels.T, strict=True):
        (notes / f"{name}.txt").write_text("".join(f"{i + 1}\r\n" for i in np.flatnonzero(column)))


def nuswide(root: Path, photos: Photos, share: float = 1.0) -> None:
    """NUS-WIDE: image list, 81 files of 0 and 1, the matrix of its 1,000 tags, images."""
    counts, rng = published("nuswide", "tc21", share), np.random.default_rng(0)
    n, classes = counts["images"], counts["classes"]
    folders = root / "Groundtruth" / "AllLabels", root / "ImageList", root / "NUS_WID_Tags", root / "ConceptsList"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    labels, lists, words, concepts = folders
    names = [f"folder{i // 400:03d}\\{i:06d}_{1_000_000 + i}.jpg" for i in range(n)]
    photos.write({i: root / "Flickr" / name.replace("\\", "/") for i, name in enumerate(names)})
    (lists / "Imagelist.txt").write_text("".join(f"{name}\r\n" for name in names))
    concept_names = [f"concept{c:02d}" for c in range(counts["concepts"])]
    (concepts / "Concepts81.txt").write_text("".join(f"{name}\r\n" for name in concept_names))
    order = rng.permutation(n)
    largest = ones(n, order[: counts["with label"]], counts["label ones"], classes, rng)
    for c, name in enumerate(concept_names):
        flags = largest[:, c] if c < classes else rng.random(n) < _RARE
        (labels / f"Labels_{name}.txt").write_text("".join("1\r\n" if flag else "0\r\n" for flag in flags))
    tags = ones(n, _tagged(order, counts["with label"], counts["kept"]), counts["tag ones"], counts["vocabulary"], rng)
    (words / "TagList1k.txt").write_text("".join(f"tag{t}\r\n" for t in range(counts["vocabulary"])))
    with (words / "AllTags1k.txt").open("w") as out:
        for row in tags:
            out.write("\t".join(np.where(row, "1", "0").tolist()) + "\t\r\n")


def _tagged(order: np.ndarray, labelled: int, kept: int) -> np.ndarray:
    """Rows with a tag: ``kept`` of those with a label, which are the first of ``order``, and all that have none."""
    return np.concatenate([order[:kept], order[labelled:]])


LAYOUTS = {"mirflickr": mirflickr, "coco": coco, "nuswide": nuswide}

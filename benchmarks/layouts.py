"""Data sets in the layouts of the official archives and of their size, with small generated JPEG files: what is measured on them is
the software, at full counts, without the archives."""

import io
import json
import random
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from dcmq.data.scenes.sample import make_scene

SIDES = (160, 120)  # pixels of an image, wide and high
_DRAWN = 1000  # images that are drawn; each file of a data set is one of them with a comment of its own
COCO = {"train2017": 118_287, "val2017": 5_000}
MIRFLICKR, NUSWIDE = 25_000, 269_648
_CATEGORIES = [
    number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
]  # COCO's 80 ids
_CROWD = 7  # labelled things in an image, about
_CORNERS = 30  # of a polygon around a thing


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

        def one(numbered: tuple[int, Path]) -> None:
            number, file = numbered
            content, comment = self._contents[number % len(self._contents)], str(number).encode()
            marker = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
            file.write_bytes(content[:2] + marker + content[2:])

        with ThreadPoolExecutor() as pool:
            for _ in tqdm(
                pool.map(one, files.items(), chunksize=1000), total=len(files), unit="file", desc="JPEG files"
            ):
                pass

    def caption(self, number: int) -> str:
        """The caption of image ``number``."""
        return self.scenes[number % len(self.scenes)].caption


def coco(root: Path, photos: Photos, share: float = 1.0) -> None:
    """COCO 2017: images, instances with boxes and polygons, five captions each. ``share`` of its counts."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    first, rng = 1, random.Random(0)
    categories = [{"supercategory": "thing", "id": c, "name": f"thing {c}"} for c in _CATEGORIES]
    for part, official in COCO.items():
        numbers = range(first, first + max(1, round(official * share)))
        first = numbers.stop
        photos.write({number: root / part / f"{number:012d}.jpg" for number in numbers})
        images = (
            {
                "license": 3,
                "file_name": f"{n:012d}.jpg",
                "coco_url": f"http://images.cocodataset.org/{part}/{n:012d}.jpg",
            }
            | {"height": SIDES[1], "width": SIDES[0], "date_captured": "2013-11-14 17:02:52"}
            | {"flickr_url": f"http://farm7.staticflickr.com/6116/{n}_z.jpg", "id": n}
            for n in numbers
        )
        _write_json(root / "annotations" / f"instances_{part}.json", images, _instances(numbers, rng), categories)
        captions = (
            {"image_id": n, "id": 5 * n + k, "caption": f"{photos.caption(n)} number {k}"}
            for n in numbers
            for k in range(5)
        )
        _write_json(root / "annotations" / f"captions_{part}.json", iter(()), captions, None)


def _instances(numbers: range, rng: random.Random) -> Iterator[dict]:
    for number in numbers:
        for thing in range(1 + rng.randrange(2 * _CROWD - 1)):
            polygon = [round(rng.uniform(0, 640), 2) for _ in range(2 * _CORNERS)]
            category = _CATEGORIES[min(int(rng.expovariate(0.06)), len(_CATEGORIES) - 1)]
            yield {
                "segmentation": [polygon], "area": 702.1057, "iscrowd": 0, "image_id": number, "bbox": polygon[:4],
                "category_id": category, "id": 100 * number + thing,
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
    numbers = range(1, 1 + max(1, round(MIRFLICKR * share)))
    base, notes, rng = root / "mirflickr", root / "mirflickr25k_annotations_v080", np.random.default_rng(0)
    photos.write({number: base / f"im{number}.jpg" for number in numbers})
    for folder in (base / "doc", base / "meta" / "tags", notes):
        folder.mkdir(parents=True, exist_ok=True)
    common = [f"tag{number}" for number in range(1386)]
    (base / "doc" / "common_tags.txt").write_text("".join(f"{tag} {20 + i}\r\n" for i, tag in enumerate(common)))
    for number in numbers:
        tags = [common[int(i)] for i in rng.integers(0, len(common), rng.integers(0, 9))]
        (base / "meta" / "tags" / f"tags{number}.txt").write_text("".join(f"{tag}\r\n" for tag in tags))
    names = (
        "animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river sea sky "
        "structures sunset transport tree water"
    )
    for name in names.split():
        chosen = np.flatnonzero(rng.random(len(numbers)) < 0.15) + 1
        (notes / f"{name}.txt").write_text("".join(f"{number}\r\n" for number in chosen))


def nuswide(root: Path, photos: Photos, share: float = 1.0) -> None:
    """NUS-WIDE: image list, 81 files of 0 and 1, the matrix of its 1,000 tags, images."""
    n, rng = max(1, round(NUSWIDE * share)), np.random.default_rng(0)
    labels, lists, words = root / "Groundtruth" / "AllLabels", root / "ImageList", root / "NUS_WID_Tags"
    for folder in (labels, lists, words, root / "ConceptsList"):
        folder.mkdir(parents=True, exist_ok=True)
    names = [f"folder{i // 400:03d}\\{i:06d}_{1_000_000 + i}.jpg" for i in range(n)]
    photos.write({i: root / "Flickr" / name.replace("\\", "/") for i, name in enumerate(names)})
    (lists / "Imagelist.txt").write_text("".join(f"{name}\r\n" for name in names))
    concepts = [f"concept{c:02d}" for c in range(81)]
    (root / "ConceptsList" / "Concepts81.txt").write_text("".join(f"{c}\r\n" for c in concepts))
    for c, name in enumerate(concepts):
        flags = rng.random(n) < 0.002 + 0.001 * c
        (labels / f"Labels_{name}.txt").write_text("".join("1\r\n" if flag else "0\r\n" for flag in flags))
    (words / "TagList1k.txt").write_text("".join(f"tag{t}\r\n" for t in range(1000)))
    with (words / "AllTags1k.txt").open("w") as out:
        for _ in range(n):
            row = np.zeros(1000, np.uint8)
            row[rng.integers(0, 1000, rng.integers(0, 12))] = 1
            out.write("\t".join(np.where(row, "1", "0")) + "\t\r\n")


LAYOUTS = {"coco": coco, "mirflickr": mirflickr, "nuswide": nuswide}

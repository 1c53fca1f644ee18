"""Miniature data sets in the layouts of the official ones, with what goes wrong in them. Nothing is downloaded."""

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from dcmq.data.dataset import RetrievalDataset
from dcmq.data.datasets import ReadOptions, data_folder, load_dataset, preparable, read_source
from dcmq.data.prepare import prepare


def image(path: Path, name: str, grey: bool = False) -> None:
    """A small noisy JPEG, the same for the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    pixels = rng.integers(0, 256, (12, 16) if grey else (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def coco(root: Path, each: int = 15) -> Path:
    """COCO 2014: a grey image, crowds, category ids with gaps, an image without label; two to five captions."""
    (root / "annotations").mkdir(parents=True)
    names = {1: "person", 3: "car", 18: "dog", 90: "toothbrush"}
    for part, first in (("train2014", 1), ("val2014", 100)):
        images, annotations, captions = [], [], []
        for i in range(first, first + each):
            file = f"COCO_{part}_{i:012d}.jpg"
            image(root / part / file, file, grey=i % 5 == 0)
            images.append({"id": i, "file_name": file})
            for category in [] if i == first else [list(names)[i % 4], list(names)[i // 4 % 4]]:
                annotations.append({"image_id": i, "category_id": category, "iscrowd": int(i % 3 == 0)})
            kinds = " and ".join(names[a["category_id"]] for a in annotations if a["image_id"] == i)
            captions += [{"image_id": i, "caption": f"Photo {k} of a {kinds}.\n"} for k in range(2 + i % 4)]
        categories = [{"id": c, "name": names[c], "supercategory": "thing"} for c in sorted(names, reverse=True)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
        (root / "annotations" / f"captions_{part}.json").write_text(json.dumps({"annotations": captions}))
    return root


def folder(root: Path, n: int = 30, newline: str = "\r\n") -> Path:
    """A table as a spreadsheet writes it: a byte order mark, CRLF, ids with .0, two rows of one image, no ASCII
    only."""
    rows = ["id,Image,Text,Labels"]
    for i in range(n):
        file = f"bilder/{'größe' if i % 3 else 'straße'} {i}.jpg"
        image(root / file, file, grey=i % 7 == 0)
        labels = ";".join(name for name, present in (("café", i % 2), ("城市", i % 3), ("dog", not i % 2)) if present)
        rows.append(f'{i}.0,{file},"Ein schöner Tag, Nummer {i % 4}: ночь {"abc"[i % 3] * 3}",{labels}')
    rows.append(f"0.0,{file.replace(file, 'bilder/straße 0.jpg')},noch ein Satz,Boot")
    (root / "table.csv").write_bytes(("\ufeff" + newline.join(rows) + newline).encode())
    return root


MIR_CLASSES = (
    "animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river sea sky "
    "structures sunset transport tree water"
).split()


def mirflickr(root: Path, n: int = 40) -> Path:
    """MIRFlickr's two archives unpacked: ids from 1 without padding, _r1 files, a README among the classes, CRLF, grey
    images.

    Image 5 has no label, 6 no tag, 7 no common tag; no other is without either.
    """
    base, notes = root / "mirflickr", root / "mirflickr25k_annotations_v080"
    (base / "doc").mkdir(parents=True)
    (base / "meta" / "tags").mkdir(parents=True)
    notes.mkdir()
    common = ["sky", "água", "explore", "blue", "neverused"]
    (base / "doc" / "common_tags.txt").write_bytes("".join(f"{t} {20 + i}\r\n" for i, t in enumerate(common)).encode())
    for i in range(1, n + 1):
        image(base / f"im{i}.jpg", f"im{i}", grey=i % 6 == 0)
        tags = {6: [], 7: ["onlyhere"]}.get(i, [common[i % 4], common[i // 2 % 4], f"rare\x85{i}"])
        (base / "meta" / "tags" / f"tags{i}.txt").write_bytes("".join(f"{t}\r\n" for t in tags).encode())
    for c, name in enumerate(MIR_CLASSES):
        ids = [i for i in range(1, n + 1) if i != 5 and (i % 24 == c or (i + 7) % 12 == c)]
        (notes / f"{name}.txt").write_bytes("".join(f"{i}\r\n" for i in ids).encode())
        if c % 2:
            (notes / f"{name}_r1.txt").write_text("".join(f"{i}\n" for i in ids[:1]))
    (notes / "README.txt").write_text("24 potential labels, 14 relevant ones\n")
    return root


def nuswide(root: Path, n: int = 120, concepts: int = 26, tags: int = 12, images: bool = True) -> Path:
    """NUS-WIDE's archives unpacked: Windows' separators and line ends, a broken line in the unused TrainTestLabels, two
    images of one photo id with other labels, a grey image; some without tag, some without one of the largest concepts.
    """
    rng = np.random.default_rng(0)
    labels, lists, words = root / "Groundtruth" / "AllLabels", root / "ImageList", root / "NUS_WID_Tags"
    for folder in (labels, labels.parent / "TrainTestLabels", lists, words, root / "ConceptsList"):
        folder.mkdir(parents=True)
    names = [f"{'actor' if i < n // 2 else 'zoo'}\\{i:04d}_{21244 + (i if i != 1 else 0)}.jpg" for i in range(n)]
    (lists / "Imagelist.txt").write_bytes("".join(f"{name}\r\n" for name in names).encode())
    concept_names = [f"concept{c:02d}" for c in range(concepts)]
    (root / "ConceptsList" / "Concepts81.txt").write_bytes("".join(f"{c}\r\n" for c in concept_names).encode())
    for c, name in enumerate(concept_names):
        flags = rng.random(n) < 0.02 + 0.006 * c  # the last are the largest
        (labels / f"Labels_{name}.txt").write_bytes("".join(f"{int(f)}\r\n" for f in flags).encode())
    (labels.parent / "TrainTestLabels" / "Labels_lake_Train.txt").write_text("0\n-1130179\n")
    matrix = rng.random((n, tags)) < 0.2
    (words / "AllTags1k.txt").write_bytes(
        "".join("\t".join(map(str, row)) + "\t\r\n" for row in matrix.astype(int)).encode()
    )
    (words / "TagList1k.txt").write_bytes(
        "".join(f"{'köln' if t == 3 else f'tag{t}'}\r\n" for t in range(tags)).encode()
    )
    for i, name in enumerate(names if images else []):
        image(root / "Flickr" / name.replace("\\", "/"), name, grey=i % 9 == 0)
    return root


def prepared(
    name: str,
    root: Path,
    out: Path | None = None,
    ready_made: bool = False,
    official: bool = False,
    ignore_classes: tuple[str, ...] = (),
    table: str = "",
    **choices,
) -> RetrievalDataset:
    """The data set ``name`` under ``root``, prepared with images of 8 pixels a side as ``dcmq data prepare`` does, and
    loaded."""
    name = preparable(name)
    folder = (out or root / "prepared" / name.replace(":", "-")).resolve()
    source = read_source(name, data_folder(str(root), name), ReadOptions(ignore_classes, table), ready_made)
    prepare(source, folder, **(dict(image_size=8, official=official) | choices))
    return load_dataset(name, str(out or root))

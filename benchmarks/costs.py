"""What the paper's runs cost: the parts that no full-size benchmark measures, and the table that all records make together."""

import io
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks.full_size import step_seconds
from benchmarks.timing import Comparison, in_turn, speed, spread
from dcmq.data.datasets import DATASETS
from dcmq.data.open_images import open_image
from dcmq.data.resize import image_array
from dcmq.experiments.efficiency import architecture_size
from dcmq.reporting.cost_paper import real_students

TITLE = "What the paper's runs cost"
ABOUT = """
Two costs of real photos that the layouts with small files do not show, on all cores: **a photo** of 640 x 480 pixels with noise, in about as many bytes as one of MS COCO has on
average (164 kB), opened, decoded and squashed to 256 pixels, by `dcmq.data` and by Pillow alone; **CLIP ViT-B/32** with random weights, on batches of 32 images. What a table of the paper costs is
[computed from these and the other records](../../docs/reproduce.md#what-the-papers-runs-will-cost-you).
"""
_SHAPE, _NOISE, _QUALITY = (480, 640, 3), 23, 90  # of a photo of 164 kB
_SIDE, _STUDENT = 256, 224  # pixels a side as prepared by default, and as the student reads them
_TEACHER, _BATCH = "ViT-B-32", 32
_BITS, _SEEDS = 3, 10  # of Table 1: code lengths, and the seeds that its notebook trains
_PAIRS = 2000  # of an epoch in the GPU's benchmark
_RECORDS = {"mirflickr": "MIRFlickr-25K", "coco": "MS COCO", "nuswide": "NUS-WIDE"}


def measure(quick: bool) -> dict:
    """Seconds of every repeat for one photo and for one image of the teacher; the MACs that are counted."""
    photos, repeats, images = (4, 1, 1) if quick else (400, 5, _BATCH)
    content = _photo()
    network = _teacher()
    batch = torch.randn(images, 3, 224, 224)

    def decode(_: int) -> np.ndarray:
        with open_image(io.BytesIO(content)) as image:
            return image_array(image, _SIDE)

    def encode() -> None:
        with torch.inference_mode():
            network(batch)

    def plain(_: int) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contenders = {
            "photo": lambda: list(pool.map(decode, range(photos))),
            "Pillow": lambda: list(pool.map(plain, range(photos))),
            "teacher": encode,
        }
        seconds = in_turn(contenders, repeats)
    student = real_students((64,))["student 64 bits"][0]
    return {
        "bytes": len(content),
        "seconds": {
            **{name: [value / photos for value in seconds[name]] for name in ("photo", "Pillow")},
            "teacher": [value / images for value in seconds["teacher"]],
        },
        "MACs": {
            "teacher, an image": architecture_size(_TEACHER)[0].image_macs,
            "student, an image": student.image_macs,
            "student, a pair": student.image_macs + student.text_macs,
        },
    }


def _photo() -> bytes:
    """A JPEG of the usual size of a photo: a slope of colors with noise."""
    rng, (height, width, _) = np.random.default_rng(0), _SHAPE
    slope = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 100, width))[..., None]
    pixels = (slope + rng.normal(0, _NOISE, _SHAPE)).clip(0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _teacher() -> torch.nn.Module:
    import open_clip  # takes seconds, which only who measures should wait

    return open_clip.create_model(_TEACHER, pretrained=None).visual.eval()


def comparisons(result: dict) -> list[Comparison]:
    """A row for each part."""
    seconds, macs = result["seconds"], result["MACs"]
    rate = macs["teacher, an image"] / median(seconds["teacher"]) / 1e9
    return [
        speed(f"a photo of {result['bytes'] / 1e3:.0f} kB: ours and Pillow alone", seconds["photo"], seconds["Pillow"]),
        Comparison(f"CLIP {_TEACHER}, an image", spread(seconds["teacher"]), "", f"{rate:.0f} billion MACs/s"),
    ]


def figures(result: dict) -> dict[str, plt.Figure]:
    """No figure: two numbers need none."""
    return {}


def table(folder: Path) -> pd.DataFrame:
    """What the paper's runs will cost, from the records of benchmarks in ``folder``: a row for each data set and machine."""
    records = {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}
    costs, gpu = records["costs"]["result"], records["gpu"]["result"]
    cpu = f"CPU, {records['costs']['machine']['cores']} cores"
    rows = {}
    for layout, title in _RECORDS.items():
        if found := records.get(f"full_size_{layout}"):
            sizes = _Sizes(layout, found["result"])
            rows[f"{title}, {cpu}"] = _row(sizes, *_on_cpu(sizes, found["result"], costs))
            rows[f"{title}, {gpu['gpu']}"] = _row(sizes, *_on_gpu(sizes, found["result"], costs, gpu))
    return pd.DataFrame(rows).T.rename_axis("data, machine")


class _Sizes:
    """The counts of a data set that costs grow with."""

    def __init__(self, layout: str, result: Mapping):
        population = DATASETS[layout].populations[DATASETS[layout].usual]
        self.images, self.train, self.query = population.counts["kept"], population.train, population.query
        self.steps, self.epochs, self.batch = (int(word) for word in result["paper_steps"]["told"].split()[:3])
        self.encoding = float(result["paper_steps"]["told"].split()[3])


def _on_cpu(sizes: _Sizes, result: Mapping, costs: Mapping) -> tuple[float, float, float, float]:
    """Seconds to decode, for the teacher, to train and to evaluate a run; measured, and times how often it is done."""
    decode, teacher = (sizes.images * median(costs["seconds"][part]) for part in ("photo", "teacher"))
    train = sizes.epochs * sizes.steps * step_seconds(result)
    return decode, teacher, train, sizes.images * sizes.encoding + result["evaluation"]["inside"]


def _on_gpu(sizes: _Sizes, result: Mapping, costs: Mapping, gpu: Mapping) -> tuple[float, float, float, float]:
    """The same, where the GPU trains and encodes: a measured epoch of its benchmark gives its rate, and MACs count the rest.
    Decoding and ranking are the CPU's."""
    macs, per_pair = costs["MACs"], median(gpu["with"]["paper epoch"]) / _PAIRS
    rate = 3 * macs["student, a pair"] / per_pair  # forward, and backward at twice that
    decode = sizes.images * median(costs["seconds"]["photo"])
    train = sizes.epochs * sizes.train * per_pair
    encoding = sizes.images * macs["student, an image"] / rate
    return decode, sizes.images * macs["teacher, an image"] / rate, train, encoding + result["evaluation"]["inside"]


def _row(sizes: _Sizes, decode: float, teacher: float, train: float, evaluation: float) -> dict[str, str]:
    runs = _BITS * _SEEDS
    return {
        "decode, once": _duration(decode),
        "teacher, once": _duration(teacher),
        "train a run": _duration(train),
        "evaluate a run": _duration(evaluation),
        f"DCMQ in Table 1: {runs} runs": _duration(decode + teacher + runs * (train + evaluation)),
        "images on disk": f"{sizes.images * 3 * (_SIDE**2 + _STUDENT**2) / 1e9:.1f} GB",
    }


def _duration(seconds: float) -> str:
    unit, factor = next(
        ((u, f) for u, f in (("days", 86400), ("h", 3600), ("min", 60)) if seconds >= 1.5 * f), ("s", 1)
    )
    return f"{seconds / factor:.2g} {unit}"

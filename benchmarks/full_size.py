"""The official benchmarks at their counts, from layout to search: seconds, memory and disk of each step on this machine."""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import psutil
from PIL import Image

from benchmarks.layouts import LAYOUTS, Photos
from benchmarks.timing import Comparison
from dcmq.data.resize import image_array

TITLE = "Full size"
ABOUT = """
Data sets with the layouts and counts of the official archives (COCO 2017: 123,287 images; MIRFlickr: 25,000; NUS-WIDE: 269,648 rows), whose files are small generated JPEGs
(160 x 120 pixels). Each step is a process of its own; *memory* is the most of its own that it and its children had, without files that are mapped. Images are decoded to 64
pixels a side. The peer of `prepare` is Pillow alone: open, convert, resize every file, in threads on all cores. The teacher is a small network in the place of CLIP. The goals: `prepare` in
at most 1.2 times Pillow's time, loading in a second, no step above 2 GB.
"""

_SIDE = 64
_SECONDS, _MEMORY, _PILLOW = 1.0, 2e9, 1.2
_NAMES = {"coco": "coco", "mirflickr": "mirflickr", "nuswide": "nuswide:tc21"}
_LOAD = """
import sys, time
from dcmq.data.datasets import load_dataset
start = time.perf_counter()
data = load_dataset(sys.argv[1], sys.argv[2])
print(time.perf_counter() - start, len(data.ids), len(data.split.gallery))
"""
_EMBED = """
import sys, time
from dcmq.data.datasets import load_dataset
from dcmq.experiments.teacher_shards import embed_in_shards
from dcmq.teachers.bundled import BundledClip
data = load_dataset(sys.argv[1], sys.argv[2])
start = time.perf_counter()
embed_in_shards(BundledClip("clip"), data).image
print(time.perf_counter() - start)
"""
_EVALUATE = """
import sys, time, torch
from dcmq.data.datasets import load_dataset
from dcmq.retrieval.metrics import evaluate_ranking
data = load_dataset(sys.argv[1], sys.argv[2])
labels, split = torch.from_numpy(data.labels), data.split
generator = torch.Generator().manual_seed(0)
tables = torch.randn(len(split.query), 16 * 16, generator=generator)
codes = torch.randint(0, 16, (len(split.gallery), 16), generator=generator)
columns = codes + 16 * torch.arange(16)
def score(rows):
    return torch.stack([t[columns].sum(1) for t in tables[rows]])
start = time.perf_counter()
evaluate_ranking(score, labels[split.query], labels[split.gallery])
print(time.perf_counter() - start)
"""


def measure(quick: bool) -> dict:
    """Seconds, bytes of memory and bytes on disk of each step, by data set."""
    share = 0.002 if quick else 1.0
    photos = Photos(50 if quick else 1000)
    with tempfile.TemporaryDirectory(dir=os.environ.get("DCMQ_FULL_SIZE")) as name:
        return {layout: _steps(layout, Path(name) / layout, photos, share) for layout in LAYOUTS}


def _steps(layout: str, root: Path, photos: Photos, share: float) -> dict:
    name, out, home = _NAMES[layout], root / "prepared", root / "home"
    LAYOUTS[layout](root, photos, share)
    files = sorted(root.rglob("*.jpg"))
    environment = os.environ | {"DCMQ_HOME": str(home)}
    options = ["--root", root, "--out", out, "--image-size", _SIDE]
    if share < 1:
        options += ["--expect", "none", "--query", 10, "--train", 20]
    dcmq, python = [sys.executable, "-m", "dcmq"], [sys.executable, "-c"]
    steps = {
        "prepare": [*dcmq, "data", "prepare", name, *options],
        "verify": [*dcmq, "data", "verify", name, "--root", out],
        "info": [*dcmq, "data", "info", name, "--root", out],
        "load": [*python, _LOAD, name, out],
        "teacher's embeddings": [*python, _EMBED, name, out],
        "evaluation": [*python, _EVALUATE, name, out],
    }
    found = {"images": len(files), "pillow": _pillow(files), "layout": _size(root)}
    for step, command in steps.items():
        before = _size(out) + _size(home)
        found[step] = _measured([str(word) for word in command], environment)
        found[step]["disk"] = _size(out) + _size(home) - before
    return found


def _pillow(files: list[Path]) -> float:
    """Seconds to decode and resize ``files`` into an array by Pillow alone, in threads on all cores."""
    store = np.empty((min(len(files), 20_000), _SIDE, _SIDE, 3), np.uint8)

    def one(row: int) -> None:
        with Image.open(files[row]) as image:
            store[row % len(store)] = image_array(image, _SIDE)

    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(files)), chunksize=1))
    return time.perf_counter() - start


def _measured(command: list[str], environment: dict[str, str]) -> dict:
    """Seconds of a command, the most memory of its own that it and its children had, and the seconds that it prints first."""
    start, most = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        process = psutil.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None:
            most = max(most, _own_memory(process))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{text[-2000:]}")
    first = text.split()[:1]
    inside = float(first[0]) if first and first[0].replace(".", "", 1).replace("e-", "", 1).isdigit() else None
    return {"seconds": seconds, "inside": inside, "memory": most}


def _own_memory(process: psutil.Process) -> int:
    total = 0
    for each in (process, *_children(process)):
        try:
            facts = each.memory_info()
        except psutil.Error:
            continue
        total += facts.rss - getattr(facts, "shared", 0)
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _size(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


def comparisons(result: dict) -> list[Comparison]:
    """The rows of the table."""
    rows = []
    for name, found in result.items():
        pillow, prepare = found["pillow"], found["prepare"]["seconds"]
        title = f"{name}, {found['images']:,} images: "
        goal = (f"≤ {_PILLOW}", prepare / pillow <= _PILLOW)
        rows.append(
            Comparison(
                title + "prepare", f"{prepare:.0f} s", f"Pillow alone {pillow:.0f} s", f"{prepare / pillow:.2f}", *goal
            )
        )
        for step in ("prepare", "verify", "info", "load", "teacher's embeddings", "evaluation"):
            facts = found[step]
            seconds = facts["seconds"] if facts["inside"] is None else facts["inside"]
            memory, disk = facts["memory"], facts["disk"]
            said = f"{seconds:.1f} s, {memory / 1e9:.2f} GB of memory, {disk / 1e9:.2f} GB on disk"
            wanted, reached = f"≤ {_MEMORY / 1e9:.0f} GB", memory <= _MEMORY
            if step == "load":
                wanted, reached = f"≤ {_SECONDS:.0f} s, {wanted}", reached and seconds <= _SECONDS
            rows.append(Comparison(title + step, said, "", "", wanted, reached))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """Memory of each step, by data set."""
    figure, axis = plt.subplots(figsize=(7, 2.6))
    steps = ("prepare", "verify", "info", "load", "teacher's embeddings", "evaluation")
    for place, (name, found) in enumerate(result.items()):
        heights = [found[step]["memory"] / 1e9 for step in steps]
        axis.bar(np.arange(len(steps)) + 0.27 * (place - 1), heights, 0.25, label=f"{name}, {found['images']:,} images")
    axis.axhline(_MEMORY / 1e9, color="0.5", linestyle=":")
    axis.set_xticks(range(len(steps)), steps)
    axis.set_ylabel("most memory, GB")
    axis.legend(frameon=False)
    return {"memory": figure}

"""A data set of the paper at its published counts, from its archives' layout to a search: what each step takes on this machine.

The modules ``full_size_NAME`` are the benchmarks, one for each data set. Where ``$DCMQ_FULL_SIZE`` names a folder, that is used,
and a measurement that was ended goes on after its last step; the data are deleted at the end in any case.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import matplotlib.pyplot as plt
import numpy as np
import psutil
from PIL import Image

from benchmarks.layouts import LAYOUTS, Photos
from benchmarks.stages import TIMED_STEPS
from benchmarks.timing import Comparison
from dcmq.core.errors import DcmqError
from dcmq.core.storage import read_json, write_json
from dcmq.reporting import plots

ABOUT = """
The layout and the published counts of the official archives, with small generated JPEG files (160 x 120 pixels). Each step is a process of its own, on all cores;
a second time, where there is one, is that of the work alone, without starting Python and what was measured before. *Memory* is the most of its own that a step and its children had, files that are mapped left out; *disk* is what the
step added. Images are decoded to 64 pixels a side. **Pillow alone** is the peer of `prepare`: open, convert and resize each file, in threads on all cores; its time is that for as many files as `prepare` keeps. *Killed half-way* is
`prepare` ended by SIGKILL when half of the images are decoded, and begun again: the files that it writes are the same to the byte. The teacher is the bundled small CLIP in the place of CLIP ViT-B/32. *Epoch* and *evaluation* are those of the demo
profile's student, whole; of the paper's profile (ResNet-18 at 224 pixels, batches of 128) three steps are timed, and an epoch is that times its number of steps. *Report* is the
notebook `qualitative` on the trained student; *search build* encodes every image of the archive with it.
"""
SIDE = 64  # pixels of a decoded image
_LOAD_SECONDS, _MEMORY, _PILLOW, _QUICK = 1.0, 2e9, 1.2, 0.002
_NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "qualitative.ipynb"
STEPS = (
    "prepare killed half-way", "prepare begun again", "prepare", "verify", "info", "load", "embed", "paper_steps", "epoch",
    "evaluation", "report", "search build",
)  # fmt: skip
_SAID = {
    "embed": "teacher's embeddings",
    "paper_steps": "steps of the paper's profile",
    "epoch": "epoch, demo's student",
    "evaluation": "evaluation, demo's student",
}


@dataclass(frozen=True)
class FullSize:
    """The benchmark of one data set.

    Args:
        layout: its name in :data:`benchmarks.layouts.LAYOUTS`. name: that for ``dcmq data prepare``.
    """

    layout: str
    name: str

    def measure(self, quick: bool) -> dict:
        """Seconds, bytes of memory and bytes on disk of each step."""
        given = os.environ.get("DCMQ_FULL_SIZE")
        root = Path(given) / self.layout if given else Path(tempfile.mkdtemp())
        try:
            return _Measurement(self, root.resolve(), _QUICK if quick else 1.0).result()
        finally:
            if not given:
                shutil.rmtree(root)


class _Measurement:
    """The steps of a data set in ``root``, of which those that are noted there are done."""

    def __init__(self, benchmark: FullSize, root: Path, share: float):
        self.benchmark, self.root, self.share, self.noted = benchmark, root, share, root / "measured.json"
        self.data, self.out, self.home = root / "data", root / "prepared", root / "home"
        self.environment = os.environ | {"DCMQ_HOME": str(self.home), "DCMQ_REPORTS": str(root / "reports")}
        self._makes = {"prepare killed half-way": self.out, "prepare": self.out, "embed": self.home / "cache"}
        self._makes |= {"epoch": self.home / "runs", "search build": self.home / "collection"}
        self.found = read_json(self.noted) if self.noted.is_file() else {}

    def result(self) -> dict:
        """All that is measured, after which the data are deleted."""
        self._once("layout", self._layout)
        self._once("pillow", self._pillow)
        for step in STEPS:
            self._once(step, lambda step=step: self._step(step))
        for place in (self.data, self.out, self.home):  # the notes last, as this takes a while too
            shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(self.root)
        return self.found

    def _once(self, what: str, measure: Callable[[], dict]) -> None:
        if what in self.found:
            return
        self.found[what] = measure()
        print(f"{what}: {json.dumps(self.found[what])}", flush=True)
        write_json(self.noted, self.found)

    def _layout(self) -> dict:
        shutil.rmtree(self.data, ignore_errors=True)
        photos = Photos(50 if self.share < 1 else 1000)
        start = time.perf_counter()
        LAYOUTS[self.benchmark.layout](self.data, photos, self.share)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "images": len(self._files()), "disk": _size(self.data)}

    def _pillow(self) -> dict:
        """Seconds to decode and resize all files into an array by Pillow alone, in threads on all cores."""
        files = self._files()
        store = np.empty((min(len(files), 20_000), SIDE, SIDE, 3), np.uint8)

        def one(row: int) -> None:
            with Image.open(files[row]) as image:
                store[row % len(store)] = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)

        start = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, range(len(files))))
        return {"seconds": time.perf_counter() - start}

    def _files(self) -> list[Path]:
        return sorted(self.data.rglob("*.jpg"))

    def _step(self, step: str) -> dict:
        if made := self._makes.get(step):  # else it would go on with what an end in the middle left
            shutil.rmtree(made, ignore_errors=True)
        before, watch = self._disk(), self._half_decoded if "killed" in step else None
        facts = _measured(self._command(step), self.environment, watch)
        facts["disk"] = self._disk() - before
        if step == "prepare begun again":
            facts["images"] = self._checksum()
        if step == "prepare" and self._checksum() != self.found["prepare begun again"]["images"]:
            raise DcmqError(f"{self.benchmark.name}: prepare that was ended and begun again wrote other images")
        return facts

    def _command(self, step: str) -> list[str]:
        name, dcmq, quick = self.benchmark.name, [sys.executable, "-m", "dcmq"], self.share < 1
        teacher = self.root / "teacher.npz"
        if step.startswith("prepare"):
            small = ["--expect", "none", "--query", "10", "--train", "30"] if quick else []
            places = ["--root", self.data, "--out", self.out, "--image-size", SIDE]
            words = [*dcmq, "data", "prepare", name, *places, *small]
        elif step in ("verify", "info"):
            words = [*dcmq, "data", step, name, "--root", self.out]
        elif step == "report":
            study = {"dataset": name, "data_root": self.out, "teacher": f"precomputed:{teacher}", "epochs": 1}
            chosen = [word for option, value in study.items() for word in ("-p", option, value)]
            words = [
                sys.executable,
                "-m",
                "papermill",
                _NOTEBOOK,
                self.root / "report.ipynb",
                "--no-progress-bar",
                *chosen,
            ]
        elif step == "search build":
            (student,) = (record.parent for record in (self.home / "runs").glob("*/record.json"))
            words = [*dcmq, "search", "build", self.home / "collection", "--run", student, "--images", self.data]
        else:
            words = [sys.executable, "-m", "benchmarks.stages", step, name, self.out, teacher, *["quick"] * quick]
        return [str(word) for word in words]

    def _half_decoded(self) -> bool:
        """True when half of the slabs of images are done."""
        part, proofs = self.out / "images.part", list(self.out.glob("slabs-*/*.json"))
        rows = sum(int(proof.stem.split("-")[1]) - int(proof.stem.split("-")[0]) for proof in proofs)
        return part.is_file() and rows * SIDE * SIDE * 3 * 2 >= part.stat().st_size - 4096 * SIDE * SIDE * 3

    def _checksum(self) -> str:
        with (self.out / "images.npy").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _disk(self) -> int:
        return sum(map(_size, (self.out, self.home, self.root / "reports", self.root / "teacher.npz")))


def _measured(command: list[str], environment: dict[str, str], enough: Callable[[], bool] | None = None) -> dict:
    """Seconds of a command, the most memory of its own that it and its children had, and the words that it printed first.

    Args:
        enough: asked again and again whether to kill it.

    Raises:
        DcmqError: it failed, or it ended before it was to be killed.
    """
    start, most = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = psutil.Popen(command, env=environment, stdout=said, stderr=errors, text=True)
        while process.poll() is None:
            most = max(most, _own_memory(process))
            if enough and enough():
                process.kill()
                process.wait()
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        text, wrong = (_content(file) for file in (said, errors))
    if process.returncode != (-signal.SIGKILL if enough else 0):
        raise DcmqError(f"{' '.join(command)[:200]} failed: {wrong[-2000:]}")
    return {"seconds": seconds, "memory": most} | _told(text)


def _content(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _told(text: str) -> dict:
    """What a stage printed: its seconds and what else it says."""
    first, _, rest = text.splitlines()[0].partition(" ") if text.strip() else ("", "", "")
    try:
        return {"inside": float(first), "told": rest}
    except ValueError:
        return {}


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


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else (place,)
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def comparisons(result: dict) -> list[Comparison]:
    """The rows of the table."""
    layout, images = result["layout"], result["layout"]["images"]
    kept = int(result["load"]["told"].split()[0].replace(",", ""))
    pillow = result["pillow"]["seconds"] * kept / images  # of as many files as prepare decodes
    made = f"{images / layout['seconds']:,.0f} files/s, {layout['seconds']:.0f} s, {_gigabytes(layout['disk'])} on disk"
    rows = [Comparison(f"the generator of {images:,} files", made, "", "")]
    ratio = result["prepare"]["seconds"] / pillow
    rows.append(
        Comparison(
            f"prepare and Pillow alone, {kept:,} images",
            f"{result['prepare']['seconds']:.1f} s",
            f"{pillow:.1f} s",
            f"{ratio:.2f}",
            f"≤ {_PILLOW}",
            ratio <= _PILLOW,
        )  # fmt: skip
    )
    rows += [_row(step, result[step]) for step in STEPS]
    steps, epochs, batch = map(int, result["paper_steps"]["told"].split()[:3])
    seconds = steps * step_seconds(result)
    counted = f"{seconds / 60:.0f} min: {steps} steps of {batch} x {step_seconds(result):.1f} s"
    return [*rows, Comparison("an epoch of the paper's profile, counted", counted, "", f"{epochs} epochs a run")]


def step_seconds(result: dict) -> float:
    """Seconds of one step of the paper's profile."""
    return result["paper_steps"]["inside"] / TIMED_STEPS


def _row(step: str, facts: dict) -> Comparison:
    inside = f" ({facts['inside']:.2f} s of work)" if "inside" in facts else ""
    said = f"{facts['seconds']:.1f} s{inside}, {_gigabytes(facts['memory'])} of memory"
    said += f", {_gigabytes(facts['disk'])} on disk" if facts["disk"] >= 5e6 else ""
    if step == "paper_steps":  # its memory is that of the student's activations, whatever the data
        return Comparison(_SAID[step], said, "", "")
    wanted, reached = f"≤ {_MEMORY / 1e9:.0f} GB", facts["memory"] <= _MEMORY
    if step == "load":
        wanted, reached = f"≤ {_LOAD_SECONDS:.0f} s, {wanted}", reached and facts["inside"] <= _LOAD_SECONDS
    return Comparison(_SAID.get(step, step), said, "", "", wanted, reached)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def figures(result: dict) -> dict[str, plt.Figure]:
    """``steps``: seconds and memory of each step."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    names = [_SAID.get(step, step) for step in STEPS]
    axes[0].barh(names, [result[step]["seconds"] for step in STEPS], color=plots.colors()[0])
    axes[0].set(xlabel="seconds", xscale="log")
    axes[1].barh(names, [result[step]["memory"] / 1e9 for step in STEPS], color=plots.colors()[1])
    axes[1].axvline(_MEMORY / 1e9, color="0.4", linestyle=":")
    axes[1].set_xlabel("most memory, GB")
    axes[0].invert_yaxis()
    return {"steps": figure}

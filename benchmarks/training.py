"""DCMQ's training against a bare step of its encoders, its data pipeline, and what precision and compilation bring."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import torch
from torch import nn

from benchmarks.timing import Comparison, in_turn, speed
from benchmarks.workloads import BareTraining, Workload, hold_in_memory
from dcmq.config import StudentConfig
from dcmq.methods.dcmq.quantizer import gumbel_noise
from dcmq.methods.dcmq.student import make_student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.networks.encoders import image_encoder

TITLE = "Training"
ABOUT = """
**Against a bare step**: an epoch of `dcmq.methods.dcmq.trainer.Trainer` (noise, quantizer, NPC target, both losses) with its inputs ready in memory, against
the same two encoders with a linear layer each and a plain classification loss, on the same batches with the same Adam. **Against
tensors in memory**: the same epoch with its data pipeline, against the one whose inputs are ready. Times are per epoch. Two students: `demo`, the
demo profile's on `scenes` (small ResNet, 32 pixels), and `resnet18`, 64 pixels, random weights, a text MLP of 2026, 4096, 1024, on
noise. **Precision**: forward and backward of ResNet-18 in bf16 autocast with channels_last, against float32 in
torch's default layout. **Compilation**: forward and backward of the whole student under `torch.compile`, against the same without it.
"""

_STEP, _PIPELINE = 1 / 1.05, 0.95  # at most 5 % more time than the bare step; at least 95 % of the speed from memory


@dataclass(frozen=True)
class Sizes:
    """Sizes of all parts.

    Attributes:
        repeats: epochs that are timed, for each of the workloads.
        sides: pixels a side of the images of the precision part.
        images: images in a batch of the precision part.
        backend: torch.compile's.
        rounds: repeats of the precision and compilation parts.
    """

    workloads: tuple[Workload, ...]
    repeats: tuple[int, ...]
    sides: tuple[int, ...]
    images: int
    backend: str
    rounds: int


FULL = Sizes(
    workloads=(
        Workload(
            "demo", StudentConfig(image_encoder="small_resnet", image_size=32, text_hidden=(512, 256)), 1024, 128, False
        ),
        Workload("resnet18", StudentConfig(image_size=64), 256, 64, True),
    ),
    repeats=(15, 4),
    sides=(64, 112),
    images=16,
    backend="inductor",
    rounds=3,
)
QUICK = Sizes(
    workloads=(
        Workload(
            "demo", StudentConfig(image_encoder="small_resnet", image_size=16, text_hidden=(32, 16)), 64, 32, False
        ),
        Workload("resnet18", StudentConfig(image_size=32, text_hidden=(32, 16)), 16, 8, True, 50),
    ),
    repeats=(2, 2),
    sides=(32,),
    images=2,
    backend="aot_eager",
    rounds=2,
)


def measure(quick: bool) -> dict:
    """The seconds of every repeat of all parts."""
    sizes = QUICK if quick else FULL
    return {
        "batches": {w.name: {"rows": w.rows, "batch": w.batch} for w in sizes.workloads},
        "epochs": {w.name: _epochs(w, repeats) for w, repeats in zip(sizes.workloads, sizes.repeats, strict=True)},
        "images": sizes.images,
        "precision": {str(side): _precision(side, sizes.images, sizes.rounds) for side in sizes.sides},
        "backend": sizes.backend,
        "compilation": {w.name: _compilation(w, sizes.backend, sizes.rounds) for w in sizes.workloads},
    }


def _epochs(workload: Workload, repeats: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = workload.data(folder)
        trainer, ready = (Trainer(workload.config(), *data, folder / "checkpoint", "") for _ in range(2))
        hold_in_memory(ready)
        bare = BareTraining(ready)
        contenders = {"DCMQ": lambda: trainer.epoch(0), "in memory": lambda: ready.epoch(0), "bare": bare.epoch}
        return in_turn(contenders, repeats)


def _precision(side: int, images: int, rounds: int) -> dict[str, list[float]]:
    def contender(layout: torch.memory_format, bf16: bool) -> Callable[[], None]:
        network = image_encoder("resnet18", 256, side, "").to(memory_format=layout).train()
        batch = torch.randn(images, 3, side, side).contiguous(memory_format=layout)

        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = network(batch).float().square().mean()
            network.zero_grad()
            loss.backward()

        return run

    contenders = {
        "float32": contender(torch.contiguous_format, False),
        "float32, channels_last": contender(torch.channels_last, False),
        "bf16, channels_last": contender(torch.channels_last, True),
    }
    return in_turn(contenders, rounds)


def _compilation(workload: Workload, backend: str, rounds: int) -> dict | None:
    """Seconds of forward and backward, compiled and not, and of the first compiled call; None without a C++ compiler."""
    if backend == "inductor" and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        return None
    config = workload.config()
    student = make_student(config, workload.vocab_size).to(memory_format=torch.channels_last).train()
    side, num_codebooks = config.student.image_size, config.student.num_codebooks
    images = torch.randint(0, 256, (workload.batch, side, side, 3), dtype=torch.uint8)
    texts = (torch.rand(workload.batch, workload.vocab_size) < 10 / workload.vocab_size).float()
    noises = [gumbel_noise((workload.batch, num_codebooks, config.student.num_codewords)) for _ in range(2)]

    def contender(network: nn.Module) -> Callable[[], None]:
        def run() -> None:
            student.zero_grad()
            sum(e.square().mean() for e in network(images, texts, *noises)).backward()

        return run

    compiled = contender(torch.compile(student, backend=backend))
    start = time.perf_counter()
    compiled()
    first = time.perf_counter() - start
    return {"first call": first, **in_turn({"compiled": compiled, "not compiled": contender(student)}, rounds)}


def comparisons(result: dict) -> list[Comparison]:
    """A row for each workload and part."""
    rows = []
    for name, epochs in result["epochs"].items():
        rows.append(speed(f"{name}: against a bare step", epochs["in memory"], epochs["bare"], _STEP))
        rows.append(speed(f"{name}: against tensors in memory", epochs["DCMQ"], epochs["in memory"], _PIPELINE))
    for side, times in result["precision"].items():
        peer = times["float32"]
        rows += [speed(f"{kind}, {side} pixels", times[kind], peer) for kind in times if kind != "float32"]
    for name, times in result["compilation"].items():
        label = f"{name}: torch.compile"
        if times is None:
            rows.append(Comparison(label, "not measured: no C++ compiler", "", ""))
        else:
            first = f"{label} (first call {times['first call']:.0f} s)"
            rows.append(speed(first, times["compiled"], times["not compiled"]))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``epoch``: time of an epoch over the bare one's; ``precision``: images per second."""
    return {"epoch": _epoch_figure(result), "precision": _precision_figure(result)}


def _epoch_figure(result: dict) -> plt.Figure:
    labels = {"bare": "bare step", "in memory": "DCMQ, tensors in memory", "DCMQ": "DCMQ with its data pipeline"}
    bars = {
        label: [median(times[kind]) / median(times["bare"]) for times in result["epochs"].values()]
        for kind, label in labels.items()
    }
    figure, axes = _bars(list(result["epochs"]), bars)
    axes.axhline(1 / _STEP, color="black", linestyle="--", linewidth=1, label="goal: at most 5 % above bare")
    axes.set_ylabel("time of an epoch / time of the bare one")
    axes.legend(loc="upper center", ncols=2)
    return figure


def _precision_figure(result: dict) -> plt.Figure:
    times = result["precision"]
    kinds = next(iter(times.values()))
    bars = {kind: [result["images"] / median(times[side][kind]) for side in times] for kind in kinds}
    figure, axes = _bars([f"{side} pixels" for side in times], bars)
    axes.set_ylabel("images / s")
    axes.set_title("ResNet-18, forward and backward")
    axes.legend(loc="upper center", ncols=3)
    return figure


def _bars(groups: list[str], bars: dict[str, list[float]]) -> tuple[plt.Figure, plt.Axes]:
    """A bar chart with three bars in each group, which differ by hatching too."""
    figure, axes = plt.subplots(layout="constrained")
    for number, (label, heights) in enumerate(bars.items()):
        places = [i + 0.27 * (number - 1) for i in range(len(groups))]
        container = axes.bar(places, heights, 0.25, label=label, hatch=("", "//", "..")[number])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.bar_label(container, fmt="%.3g", label_type="center", bbox=box)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylim(0, 1.4 * max(height for heights in bars.values() for height in heights))  # room for the legend
    axes.grid(axis="x", visible=False)
    return figure, axes

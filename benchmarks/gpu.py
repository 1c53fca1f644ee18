"""The work that is slow on a CPU, with and without a GPU. Where there is none, nothing is measured and the page says so."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from benchmarks.timing import Comparison, in_turn, speed
from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.datasets import load_dataset
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.retrieval.evaluate import evaluate
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher

TITLE = "GPU"
ABOUT = """
The same work in two processes, one of which may use the GPU and the other not: an epoch of DCMQ with the demo's student, with ResNet-18 at 64 px and with that
of the paper (ResNet-18 at 224 px), each of 2,000 pairs; the teacher's embeddings of a data set, and an evaluation, of which the GPU does the embedding only.
"""
_WORK = ("demo epoch", "ResNet-18 epoch", "paper epoch", "teacher", "evaluation")
_STUDENTS = {
    "demo epoch": dict(image_encoder="small_resnet", image_size=32, text_hidden=(512, 256)),
    "ResNet-18 epoch": dict(image_encoder="resnet18", image_size=64, text_hidden=(4096, 1024)),
    "paper epoch": dict(image_encoder="resnet18", image_size=224, text_hidden=(4096, 1024)),
}


def measure(quick: bool) -> dict:
    """The GPU's name, and seconds of the work with and without it; an empty name alone where there is none."""
    if not torch.cuda.is_available():
        return {"gpu": ""}
    return {
        "gpu": torch.cuda.get_device_name(),
        "with": _seconds(quick, {}),
        "without": _seconds(quick, {"CUDA_VISIBLE_DEVICES": ""}),
    }


def _seconds(quick: bool, environment: dict) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.gpu", *(["quick"] if quick else [])]
    process = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def work(quick: bool) -> dict[str, list[float]]:
    """The seconds of every repeat of each kind of work, on the device that torch finds."""
    size = dict(query=20, train=100, gallery=200) if quick else dict(query=500, train=2000, gallery=5500)
    data, teacher = load_dataset("scenes", **size), resolve_teacher("clip", "scenes")
    embeddings = embed(teacher, data)
    with tempfile.TemporaryDirectory() as folder:
        trainers = {
            name: Trainer(
                TrainConfig(student=StudentConfig(bits=64, **student)), data, embeddings, Path(folder) / name, name
            )
            for name, student in _STUDENTS.items()
        }

        def epoch(name: str):
            trainers[name].epoch(0)
            if torch.cuda.is_available():
                torch.cuda.synchronize()

        network = trainers["demo epoch"].network
        retriever = QuantizedRetriever(network, data)
        contenders = {name: (lambda name=name: epoch(name)) for name in _STUDENTS}
        contenders["teacher"] = lambda: teacher.embed_dataset(data, progress=False)
        contenders["evaluation"] = lambda: evaluate(retriever, data)
        return in_turn(contenders, 1 if quick else 3)


def comparisons(result: dict) -> list[Comparison]:
    """A row for each kind of work."""
    if not result["gpu"]:
        return [Comparison(name, "not measured: no GPU here", "", "") for name in _WORK]
    rows = []
    for name in _WORK:
        rows.append(speed(f"{name}: {result['gpu']} and CPU", result["with"][name], result["without"][name]))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """No figure: a few ratios need none."""
    return {}


if __name__ == "__main__":
    print(json.dumps(work("quick" in sys.argv)))

"""A student without torch: latency of ONNX graphs against torch, sizes of files, and what 8 bits cost."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from benchmarks.timing import Comparison, in_turn, speed
from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.score import scores
from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.words import LATIN
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.dcmq.student import make_student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.reporting.figures import MARKERS
from dcmq.retrieval.metrics import evaluate_ranking
from dcmq.search.pretrained import PretrainedStudent
from dcmq.sharing.onnx_export import export_onnx
from dcmq.sharing.onnx_graphs import require_onnx

TITLE = "Without torch"
ABOUT = """
The folder of `dcmq export --onnx` by onnxruntime, in float32 and rounded to 8 bits, against torch in float32, one thread each: from a
squashed image or a bag of words to its embedding, for one item and for 64 at once. `demo` is the demo profile's student, briefly trained on
`scenes`; `resnet18` at 224 pixels and a text MLP of 2026, 4096, 1024 have random weights, on which no time depends. *Codes that differ* are
those of 1,000 items of `scenes`, from what torch makes of them; *mAP@all* is on items that were not trained on, in both directions.
"""
BATCHES = (1, 64)
TORCH, FLOAT, INT8 = "torch", "float32", "int8"
_ITEMS = 1000  # whose codes are compared
_DEMO = StudentConfig(image_encoder="small_resnet", image_size=32, text_hidden=(512, 256))


@dataclass(frozen=True)
class Sizes:
    """Sizes of all parts.

    Attributes:
        data: options of ``scenes``. epochs: of the demo student's training.
        large: the other student. vocab_size: of its texts.
        repeats: of each contender, for each of the students.
    """

    data: dict
    epochs: int
    large: StudentConfig
    vocab_size: int
    repeats: tuple[int, int]


FULL = Sizes({"query": 500, "train": 2000, "gallery": 5500}, 5, StudentConfig(image_size=224), 2026, (20, 5))
QUICK = Sizes(
    {"query": 50, "train": 200, "gallery": 1000}, 1, StudentConfig(image_size=32, text_hidden=(16, 8)), 50, (2, 2)
)


def measure(quick: bool) -> dict:
    """Seconds of every repeat, bytes of every file, codes that differ, and mAP@all by contender."""
    sizes = QUICK if quick else FULL
    require_onnx()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            return _measure(sizes, Path(name))
    finally:
        torch.set_num_threads(threads)


def _measure(sizes: Sizes, folder: Path) -> dict:
    dataset, demo = _trained(sizes, folder)
    config = TrainConfig(student=sizes.large)
    words = tuple(map(str, range(sizes.vocab_size)))
    large = PretrainedStudent(make_student(config, len(words)), config, words, sizes.large.image_size, LATIN)
    result = {"items": _ITEMS, "seconds": {}, "bytes": {}}
    for name, student, repeats in zip(("demo", "resnet18"), (demo, large), sizes.repeats, strict=True):
        folders = {kind: export_onnx(student, folder / name / kind, int8=kind == INT8) for kind in (FLOAT, INT8)}
        result["bytes"][name] = {
            kind: {file.stem: file.stat().st_size for file in sorted(exported.glob("*.onnx"))}
            for kind, exported in folders.items()
        }
        encoders = _encoders(student, folders)
        result["seconds"][name] = _seconds(student, encoders, repeats)
        if name == "demo":
            result["demo"] = _quality(student, encoders, dataset)
    return result


def _trained(sizes: Sizes, folder: Path) -> tuple[RetrievalDataset, PretrainedStudent]:
    dataset, teacher = ExperimentSetup("scenes", "clip", options=sizes.data).load()
    config = TrainConfig(student=_DEMO, epochs=sizes.epochs, learning_rate=2e-3)
    trainer = Trainer(config, dataset, teacher, folder / "checkpoint", "")
    for number in range(sizes.epochs):
        trainer.epoch(number)
    side = dataset.images.shape[1]
    return dataset, PretrainedStudent(trainer.network, config, dataset.vocabulary, side, dataset.word_pattern)


def _encoders(student: PretrainedStudent, folders: dict[str, Path]) -> dict[str, dict[str, Callable]]:
    """By modality and contender, a function of an array of inputs to embeddings, (n, D) float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def of_session(path: Path, name: str) -> Callable:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, {name: inputs})[0]

    @torch.inference_mode()
    def with_torch(inputs: np.ndarray, modality: str) -> np.ndarray:
        return getattr(student.student, f"encode_{modality}s")(torch.from_numpy(inputs)).numpy()

    return {
        modality: {TORCH: lambda inputs, modality=modality: with_torch(inputs, modality)}
        | {kind: of_session(folder / f"{modality}_encoder.onnx", f"{modality}s") for kind, folder in folders.items()}
        for modality in ("image", "text")
    }


def _seconds(student: PretrainedStudent, encoders: dict, repeats: int) -> dict:
    """Seconds per item by modality, batch and contender."""
    rng, side = np.random.default_rng(0), student.dataset_image_size
    inputs = {
        "image": rng.integers(0, 256, (max(BATCHES), side, side, 3), dtype=np.uint8),
        "text": (rng.random((max(BATCHES), len(student.vocabulary))) < 0.05).astype(np.float32),
    }
    result = {}
    for modality, contenders in encoders.items():
        for n in BATCHES:
            calls = {kind: lambda e=encode, x=inputs[modality][:n]: e(x) for kind, encode in contenders.items()}
            times = in_turn(calls, repeats, warm_up=2)
            result.setdefault(modality, {})[str(n)] = {kind: [s / n for s in times[kind]] for kind in times}
    return result


def _quality(student: PretrainedStudent, encoders: dict, dataset: RetrievalDataset) -> dict:
    """By contender: codes that differ from torch's among the first items, and mAP@all in both directions."""
    inputs = {"image": np.asarray(dataset.images).copy(), "text": dataset.bow.toarray()}
    embeddings = {
        kind: {
            modality: torch.from_numpy(_in_batches(contenders[kind], inputs[modality]))
            for modality, contenders in encoders.items()
        }
        for kind in (TORCH, FLOAT, INT8)
    }
    return {
        kind: {
            "codes that differ": {m: _differing(made[m], embeddings[TORCH][m], student.codebooks) for m in made},
            "mAP@all": _mean_average_precisions(made, student, dataset),
        }
        for kind, made in embeddings.items()
    }


def _in_batches(encode: Callable, inputs: np.ndarray) -> np.ndarray:
    return np.concatenate([encode(inputs[start : start + 64]) for start in range(0, len(inputs), 64)])


def _differing(made: torch.Tensor, expected: torch.Tensor, codebooks: torch.Tensor) -> int:
    ours, theirs = (assign(x[:_ITEMS], codebooks) for x in (made, expected))
    return int((ours != theirs).any(1).sum())


def _mean_average_precisions(made: dict, student: PretrainedStudent, dataset: RetrievalDataset) -> dict[str, float]:
    labels, query = torch.from_numpy(dataset.labels), dataset.split.query
    unseen = np.setdiff1d(dataset.split.gallery, dataset.split.train)
    result = {}
    for direction, asked, stored in (("i2t", "image", "text"), ("t2i", "text", "image")):
        tables, codes = (
            lookup_tables(made[asked][query], student.codebooks),
            assign(made[stored][unseen], student.codebooks),
        )
        metrics = evaluate_ranking(
            lambda rows, tables=tables, codes=codes: scores(tables[rows], codes), labels[query], labels[unseen], r=5000
        )
        result[direction] = metrics.mean_average_precisions()["mAP@all"]
    return result


def comparisons(result: dict) -> list[Comparison]:
    """A row for each student, modality, batch and precision; then sizes, codes and mAP."""
    rows = []
    for name, modalities in result["seconds"].items():
        for modality, batches in modalities.items():
            for n, seconds in batches.items():
                for kind in (FLOAT, INT8):
                    what = f"{name}, {modality}, {n} at once: onnxruntime in {kind} and torch, per item"
                    rows.append(speed(what, seconds[kind], seconds[TORCH]))
    for name, kinds in result["bytes"].items():
        for file, size in kinds[FLOAT].items():
            small = kinds[INT8][file]
            rows.append(
                Comparison(
                    f"{name}, {file}: bytes in int8 and float32", f"{small:,}", f"{size:,}", f"{size / small:.2f}"
                )
            )
    torchs = result["demo"][TORCH]["mAP@all"]
    for kind in (FLOAT, INT8):
        measured = result["demo"][kind]
        for modality, count in measured["codes that differ"].items():
            share = f"{count / result['items']:.3f}"
            rows.append(
                Comparison(
                    f"demo, {modality}: codes in {kind} that differ from torch's",
                    str(count),
                    str(result["items"]),
                    share,
                )
            )
        for direction, value in measured["mAP@all"].items():
            rows.append(
                Comparison(
                    f"demo, {direction}: mAP@all in {kind} and torch",
                    f"{value:.4f}",
                    f"{torchs[direction]:.4f}",
                    f"{value / torchs[direction]:.4f}",
                )
            )
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: milliseconds per item of every contender, a panel per student and modality."""
    panels = [(name, modality) for name in result["seconds"] for modality in result["seconds"][name]]
    figure, axes = plt.subplots(1, len(panels), figsize=(2.9 * len(panels) + 1, 2.8), layout="constrained")
    for axis, (name, modality) in zip(axes, panels, strict=True):
        batches = result["seconds"][name][modality]
        for marker, kind in zip(MARKERS, (TORCH, FLOAT, INT8), strict=False):
            times = [1000 * float(np.median(batches[n][kind])) for n in batches]
            axis.plot(list(batches), times, marker=marker, label=kind if kind == TORCH else f"onnxruntime, {kind}")
        axis.set(title=f"{name}, {modality}", xlabel="at once", yscale="log")
    axes[0].set_ylabel("milliseconds per item")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    return {"time": figure}

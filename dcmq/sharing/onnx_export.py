"""A trained student as a folder that needs no torch: ONNX graphs, codebooks, galleries, and a reader that searches."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from dcmq.codes.export import ids_of_one_width
from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.core.storage import write_json
from dcmq.networks.clip import SMALL, clip_tokenizer
from dcmq.networks.small_clip import CONTEXT
from dcmq.search.pretrained import PretrainedStudent
from dcmq.sharing.onnx_graphs import (
    ImageGraph,
    TextGraph,
    bag_samples,
    image_samples,
    require_onnx,
    to_int8,
    write_graph,
)
from dcmq.sharing.onnx_readme import onnx_readme

FORMAT = 1  # of the folder; a change that an older reader would misread is a new one
_READER = Path(__file__).with_name("onnx_reader.py")  # a script of its own, which imports nothing of this package
_REQUIREMENTS = "numpy>=1.26\nonnxruntime>=1.20\npillow>=10.1\n"
_BAG, _TOKENS, _NO_TEXT = "bag", "tokens", ""  # what the text encoder reads


def export_onnx(
    model: PretrainedStudent, folder: Path | str, galleries: Mapping[str, CodeIndex] | None = None, int8: bool = False
) -> Path:
    """Write ``model`` to ``folder`` for those who have no torch, with a reader that searches by it.

    Both graphs are compared with torch before anything is left. The text encoder of a student that reads tokens of
    open_clip is left out: its tokenizer would need another package.

    Args:
        galleries: codes to go along, by the name of their folder.
        int8: round weights to 8 bits, and activations as they come.

    Returns:
        the folder.

    Raises:
        DcmqError: a folder that is not empty or cannot be written, an encoder that cannot be exported, no onnx.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DcmqError(f"export: {folder} is there already and not empty; choose another folder")
    require_onnx()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            written = Path(temporary) / "all"
            _write(model, written, {name: index for name, index in (galleries or {}).items() if len(index)}, int8)
            os.replace(written, folder)  # whole or not at all
    except OSError as error:
        raise DcmqError(f"export: cannot write {folder}: {error.strerror}") from None
    return folder


def _write(model: PretrainedStudent, folder: Path, galleries: Mapping[str, CodeIndex], int8: bool) -> None:
    folder.mkdir()
    student, config, facts = model.student, model.config.student, _facts(model, int8)
    graphs = {"image": (ImageGraph(student, model.dataset_image_size), image_samples(model.dataset_image_size))}
    if facts["text_input"]:
        graphs["text"] = (TextGraph(student), _text_samples(facts))
    for modality, (graph, samples) in graphs.items():
        path, encoder = folder / f"{modality}_encoder.onnx", getattr(config, f"{modality}_encoder")
        write_graph(path, graph, samples, f"{modality}s", encoder)
        if int8:
            to_int8(path)
    np.save(folder / "codebooks.npy", model.codebooks.numpy())
    write_json(folder / "student.json", facts)
    for name, index in galleries.items():
        (folder / name).mkdir()
        np.save(folder / name / "codes.npy", index.codes)
        np.save(folder / name / "ids.npy", ids_of_one_width(index))
    shutil.copyfile(_READER, folder / "search.py")
    (folder / "requirements.txt").write_text(_REQUIREMENTS, encoding="utf-8")
    (folder / "README.md").write_text(onnx_readme(facts, list(galleries)), encoding="utf-8")


def _facts(model: PretrainedStudent, int8: bool) -> dict:
    """The content of ``student.json``."""
    student, network = model.config.student, model.student
    text_input, vocabulary, pattern = _BAG, model.vocabulary, model.word_pattern
    if student.text_input != "bow":
        text_input, vocabulary, pattern = _NO_TEXT, (), ""
        if student.text_encoder == SMALL:
            text_input, vocabulary, pattern = _TOKENS, clip_tokenizer(SMALL).words, "[a-z]+"
    return {
        "format": FORMAT,
        "weights": "int8" if int8 else "float32",
        "image_encoder": student.image_encoder,
        "image_size": model.dataset_image_size,
        "network_image_size": student.image_size,
        "mean": [round(value, 3) for value in network.mean.flatten().tolist()],
        "std": [round(value, 3) for value in network.std.flatten().tolist()],
        "text_encoder": student.text_encoder,
        "text_input": text_input,
        "text_length": CONTEXT if text_input == _TOKENS else 0,
        "word_pattern": pattern,
        "vocabulary": list(vocabulary),
        "codebooks": list(model.codebooks.shape),
    }


def _text_samples(facts: dict) -> Tensor:
    if facts["text_input"] == _BAG:
        return bag_samples(len(facts["vocabulary"]))
    words = facts["vocabulary"]
    return clip_tokenizer(SMALL)([words[0], f"{words[0]} {words[1]}", f"a {words[2]}"])

"""Measured costs of a model: parameters, multiplications, seconds per item, and bytes in a file."""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcmq.codes.assign import assign
from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.core.storage import save_tensors
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.base import count_parameters
from dcmq.methods.dcmq.student import Student
from dcmq.networks.inputs import text_inputs
from dcmq.teachers.base import Encoder, Teacher


@dataclass(frozen=True)
class Size:
    """Parameters and MACs of a model that embeds images and texts.

    Attributes:
        image_parameters, text_parameters: of each half. shared_parameters: those that serve both.
        image_macs, text_macs: multiply-accumulates for one item.
    """

    image_parameters: int
    text_parameters: int
    shared_parameters: int
    image_macs: int
    text_macs: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.image_parameters + self.text_parameters + self.shared_parameters


@dataclass(frozen=True)
class Stored:
    """A safetensors file: its bytes on disk, and how many of them are the header."""

    bytes: int
    header: int


def macs(call: Callable[..., Tensor], *inputs: Tensor) -> int:
    """Multiply-accumulates of ``call(*inputs)``: matrix products, convolutions and attention, half of torch's FLOPs.

    What works element by element (activations, normalizations, sums) is not counted. On the ``meta`` device nothing is
    computed, and the count is the same.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused kernel would be counted as nothing
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


def seconds_per_item(call: Callable[[], object], items: int, repeats: int = 7) -> float:
    """Seconds of ``call()`` on one CPU thread, over ``items``: the median of ``repeats`` calls, after one to warm up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            call()
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return statistics.median(seconds) / items


def stored(array: Tensor | np.ndarray) -> Stored:
    """The size of the file that ``array`` becomes when it is saved as this package saves arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array.safetensors"
        save_tensors(path, {"items": array})
        with path.open("rb") as file:
            header = 8 + int.from_bytes(
                file.read(8), "little"
            )  # in the file: the header's length, the header, the data
        return Stored(path.stat().st_size, header)


def clip_size(model: nn.Module) -> Size:
    """The size of an open_clip model; its MACs are for one image at its own size and a text of full length, to which CLIP
    pads all."""
    device = next(model.parameters()).device
    height, width = np.broadcast_to(model.visual.image_size, 2).tolist()
    image = torch.zeros(1, 3, height, width, device=device)
    text = torch.zeros(1, model.context_length, dtype=torch.long, device=device)
    image_parameters = count_parameters(model.visual)
    return Size(
        image_parameters=image_parameters,
        text_parameters=count_parameters(model) - image_parameters,
        shared_parameters=0,
        image_macs=macs(model.encode_image, image),
        text_macs=macs(model.encode_text, text),
    )


def teacher_size(teacher: Teacher) -> Size | None:
    """The size of the model that ``teacher`` runs; None where its embeddings were made elsewhere, or where the model is
    not built as open_clip's are."""
    return clip_size(teacher.network) if hasattr(teacher.network, "visual") else None


def student_size(student: Student, text: Tensor) -> Size:
    """The size of a student.

    Args:
        text: one input of its text encoder, with a first axis of 1; MACs are for it and for one image at the student's
            size, up to the codeword numbers.
    """
    codebooks = student.quantizer.codebooks.detach()
    side = student.config.image_size
    image = torch.zeros(1, side, side, 3, dtype=torch.uint8, device=codebooks.device)
    return Size(
        image_parameters=count_parameters(student.image_encoder) + count_parameters(student.frozen),
        text_parameters=count_parameters(student.text_encoder),
        shared_parameters=codebooks.numel(),
        image_macs=macs(lambda x: assign(student.encode_images(x), codebooks), image),
        text_macs=macs(lambda x: assign(student.encode_texts(x), codebooks), text.to(codebooks.device)),
    )


def teacher_seconds(teacher: Encoder, data: RetrievalDataset, rows: np.ndarray, repeats: int) -> tuple[float, float]:
    """Seconds per image and per label sentence, from pixels and words to embeddings, encoded in one batch of ``rows``."""
    images, sentences = np.array(data.images[rows]), data.label_sentences(rows)
    return (
        seconds_per_item(lambda: teacher.encode_images(images), len(rows), repeats),
        seconds_per_item(lambda: teacher.encode_texts(sentences), len(rows), repeats),
    )


def student_seconds(student: Student, data: RetrievalDataset, rows: np.ndarray, repeats: int) -> tuple[float, float]:
    """Seconds per image and per text, from pixels and words to codeword numbers, encoded in one batch of ``rows``."""
    images, texts = torch.from_numpy(np.array(data.images[rows])), text_inputs(student, data)
    codebooks = student.quantizer.codebooks.detach()
    return (
        seconds_per_item(lambda: assign(student.encode_images(images), codebooks), len(rows), repeats),
        seconds_per_item(lambda: assign(student.encode_texts(texts(rows)), codebooks), len(rows), repeats),
    )


def architecture_size(name: str) -> tuple[Size, int]:
    """The size of an open_clip architecture, and how many numbers its embeddings have.

    It is built on the ``meta`` device, shapes without numbers: nothing is fetched, filled or computed.

    Raises:
        DcmqError: open_clip has no such architecture, or cannot build it so.
    """
    import open_clip  # takes seconds, which only its users should wait

    if name not in open_clip.list_models():
        hint = suggestion(name, open_clip.list_models())
        raise DcmqError(f"architectures: open_clip has no {name!r}{hint} (see open_clip.list_models())")
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns that there are no weights, which is what is wanted
    try:
        with torch.device("meta"):
            model = open_clip.create_model(name, device="meta", pretrained_text=False).eval()
        return clip_size(model), open_clip.get_model_config(name)["embed_dim"]
    except Exception as error:  # architectures come from many hands, and so do their errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DcmqError(f"architectures: {name} cannot be built without its weights ({reason}); leave it out") from None
    finally:
        logging.disable(level)

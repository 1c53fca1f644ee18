"""The bundled teachers ``clip`` and ``clip-wide``: the small CLIP, for ``scenes`` only."""

import json
import math
from functools import cached_property

import torch
from safetensors import safe_open

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.storage import open_tensors
from dcmq.networks.bundled import bundled_file
from dcmq.networks.small_clip import CONTEXT, SIDE, load_small_clip, preprocess
from dcmq.teachers.base import TEACHERS, Encoder, Teacher, TeacherFacts, l2_normalize, register_teacher

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalization; not learned


class BundledClip(Encoder):
    """The small CLIP in the package, for ``scenes`` only.

    Args:
        variant: ``clip`` or ``clip-wide``.

    Raises:
        DcmqError: the installation lacks its weights.
    """

    def __init__(self, variant: str):
        self.name = variant
        self.file = bundled_file(variant)
        self.fingerprint = digest(self.file.read_bytes(), "rgb/127.5-1 at 64x64", CONTEXT)
        self.parameters = self._learned()
        self.description = (
            f"bundled small CLIP for scenes ({variant}), {self.parameters:,} parameters, {self.fingerprint}"
        )

    @cached_property
    def _loaded(self):
        return load_small_clip(self.name)  # only when something is not in the cache

    def _learned(self) -> int:
        """The number of learned weights, without loading them."""
        with safe_open(str(self.file), framework="pt") as stored:
            names = [name for name in stored.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118 (not a dict)
            return sum(math.prod(stored.get_slice(name).get_shape()) for name in names)

    @property
    def network(self):
        """The ``open_clip.CLIP`` that it runs."""
        return self._loaded[0]

    @property
    def training_seconds(self):
        """Seconds that its own training took."""
        return json.loads(open_tensors(self.file)[1]["training"])["seconds"]

    @torch.inference_mode()
    def encode_images(self, images):
        """Encode (b, 64, 64, 3) uint8 images to (b, 128) unit vectors. Raises DcmqError for images of another size."""
        if images.shape[1:3] != (SIDE, SIDE):
            raise DcmqError(
                f"teacher {self.name} reads 64 x 64 scenes, not {images.shape[1:3]}; use open_clip:ARCH/TAG"
            )
        return l2_normalize(self.network.encode_image(preprocess(torch.from_numpy(images)))).clone()

    @torch.inference_mode()
    def encode_texts(self, texts):
        """Encode b sentences to (b, 128) unit vectors."""
        model, tokenizer = self._loaded
        return l2_normalize(model.encode_text(tokenizer(texts))).clone()


@register_teacher(
    "clip",
    description=TeacherFacts(
        source="in the package, for scenes; on photos it is clip-vit-b32",
        size="1.6 M parameters",
        licence="MIT",
        embedding="128",
        checked="trained and measured here",
    ),
)
def _clip(name: str, dataset: str) -> Teacher:
    return BundledClip(name) if dataset == "scenes" else TEACHERS["clip-vit-b32"].make(name, dataset)


@register_teacher(
    "clip-wide",
    description=TeacherFacts(
        source="in the package, for scenes only",
        size="1.6 M parameters",
        licence="MIT",
        embedding="128",
        checked="trained and measured here",
    ),
)
def _wide(name: str, dataset: str) -> BundledClip:
    if dataset != "scenes":
        raise DcmqError(f"teacher: clip-wide knows scenes only, not {dataset}; use clip or open_clip:ARCH/TAG")
    return BundledClip(name)

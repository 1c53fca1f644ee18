"""The bundled teachers ``clip`` and ``clip-wide``: the small CLIP, for ``scenes`` only."""

import math
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.networks.small_clip import CONTEXT, bundled_file, load_bundled, preprocess
from dcmq.teachers.base import Encoder, l2_normalize, register_teacher
from dcmq.teachers.openclip import NAMED, OpenClip

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation; not learned


class BundledClip(Encoder):
    """The small CLIP in the package, for ``scenes`` only. ``variant``: ``clip`` or ``clip-wide``."""

    def __init__(self, variant: str):
        self.name = variant
        file = bundled_file(variant)
        self.fingerprint = digest(file.read_bytes(), "rgb/127.5-1 at 64x64", CONTEXT)
        self.parameters = _parameters(file)
        self.description = (
            f"bundled small CLIP for scenes ({variant}), {self.parameters:,} parameters, {self.fingerprint}"
        )

    @cached_property
    def _loaded(self):
        return load_bundled(self.name)  # only when something is not in the cache

    @torch.inference_mode()
    def encode_images(self, images):
        """See :class:`Encoder`; pictures are 64 x 64."""
        if images.shape[1:3] != (64, 64):
            raise DcmqError(
                f"teacher {self.name} reads 64 x 64 scenes, not {images.shape[1:3]}; use open_clip:ARCH/TAG"
            )
        return l2_normalize(self._loaded[0].encode_image(preprocess(torch.from_numpy(images)))).clone()

    @torch.inference_mode()
    def encode_texts(self, texts):
        """See :class:`Encoder`."""
        model, tokenizer = self._loaded
        return l2_normalize(model.encode_text(tokenizer(texts))).clone()


def _parameters(file: Path) -> int:
    with safe_open(str(file), framework="pt") as stored:
        kept = [name for name in stored.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118 (not a dict)
        return sum(math.prod(stored.get_slice(name).get_shape()) for name in kept)


@register_teacher("clip")
def _clip(name: str, dataset: str) -> Encoder:
    return BundledClip(name) if dataset == "scenes" else OpenClip(NAMED["clip-vit-b32"], name)


@register_teacher("clip-wide")
def _wide(name: str, dataset: str) -> BundledClip:
    if dataset != "scenes":
        raise DcmqError(f"teacher: clip-wide knows scenes only, not {dataset}; use clip or open_clip:ARCH/TAG")
    return BundledClip(name)

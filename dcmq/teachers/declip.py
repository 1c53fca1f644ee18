"""DeCLIP from its official checkpoint files, in open_clip's parts.

Its code (github.com/Sense-GVT/DeCLIP) has CLIP's towers with three differences: the text projection is a linear layer
with a bias, the vocabulary has a mask token before start and end of text, and images are normalized with ImageNet's
statistics. What its losses need beside the towers (projectors, predictors, memory banks) is left out.
"""

from collections.abc import Callable

import torch

from dcmq.networks.pixels import IMAGENET
from dcmq.teachers.base import TeacherFacts, register_teacher
from dcmq.teachers.checkpoint import load_whole, named_file, read_weights, renamed
from dcmq.teachers.network import Network

ARCHITECTURES = {"declip-rn50": "RN50", "declip-vit-b32": "ViT-B-32"}  # in open_clip
_MASK = 49406  # its number; open_clip's tokenizer has the start of text there, and its end one above
_UNUSED = ("visual.fc.",)  # what its ResNet applies to images of other sizes


class Declip(Network):
    """DeCLIP: ``declip-rn50:FILE`` and ``declip-vit-b32:FILE``. Raises DcmqError for a file that does not fit."""

    def __init__(self, specification: str):
        short, path = named_file(specification)
        weights = renamed(
            read_weights(path, short), {"visual.": "visual.", "encode_text.": "", "logit_scale": "logit_scale"}
        )
        weights = {k: v for k, v in weights.items() if not k.startswith((*_UNUSED, "text_label_predictor."))}
        if "logit_scale" in weights:
            weights["logit_scale"] = weights["logit_scale"].reshape(())  # one number, stored as a list of one
        model = load_whole(build(short, len(weights.get("text_projection.bias", [0]))), weights, short, path)
        import open_clip  # takes seconds

        self.tokenizer = open_clip.get_tokenizer(ARCHITECTURES[short])
        super().__init__(specification, f"DeCLIP {short} / {path.name}", model, transform(), "mask token")

    def image_features(self, batch):
        """Encode (b, 3, 224, 224) transformed images to (b, d)."""
        return self.model.encode_image(batch)

    def text_features(self, texts):
        """Encode b sentences to (b, d)."""
        return self.model.encode_text(tokens(self.tokenizer(texts)).to(self.device))

    def truncated(self, texts):
        """The number of ``texts`` that are longer than its 77 tokens."""
        return sum(len(self.tokenizer.encode(text)) + 2 > self.tokenizer.context_length for text in texts)


def build(short: str, dimension: int):
    """The untrained ``open_clip.CLIP`` of ``short``, whose embeddings have ``dimension`` numbers."""
    import open_clip  # takes seconds

    config = open_clip.get_model_config(ARCHITECTURES[short])
    text = config["text_cfg"] | {"vocab_size": config["text_cfg"]["vocab_size"] + 1, "proj_bias": True}
    return open_clip.CLIP(dimension, config["vision_cfg"], text, quick_gelu=True)


def tokens(numbers: torch.Tensor) -> torch.Tensor:
    """DeCLIP's token numbers for open_clip's, of any shape: start and end of text come after the mask token."""
    return numbers + (numbers >= _MASK)


def transform() -> Callable:
    """The transform of the official evaluation, from a PIL image to (3, 224, 224): the shorter side to 256, its
    middle."""
    from torchvision import transforms as T  # takes seconds

    return T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize(*IMAGENET)])


def _make(name: str, dataset: str) -> Declip:
    return Declip(name)


_SOURCE = "linked from github.com/Sense-GVT/DeCLIP (Google Drive, by hand)"
_CHECKED = "layout from the official code; on random weights, embeddings equal to a second implementation"
register_teacher(
    "declip-rn50:FILE",
    description=TeacherFacts(
        source=f"DeCLIP_r50, {_SOURCE}",
        size="102 M parameters",
        licence="see its repository",
        embedding="1,024",
        checked=_CHECKED,
    ),
)(_make)
register_teacher(
    "declip-vit-b32:FILE",
    description=TeacherFacts(
        source=f"DeCLIP_vitb32, {_SOURCE}",
        size="155 M parameters",
        licence="see its repository",
        embedding="3,072",
        checked=_CHECKED,
    ),
)(_make)

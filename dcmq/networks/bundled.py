"""The weights inside the package, for ``scenes`` alone; ``weights/MODEL_CARD.md`` says what each can and cannot do."""

import json
from pathlib import Path

from torch import Tensor, nn

from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors

WEIGHTS = Path(__file__).resolve().parent / "weights"
OBJECTS = "scenes-objects"  # the backbone that has learnt to name objects
_SCRIPTS = {"clip": "train_scenes_teacher.py clip", "clip-wide": "train_scenes_teacher.py clip-wide"}
FILES = {
    "clip": "scenes_clip.safetensors",
    "clip-wide": "scenes_clip_wide.safetensors",
    OBJECTS: "scenes_objects.safetensors",
}


def bundled_file(name: str) -> Path:
    """The file of weights. Raises DcmqError where the installation lacks it."""
    path = WEIGHTS / FILES[name]
    if not path.is_file():
        script = _SCRIPTS.get(name, "train_scenes_backbone.py")
        raise DcmqError(f"{path} is missing: reinstall dcmq, or train it with scripts/{script}")
    return path


def save_bundled(name: str, model: nn.Module, card: dict, **texts: str) -> Path:
    """Write the weights of ``model`` in half precision, with the facts of its training and ``texts`` beside them. Returns the
    file."""
    path = WEIGHTS / FILES[name]
    weights = {k: v.cpu().half() if v.is_floating_point() else v.cpu() for k, v in model.state_dict().items()}
    save_tensors(path, weights, texts | {"training": json.dumps(card)})
    return path


def load_bundled(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights, float32, and what stands beside them. Raises DcmqError where they are missing, or damaged."""
    weights, about = load_tensors(bundled_file(name))
    return {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}, about

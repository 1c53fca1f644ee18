"""Encoders by name: a ``backbone``, perhaps pretrained, and a new linear ``head`` that ends in D numbers.

To add an image encoder: a function that :func:`register_image_encoder` registers. Models of timm and open_clip go by
name already.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import nn

from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry, suggestion
from dcmq.networks.bundled import OBJECTS, load_bundled
from dcmq.networks.clip import SMALL, TextTower, clip_model
from dcmq.networks.hub import first_line
from dcmq.networks.pixels import HALF, IMAGENET, OPENAI, Statistics
from dcmq.networks.pretrained import load_state
from dcmq.networks.small import small_convnet, small_resnet, small_vit

Builder = Callable[[int, int, str], nn.Module]  # (dimension, image size, weights) to a module of with_head
IMAGE_ENCODERS: Registry[Builder] = Registry("image_encoder")


def register_image_encoder(given: Callable | str | None = None) -> Callable:
    """Register a function of (dimension, image size, weights) to a module of :func:`with_head`, for the setting
    ``image_encoder``: ``@register_image_encoder`` under the function's name, ``@register_image_encoder("name")`` under
    another."""
    return IMAGE_ENCODERS.decorator(given)


def with_head(backbone: nn.Module, features: int, dimension: int, pixels: Statistics = IMAGENET) -> nn.Sequential:
    """The ``backbone`` (whose own last layer is gone) and a new linear layer from its ``features`` to ``dimension``.

    Args:
        pixels: mean and standard deviation by which its images are normalized; an attribute of the result.
    """
    model = nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(features, dimension)))
    model.pixels = pixels
    return model


def _untrained(name: str, make: Callable[[int], tuple[nn.Module, int]]) -> Builder:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        if weights:
            raise DcmqError(f"backbone_weights: {name} has no pretrained weights; leave it empty")
        return with_head(*make(size), dimension)

    return build


def _torchvision(name: str, last: str) -> Builder:
    """The builder of a model of torchvision. ``last``: the layer that it classifies with, as a dotted name."""

    def build(dimension: int, size: int, weights: str) -> nn.Module:
        import torchvision  # takes seconds, which those whose runs are finished need not wait

        make = getattr(torchvision.models, name)
        if weights == "imagenet":
            try:
                model = make(weights="IMAGENET1K_V1")
            except (URLError, OSError) as error:
                file = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url.rpartition("/")[2]
                folder = Path(torch.hub.get_dir()) / "checkpoints"
                raise DcmqError(
                    f"cannot fetch torchvision's {file} ({error}): put the file into {folder}, "
                    "or give a local file as backbone_weights (empty: random weights)"
                ) from None
        else:
            model = make()
            if weights:
                load_state(model, weights, f"torchvision {name}", optional=last)
        parent, _, leaf = last.rpartition(".")
        owner = model.get_submodule(parent)
        features = model.get_submodule(last).in_features
        setattr(owner, leaf, nn.Identity())
        return with_head(model, features, dimension)

    return build


def _timm(name: str) -> Builder:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        import timm  # seconds, which only its users should wait

        if not timm.is_model(name):
            raise DcmqError(f"image_encoder: timm has no model {name!r}; see timm.list_models()")
        options = {"img_size": size} if "vit" in name or "deit" in name else {}
        try:
            model = timm.create_model(name, pretrained=weights == "imagenet", num_classes=0, **options)
        except Exception as error:  # the hub's client raises many kinds
            raise DcmqError(
                f"cannot fetch timm's {name} ({first_line(error)}): give a local state_dict file as backbone_weights"
            ) from None
        if weights not in ("", "imagenet"):
            load_state(model, weights, f"timm {name}")
        return with_head(model, model.num_features, dimension)

    return build


def _clip_tower(name: str, pixels: Statistics) -> Builder:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        model, features = clip_model(name, weights)
        side = int(np.ravel(model.visual.image_size)[0])
        if side != size:
            raise DcmqError(f"image_size: {name} reads {side} pixels a side, not {size}")
        return with_head(model.visual.requires_grad_(True), features, dimension, pixels)

    return build


def _small_resnet(dimension: int, size: int, weights: str) -> nn.Module:
    backbone, features = small_resnet()
    if weights == OBJECTS:
        backbone.load_state_dict(load_bundled(OBJECTS)[0])
    elif weights:
        load_state(backbone, weights, "small_resnet")
    return with_head(backbone, features, dimension)


for _name, _build in {
    "small_resnet": _small_resnet,
    "small_convnet": _untrained("small_convnet", lambda size: small_convnet()),
    "small_vit": _untrained("small_vit", small_vit),
    SMALL: _clip_tower(SMALL, HALF),
    "alexnet": _torchvision("alexnet", "classifier.6"),
    "resnet18": _torchvision("resnet18", "fc"),
    "resnet50": _torchvision("resnet50", "fc"),
    "vit_b_32": _torchvision("vit_b_32", "heads.head"),
}.items():
    IMAGE_ENCODERS.register(_name, _build)

# Libraries whose models go by their own names, behind a colon.
_LIBRARIES: dict[str, Callable[[str], Builder]] = {
    "timm": _timm,
    "open_clip": lambda architecture: _clip_tower(f"open_clip:{architecture}", OPENAI),
}


def image_encoder(name: str, dimension: int, size: int, weights: str = "") -> nn.Module:
    """A module of :func:`with_head` from (b, 3, size, size) normalized images to (b, dimension).

    Args:
        name: one of :data:`IMAGE_ENCODERS`, ``timm:NAME`` or ``open_clip:ARCH``.
        weights: ``""`` random; ``imagenet``, the library's own; a state_dict file; for ``small_clip`` a bundled
            teacher; for ``small_resnet`` ``scenes-objects``; for ``open_clip:`` a tag or a checkpoint file.

    Raises:
        DcmqError: unknown name, or weights that cannot be had or do not fit.
    """
    if name in IMAGE_ENCODERS:
        model = IMAGE_ENCODERS[name](dimension, size, weights)
        if not hasattr(model, "pixels"):
            raise DcmqError(
                f"image_encoder: {name} gives a {type(model).__name__}; end it with with_head(backbone, ...)"
            )
        return model
    library, _, model = name.partition(":")
    if model and library in _LIBRARIES:
        return _LIBRARIES[library](model)(dimension, size, weights)
    known = f"{', '.join(IMAGE_ENCODERS)}, timm:NAME, open_clip:ARCH"
    raise DcmqError(f"image_encoder: {name!r} is not known{suggestion(name, IMAGE_ENCODERS)} (known: {known})")


def text_mlp(vocab_size: int, hidden: tuple[int, int], dimension: int) -> nn.Module:
    """Three linear layers with ReLU between, (b, vocab_size) bags of words to (b, dimension) (depth stated, widths
    unknown)."""
    first, second = hidden
    return nn.Sequential(
        nn.Linear(vocab_size, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, dimension)
    )


def text_transformer(name: str, dimension: int, weights: str = "") -> nn.Module:
    """The text tower of :func:`clip_model`, (b, L) tokens to (b, dimension) (Fig. 7, 8: CLIP's transformer, stated)."""
    model, features = clip_model(name, weights)
    return with_head(TextTower(model.requires_grad_(True)), features, dimension)


def split_resnet(model: nn.Module, last: str) -> tuple[nn.Sequential, nn.Sequential]:
    """The two parts of a torchvision ResNet with a head, cut behind its layer ``last``; the layers keep their names."""
    layers = dict(model.backbone.named_children())
    del layers["fc"]
    layers["flatten"] = nn.Flatten()
    names = list(layers)
    cut = names.index("flatten" if last == "layer4" else last) + 1  # the mean over layer4 needs no training either
    first, rest = (
        nn.Sequential(OrderedDict((name, layers[name]) for name in part)) for part in (names[:cut], names[cut:])
    )
    return first, nn.Sequential(OrderedDict(backbone=rest, head=model.head))

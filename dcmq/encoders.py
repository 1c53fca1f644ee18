"""Encoders by name: a ``backbone``, perhaps pretrained, and a new linear ``head`` that ends in D numbers."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and sd of the pictures a backbone was trained on
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def with_head(backbone: nn.Module, features: int, dimension: int) -> nn.Sequential:
    """``backbone`` (whose own last layer is gone) and a new linear layer from its ``features`` to ``dimension``."""
    return nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(features, dimension)))


def small_resnet() -> tuple[nn.Module, int]:
    """Two residual blocks, 48 and 96 channels, for pictures of about 32 pixels (ours: trains in seconds on a CPU)."""

    def block(narrow: int, wide: int) -> BasicBlock:
        skip = nn.Sequential(nn.Conv2d(narrow, wide, 1, 2, bias=False), nn.BatchNorm2d(wide))
        return BasicBlock(narrow, wide, 2, skip)

    layers = nn.Sequential(
        nn.Conv2d(3, 24, 5, 4, 2, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        block(24, 48),
        block(48, 96),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return layers, 96


def small_convnet() -> tuple[nn.Module, int]:
    """Three plain convolutions and a wide linear layer, AlexNet's manner without skips or batch statistics (ours)."""
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 5, 2, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 96, 3, 1, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(96 * 4, 256),
        nn.ReLU(inplace=True),
    )
    return layers, 256


def small_vit(size: int) -> tuple[nn.Module, int]:
    """torchvision's vision transformer, 3 layers of 96 on patches an eighth of the picture wide (ours)."""
    model = torchvision.models.VisionTransformer(
        image_size=size // 8 * 8, patch_size=size // 8, num_layers=3, num_heads=3, hidden_dim=96, mlp_dim=192
    )
    model.heads = nn.Identity()
    return model, 96


def _untrained(name: str, make: Callable[[int], tuple[nn.Module, int]]) -> Callable[..., nn.Module]:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        if weights:
            raise DcmqError(f"backbone_weights: {name} has no pretrained weights; leave it empty or choose resnet18")
        return with_head(*make(size), dimension)

    return build


def _torchvision(name: str, last: str) -> Callable[..., nn.Module]:
    """``last``: the layer that torchvision's model classifies with, as a dotted name."""

    def build(dimension: int, size: int, weights: str) -> nn.Module:
        make = getattr(torchvision.models, name)
        if weights == "imagenet":
            try:
                model = make(weights="IMAGENET1K_V1")
            except (URLError, OSError) as error:
                file = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url.rpartition("/")[2]
                folder = Path(torch.hub.get_dir()) / "checkpoints"
                raise DcmqError(
                    f"cannot fetch torchvision's {file} ({error}): put the file into {folder}, "
                    "or give a local file as backbone_weights"
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


def load_state(model: nn.Module, file: str, what: str, optional: str = "") -> None:
    """Read a state_dict file into ``model``; entries of the layer ``optional`` may be absent, as in backbones alone.

    Raises:
        DcmqError: no such file, or one that does not fit.
    """
    try:
        state = torch.load(Path(file).expanduser(), map_location="cpu", weights_only=True)
        missing, unexpected = model.load_state_dict(state, strict=False)
        wrong = [k for k in missing if not (optional and k.startswith(optional + "."))] + list(unexpected)
        if wrong:
            raise ValueError(f"{len(wrong)} entries do not fit, {wrong[0]} first")
    except FileNotFoundError:
        raise DcmqError(f"backbone_weights: no file {file}") from None
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise DcmqError(f"backbone_weights: {file} is no {what} state_dict ({reason})") from None


def _timm(name: str) -> Callable[..., nn.Module]:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        import timm  # seconds, which only its users should wait

        if not timm.is_model(name):
            raise DcmqError(f"image_encoder: timm has no model {name!r}; see timm.list_models()")
        options = {"img_size": size} if "vit" in name or "deit" in name else {}
        try:
            model = timm.create_model(name, pretrained=weights == "imagenet", num_classes=0, **options)
        except Exception as error:  # the hub's client raises many kinds
            reason = str(error).splitlines()[0]
            raise DcmqError(
                f"cannot fetch timm's {name} ({reason}): give a local state_dict file as backbone_weights"
            ) from None
        if weights not in ("", "imagenet"):
            load_state(model, weights, f"timm {name}")
        return with_head(model, model.num_features, dimension)

    return build


def tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """What makes (n, L) tokens of n texts for the text encoder ``name``, ``small_clip`` or ``open_clip:ARCH``."""
    if name == "small_clip":
        from dcmq.teachers.scenes_clip import load_bundled

        return load_bundled("clip")[1]
    import open_clip  # takes seconds, which only its users should wait

    return open_clip.get_tokenizer(_architecture(name))


def _architecture(name: str) -> str:
    import open_clip

    kind, _, architecture = name.partition(":")
    if kind != "open_clip" or architecture not in open_clip.list_models():
        raise DcmqError(
            f"encoder: {name!r} is not known; choose small_clip or open_clip:ARCH (open_clip.list_models())"
        )
    return architecture


def dual_encoder(name: str, weights: str) -> tuple[nn.Module, int]:
    """An open_clip model with both its towers, and the length of its embeddings.

    Args:
        name: ``small_clip`` (the shape of the bundled teachers) or ``open_clip:ARCH``.
        weights: ``""`` random; for ``small_clip`` a bundled teacher (``clip``, ``clip-wide``); else a tag of open_clip
            (``openai``) or a checkpoint file.

    Raises:
        DcmqError: unknown architecture, or weights that cannot be had.
    """
    if name == "small_clip":
        from dcmq.teachers.scenes_clip import build_model, EMBEDDING, FILES, load_bundled

        if weights not in ("", *FILES):
            raise DcmqError(
                f"weights: {weights!r} is no bundled teacher; choose {' or '.join(FILES)}, or leave it empty"
            )
        model, words = load_bundled(weights or "clip")
        return (model if weights else build_model(words.vocabulary_size)), EMBEDDING
    import open_clip

    architecture = _architecture(name)
    if weights:
        from dcmq.teachers.openclip import OpenClip

        checkpoint = weights if is_published(weights) else Path(weights).expanduser().resolve()
        model = OpenClip(f"{architecture}/{checkpoint}").model.cpu()
    else:
        model = open_clip.create_model(architecture)
    return model, open_clip.get_model_config(architecture)["embed_dim"]


class TextTower(nn.Module):
    """The text half of an open_clip model: (b, L) tokens to (b, d)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        del model.visual
        model.logit_scale.requires_grad_(False)
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        return self.model.encode_text(tokens)


def _clip_image(name: str) -> Callable[..., nn.Module]:
    def build(dimension: int, size: int, weights: str) -> nn.Module:
        model, features = dual_encoder(name, weights)
        wanted = int(np.ravel(model.visual.image_size)[0])
        if wanted != size:
            raise DcmqError(f"image_size: {name} reads {wanted} pixels a side, not {size}")
        return with_head(model.visual.requires_grad_(True), features, dimension)

    return build


IMAGE_ENCODERS = {
    "small_resnet": _untrained("small_resnet", lambda size: small_resnet()),
    "small_convnet": _untrained("small_convnet", lambda size: small_convnet()),
    "small_vit": _untrained("small_vit", small_vit),
    "small_clip": _clip_image("small_clip"),
    "alexnet": _torchvision("alexnet", "classifier.6"),
    "resnet18": _torchvision("resnet18", "fc"),
    "resnet50": _torchvision("resnet50", "fc"),
    "vit_b_32": _torchvision("vit_b_32", "heads.head"),
}
_KNOWN = f"{', '.join(IMAGE_ENCODERS)}, timm:NAME, open_clip:ARCH"


def image_encoder(name: str, dimension: int, size: int, weights: str = "") -> nn.Module:
    """(b, 3, size, size) normalised pictures to (b, dimension).

    Args:
        name: one of :data:`IMAGE_ENCODERS`, ``timm:NAME`` or ``open_clip:ARCH``.
        weights: ``""`` random; ``imagenet``, the library's own; a state_dict file; for ``small_clip`` a bundled teacher;
            for ``open_clip:`` a tag or a checkpoint file.

    Raises:
        DcmqError: unknown name, or weights that cannot be had or do not fit.
    """
    if name in IMAGE_ENCODERS:
        return IMAGE_ENCODERS[name](dimension, size, weights)
    kind, _, rest = name.partition(":")
    if kind == "timm" and rest:
        return _timm(rest)(dimension, size, weights)
    if kind == "open_clip" and rest:
        return _clip_image(name)(dimension, size, weights)
    raise DcmqError(f"image_encoder: {name!r} is not known (known: {_KNOWN})")


def pixel_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in [0, 1], of the pictures that the encoder's weights were trained on."""
    return HALF if name == "small_clip" else OPENAI if name.startswith("open_clip:") else IMAGENET


def text_mlp(inputs: int, hidden: tuple[int, int], dimension: int) -> nn.Module:
    """Three linear layers with ReLU between, on a bag of words (depth stated, widths unknown)."""
    first, second = hidden
    return nn.Sequential(
        nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, dimension)
    )


def text_transformer(name: str, dimension: int, weights: str = "") -> nn.Module:
    """The text tower of :func:`dual_encoder`, (b, L) tokens to (b, dimension) (Fig. 7, 8: CLIP's transformer, stated)."""
    model, features = dual_encoder(name, weights)
    return with_head(TextTower(model.requires_grad_(True)), features, dimension)


def is_published(weights: str) -> bool:
    """Whether ``weights`` is a name (``imagenet``, ``clip``, ``openai``) rather than a file."""
    return "/" not in weights and "." not in weights


def weights_fingerprint(weights: str) -> str:
    """Identifies weights: a file by its content, wherever it lies, a bundled teacher too; anything else by its name.

    Raises:
        DcmqError: the file is not there.
    """
    from dcmq.teachers.scenes_clip import bundled_file, FILES

    if weights in FILES:
        return digest(bundled_file(weights).read_bytes())
    if is_published(weights):
        return weights
    try:
        return digest(Path(weights).expanduser().read_bytes())
    except OSError:
        raise DcmqError(f"backbone_weights: no file {weights}; give a state_dict file, or imagenet") from None


def split_resnet(model: nn.Module, last: str) -> tuple[nn.Sequential, nn.Sequential]:
    """A torchvision ResNet with a head, cut behind its layer ``last``; the parts keep the layers' names."""
    layers = dict(model.backbone.named_children())
    del layers["fc"]
    layers["flatten"] = nn.Flatten()
    names = list(layers)
    cut = names.index("flatten" if last == "layer4" else last) + 1  # the mean over layer4 needs no training either
    first, rest = (
        nn.Sequential(OrderedDict((name, layers[name]) for name in part)) for part in (names[:cut], names[cut:])
    )
    return first, nn.Sequential(OrderedDict(backbone=rest, head=model.head))

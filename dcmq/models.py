"""The student: an image encoder and a text encoder into one space, and the quantiser they share."""

from collections import OrderedDict
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from dcmq.config import StudentConfig
from dcmq.data.pictures import resized
from dcmq.errors import DcmqError
from dcmq.quantizer import ProductQuantizer
from dcmq.storage import digest

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the pretrained backbones expect


class SmallResNet(nn.Sequential):
    """Two residual blocks, 48 and 96 channels, for pictures of about 32 pixels (ours: trains in seconds on a CPU)."""

    def __init__(self, dimension: int):
        def block(narrow: int, wide: int) -> BasicBlock:
            skip = nn.Sequential(nn.Conv2d(narrow, wide, 1, 2, bias=False), nn.BatchNorm2d(wide))
            return BasicBlock(narrow, wide, 2, skip)

        super().__init__(
            nn.Conv2d(3, 24, 5, 4, 2, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(inplace=True),
            block(24, 48),
            block(48, 96),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(96, dimension),
        )


def resnet18(dimension: int, weights: str = "") -> nn.Module:
    """torchvision's ResNet-18 with its last layer replaced by one to ``dimension`` (the paper's image student).

    Args:
        weights: ``""`` random, ``imagenet`` torchvision's own, or a file with a torchvision state_dict.

    Raises:
        DcmqError: weights that cannot be fetched, or a file that is no ResNet-18.
    """
    if weights == "imagenet":
        try:
            model = torchvision.models.resnet18(weights="IMAGENET1K_V1")
        except (URLError, OSError) as error:
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            raise DcmqError(
                f"cannot fetch torchvision's resnet18-f37072fd.pth ({error}): put the file into {folder}, "
                "or give a local file as backbone_weights"
            ) from None
    else:
        model = torchvision.models.resnet18()
        if weights:
            try:
                state = torch.load(Path(weights).expanduser(), map_location="cpu", weights_only=True)
                model.load_state_dict(state)
            except FileNotFoundError:
                raise DcmqError(f"backbone_weights: no file {weights}") from None
            except Exception as error:
                reason = str(error).splitlines()[0]
                raise DcmqError(
                    f"backbone_weights: {weights} is no torchvision resnet18 state_dict ({reason})"
                ) from None
    model.fc = nn.Linear(model.fc.in_features, dimension)
    return model


def backbone_fingerprint(weights: str) -> str:
    """Identifies ``backbone_weights``: a file by its content, wherever it lies; anything else by its name.

    Raises:
        DcmqError: the file is not there.
    """
    if weights in ("", "imagenet"):
        return weights
    try:
        return digest(Path(weights).expanduser().read_bytes())
    except OSError:
        raise DcmqError(f"backbone_weights: no file {weights}; give a state_dict file, or imagenet") from None


def small_resnet(dimension: int, weights: str = "") -> nn.Module:
    """:class:`SmallResNet`; there are no pretrained weights for it."""
    if weights:
        raise DcmqError("backbone_weights: small_resnet has no pretrained weights; leave it empty or choose resnet18")
    return SmallResNet(dimension)


IMAGE_ENCODERS = {"resnet18": resnet18, "small_resnet": small_resnet}


def split_resnet(model: nn.Module, last: str) -> tuple[nn.Sequential, nn.Sequential]:
    """A torchvision ResNet cut behind the layer ``last``, its children keeping their names."""
    layers = dict(model.named_children())
    layers = {name: layer for name, layer in layers.items() if name != "fc"} | {"flatten": nn.Flatten(), "fc": model.fc}
    names = list(layers)
    cut = names.index("flatten" if last == "layer4" else last) + 1  # the mean over layer4 needs no training either
    parts = ({name: layers[name] for name in part} for part in (names[:cut], names[cut:]))
    return tuple(nn.Sequential(OrderedDict(part)) for part in parts)


def text_mlp(inputs: int, hidden: tuple[int, int], dimension: int) -> nn.Module:
    """Three linear layers with ReLU between, on a bag of words (depth stated, widths unknown)."""
    first, second = hidden
    return nn.Sequential(
        nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, dimension)
    )


class Student(nn.Module):
    """Image encoder, text encoder and shared codebooks (stated); D = ``length`` * M (ours).

    Args:
        config: architecture and quantiser. With ``config.frozen`` the first layers never change (ours).
        words: length of the bag-of-words input.
    """

    def __init__(self, config: StudentConfig, words: int):
        super().__init__()
        dimension = config.books * config.subvector_length
        self.config = config
        self.frozen: nn.Module = nn.Identity()
        self.image_encoder = IMAGE_ENCODERS[config.image_encoder](dimension, config.backbone_weights)
        if config.frozen:
            self.frozen, self.image_encoder = split_resnet(self.image_encoder, config.frozen)
            self.frozen.requires_grad_(False)
        self.text_encoder = text_mlp(words, config.text_hidden, dimension)
        self.quantizer = ProductQuantizer(
            config.books,
            config.codewords,
            config.subvector_length,
            tau_q=config.tau_q,
            tau_g=config.tau_g,
            gumbel_weight=config.gumbel_weight,
            gumbel_form=config.gumbel_form,
            normalise_subvectors=config.normalise_subvectors,
        )
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def train(self, mode: bool = True) -> "Student":
        """As everywhere, but frozen layers stay in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def frozen_outputs(self, images: Tensor) -> Tensor:
        """(b, H, W, 3) uint8 pictures, resized to ``config.image_size``, normalised and through the frozen layers."""
        return self.frozen(self._normalised(images))

    def _normalised(self, images: Tensor) -> Tensor:
        x = resized(images, self.config.image_size).permute(0, 3, 1, 2).float()
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def embed_images(self, images: Tensor) -> Tensor:
        """(b, H, W, 3) uint8 pictures, or what :meth:`frozen_outputs` made of them (any float), to (b, D) float32."""
        x = self.frozen_outputs(images) if images.dtype == torch.uint8 else images.float()
        return self.quantizer.embedding(self.image_encoder(x))

    def embed_texts(self, bow: Tensor) -> Tensor:
        """(b, V) 0/1 bags of words to (b, D) float32."""
        return self.quantizer.embedding(self.text_encoder(bow))

    def forward(
        self, images: Tensor, bow: Tensor, image_noise: Tensor | None = None, text_noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Continuous and quantised embeddings, image then text, each (b, D) float32; noise (b, M, K) as in Eq. 5."""
        image, text = self.embed_images(images), self.embed_texts(bow)
        return image, self.quantizer(image, image_noise), text, self.quantizer(text, text_noise)

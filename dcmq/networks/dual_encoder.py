"""An image encoder and a text encoder into one space: what all trained methods share."""

import torch
from torch import Tensor, nn

from dcmq.config import EncodersConfig
from dcmq.data.resize import resize
from dcmq.networks.encoders import image_encoder, split_resnet, text_mlp, text_transformer


class DualEncoder(nn.Module):
    """An image encoder and a text encoder into one space of ``dimension`` numbers: what all trained methods share.

    Args:
        config: architecture. With ``config.frozen`` the first layers never change (ours).
        vocab_size: length of the bag-of-words input, which only the MLP reads.
        dimension: length of an embedding.
    """

    def __init__(self, config: EncodersConfig, vocab_size: int, dimension: int):
        super().__init__()
        self.config = config
        self.frozen: nn.Module = nn.Identity()
        self.image_encoder = image_encoder(config.image_encoder, dimension, config.image_size, config.backbone_weights)
        mean, std = self.image_encoder.pixels
        if config.frozen:
            self.frozen, self.image_encoder = split_resnet(self.image_encoder, config.frozen)
            self.frozen.requires_grad_(False)
        if config.text_encoder == "mlp":
            self.text_encoder = text_mlp(vocab_size, config.text_hidden, dimension)
        else:
            self.text_encoder = text_transformer(config.text_encoder, dimension, config.text_weights)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def train(self, mode: bool = True) -> "DualEncoder":
        """Switch to training, or with ``mode`` False to evaluation; frozen layers stay in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def is_pretrained(self, name: str) -> bool:
        """True where the parameter ``name`` started from weights that somebody else trained."""
        return (bool(self.config.backbone_weights) and name.startswith("image_encoder.backbone.")) or (
            bool(self.config.text_weights) and name.startswith("text_encoder.backbone.")
        )

    def frozen_outputs(self, images: Tensor) -> Tensor:
        """The outputs of the frozen layers for (b, H, W, 3) uint8 images, resized to ``config.image_size`` and
        normalized; without frozen layers, the normalized images (b, 3, size, size) themselves."""
        return self.frozen(self._normalized(images))

    def _normalized(self, images: Tensor) -> Tensor:
        x = resize(images, self.config.image_size).permute(0, 3, 1, 2).float()
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _trained_inputs(self, images: Tensor) -> Tensor:
        return self.frozen_outputs(images) if images.dtype == torch.uint8 else images.float()

    def image_features(self, images: Tensor) -> Tensor:
        """The (b, F) float32 features that :meth:`encode_images` computes before its last layer."""
        return self.image_encoder.backbone(self._trained_inputs(images)).float()

    def encode_images(self, images: Tensor) -> Tensor:
        """Encode (b, H, W, 3) uint8 images, or outputs of :meth:`frozen_outputs` (any float), to (b, D) float32."""
        return self.image_encoder(self._trained_inputs(images)).float()

    def encode_texts(self, texts: Tensor) -> Tensor:
        """Encode (b, V) 0/1 bags of words, or (b, L) tokens where the text encoder is a transformer, to (b, D)
        float32."""
        return self.text_encoder(texts).float()

"""What the teachers that run a torch model have in common: device, precision, fingerprint."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dcmq.core.hashing import digest
from dcmq.teachers.base import Encoder, l2_normalize


class Network(Encoder):
    """A model with the transform of its images: float32 on a CPU, where half precision is slow, and float16 on a GPU.

    float16 rather than bfloat16: the weights of most teachers were published in it, and cosines keep their third
    decimal.

    Args:
        name: the teacher's name as the user wrote it.
        model_name: the model and its checkpoint, for the description.
        transform: an image to the tensor that the model reads.
        facts: what else the embeddings depend on, for the fingerprint: activation, tokenizer.
    """

    stored = torch.float16

    def __init__(
        self, name: str, model_name: str, model: nn.Module, transform: Callable[[Image.Image], Tensor], *facts: str
    ):
        self.name = name
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = torch.float16 if self.device.type == "cuda" else torch.float32
        self.model = model.eval().requires_grad_(False).to(self.device)
        self.transform = transform
        self.parameters = sum(p.numel() for p in model.parameters())
        weights = (v for _, v in sorted(model.state_dict().items()))
        self.fingerprint = digest(*weights, str(transform), *facts, str(self.precision))
        self.description = f"{model_name}, {self.parameters:,} parameters, {self.fingerprint}"

    @property
    def network(self) -> nn.Module:
        """The torch model that it runs."""
        return self.model

    @abstractmethod
    def image_features(self, batch: Tensor) -> Tensor:
        """Encode (b, 3, h, w) transformed images to (b, d)."""

    @abstractmethod
    def text_features(self, texts: list[str]) -> Tensor:
        """Encode b sentences to (b, d)."""

    @torch.inference_mode()
    def encode_images(self, images: np.ndarray):
        """Encode (b, H, W, 3) uint8 images to (b, d) unit vectors on the CPU."""
        batch = torch.stack([self.transform(Image.fromarray(image)) for image in images]).to(self.device)
        with self._half():
            return l2_normalize(self.image_features(batch)).cpu().clone()

    @torch.inference_mode()
    def encode_texts(self, texts):
        """Encode b sentences to (b, d) unit vectors on the CPU."""
        with self._half():
            return l2_normalize(self.text_features(texts)).cpu().clone()

    def _half(self):
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

"""DCMQ's student: two encoders, and codebooks that both share (§3.3, stated) or of which each has its own (ours)."""

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, under
from dcmq.methods.dcmq.quantizer import QUANTIZERS, ProductQuantizer
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.training.seeds import seeded


class Student(DualEncoder):
    """DCMQ's student: the encoders and the codebooks that both share (stated); D = ``subvector_dim`` * M (ours).

    With ``config.codebooks`` ``per-modality`` (ours) images and texts have each a quantizer. Both start alike, as the shared one
    of the same seed does, so that only training tells them apart.

    Raises:
        DcmqError: the quantizer that ``config`` names is not registered.
    """

    def __init__(self, config: StudentConfig, vocab_size: int):
        super().__init__(config, vocab_size, config.num_codebooks * config.subvector_dim)
        quantizer = QUANTIZERS[config.quantizer](
            config.num_codebooks,
            config.num_codewords,
            config.subvector_dim,
            tau_q=config.tau_q,
            tau_g=config.tau_g,
            gumbel_weight=config.gumbel_weight,
            gumbel_form=config.gumbel_form,
            normalize_subvectors=config.normalize_subvectors,
            scale=config.codebook_scale,
        )
        if config.codebooks == "shared":
            self.quantizer = quantizer
        else:
            self.image_quantizer, self.text_quantizer = quantizer, deepcopy(quantizer)

    def __getattr__(self, name: str):
        """The attribute that :class:`torch.nn.Module` finds; but where there is no single quantizer, who asks for it is told so in one line."""
        if name == "quantizer" and self.config.codebooks != "shared":
            raise DcmqError(
                "codebooks: this student has a set for images and one for texts (codebooks=per-modality), and search, export "
                "and the explorer need one that both share: train with codebooks=shared"
            )
        return super().__getattr__(name)

    @property
    def codebooks(self) -> Tensor:
        """The codewords (M, K, D / M) as a loss sees them; of a set for each modality both, images' first: (2 M, K, D / M)."""
        if self.config.codebooks == "shared":
            return self.quantizer.codebooks
        return torch.cat([self.image_quantizer.codebooks, self.text_quantizer.codebooks])

    def quantizer_of(self, modality: str) -> ProductQuantizer:
        """The quantizer whose codebooks a gallery of ``modality``, ``image`` or ``text``, is coded with."""
        return self.quantizer if self.config.codebooks == "shared" else getattr(self, f"{modality}_quantizer")

    def encode_images(self, images: Tensor) -> Tensor:
        """(b, H, W, 3) uint8 images to (b, D) float32 embeddings as training compares them."""
        return self.quantizer_of("image").embedding(super().encode_images(images))

    def encode_texts(self, texts: Tensor) -> Tensor:
        """(b, V) 0/1 bags of words, or (b, L) tokens, to (b, D) float32 embeddings as training compares them."""
        return self.quantizer_of("text").embedding(super().encode_texts(texts))

    def forward(
        self,
        images: Tensor,
        texts: Tensor,
        image_noise: Tensor | None = None,
        text_noise: Tensor | None = None,
        part: str = "all",
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Continuous and quantized embeddings, image then text, each (b, D) float32; noise (b, M, K) as in Eq. 5.

        ``part``: the part that gradients of the result reach. ``encoders`` leaves the quantizer out: the quantized embeddings are
        the continuous ones. ``codebooks`` leaves the encoders as they are.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and part != "codebooks"):
            image, text = self.encode_images(images), self.encode_texts(texts)
        if part == "encoders":
            return image, image, text, text
        image_quantizer, text_quantizer = self.quantizer_of("image"), self.quantizer_of("text")
        return image, image_quantizer(image, image_noise), text, text_quantizer(text, text_noise)


def make_student(config: TrainConfig, vocab_size: int) -> Student:
    """DCMQ's student before training; its weights depend on ``config.seed`` only."""
    return seeded(config.seed, lambda: Student(config.student, vocab_size))


def load_student(config: TrainConfig, vocab_size: int, checkpoint: Path, key: str = "") -> Student:
    """The trained student of a finished run, in eval mode.

    Args:
        key: the run's, which its checkpoint has to have; empty for a file that is no run's.

    Raises:
        DcmqError: the file is damaged, or of another run.
    """
    tensors, meta = load_tensors(checkpoint)
    if key and meta.get("key") != key:
        raise DcmqError(f"{checkpoint} belongs to run {meta.get('key')}, not to {key}: delete it, and run the notebook again")
    student = Student(config.student.model_copy(update={"backbone_weights": "", "text_weights": ""}), vocab_size)
    student.load_state_dict(under(tensors, "model."))
    return student.eval()

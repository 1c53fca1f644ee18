"""CMHH (Cao, Liu, Long, Wang, ECCV 2018): a focal likelihood of pairs under an exponential of the Hamming distance."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.methods.base import RECONSTRUCTION
from dcmq.methods.hashing import HashTrainer, TanhEncoder, register_hashing
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.training.seeds import seeded

SMALLEST = 1e-4  # of a distance: keeps log(1 - exp(-beta d)) and its gradient finite


def hamming_surrogate(x: Tensor, y: Tensor) -> Tensor:
    """(a, b) distances c / 2 * (1 - cos), the Hamming distance where (a, c) and (b, c) hold signs; at least SMALLEST."""
    cosine = F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    return (x.shape[1] / 2 * (1 - cosine)).clamp_min(SMALLEST)


def focal_loss(distance: Tensor, similar: Tensor, beta: float, gamma: float) -> Tensor:
    """Mean over pairs of the class-weighted focal likelihood with P(similar) = exp(-beta * distance).

    Similar pairs weigh (pairs / similar pairs), the others (pairs / other pairs); a kind that is absent weighs nothing.
    """
    log_p = -beta * distance
    log_not = torch.log(-torch.expm1(log_p))
    p = log_p.exp()
    positives, pairs = similar.sum(), similar.numel()
    weight_1, weight_0 = pairs / positives.clamp_min(1), pairs / (pairs - positives).clamp_min(1)
    of_similar = weight_1 * similar * (1 - p) ** gamma * log_p
    of_others = weight_0 * (1 - similar) * p**gamma * log_not
    return -(of_similar + of_others).mean()


def quantization_loss(x: Tensor, beta: float) -> Tensor:
    """Mean of ``beta * d(|x|, 1)`` over (b, c) outputs: 0 where every output has the same size."""
    ones = torch.ones(1, x.shape[1], device=x.device)
    return beta * hamming_surrogate(x.abs(), ones).mean()


@register_hashing(
    "CMHH",
    reference="Cao, Liu, Long, Wang, ECCV 2018",
    fidelity=RECONSTRUCTION,
    note="no official code and no published hyper-parameters: beta = 2 sharpness / bits, focal power and weights are ours",
    options={"sharpness": 1.0, "gamma": 2.0, "quantization": 0.1},
)
class Trainer(HashTrainer):
    """Pairs of an image and a text of one batch; tanh outputs."""

    def make_network(self) -> DualEncoder:
        """Encoders whose outputs are squashed to (-1, 1)."""
        config, vocab_size = self.config, self.dataset.bow.shape[1]
        return seeded(config.seed, lambda: TanhEncoder(config.student, vocab_size, config.student.bits))

    def loss(self, rows: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The focal likelihood of all pairs of the batch, and how far the outputs are from signs."""
        beta = (
            2 * self.options["sharpness"] / image.shape[1]
        )  # so that the farthest half of all codes is alike at any c
        weight = self.options["quantization"] / 2
        return {
            "focal": focal_loss(hamming_surrogate(image, text), self.similar(rows), beta, self.options["gamma"]),
            "quantization": weight * (quantization_loss(image, beta) + quantization_loss(text, beta)),
        }

"""CMMQ (Yang, Yao, Liu, Deng, CVPR 2022), reconstructed: class proxies in Hamming space, small losses kept, two modalities
that must agree bit by bit. No code was released and the full text was not at hand; every formula here is a reconstruction
from its abstract and from what later papers say of it.
"""

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.nn import functional as F

from dcmq.core.errors import DcmqError
from dcmq.methods.base import RECONSTRUCTION
from dcmq.methods.hashing import HashTrainer, register_hashing

TRIES = 1000


def class_proxies(classes: int, bits: int, seed: int = 0) -> Tensor:
    """(C, c) of -1 and 1: rows of [H; -H], H the Hadamard matrix; if C > 2c, random rows with as many ones as minus ones
    are added, each the first drawn that differs from all before it in at least a quarter of the bits.

    Raises:
        DcmqError: bits that are no power of two, or too many classes for so few bits.
    """
    if bits < 2 or bits & (bits - 1):
        raise DcmqError(
            f"bits: CMMQ's proxies need a Hadamard matrix, and {bits} is no power of two; take 16, 32, 64 or 128"
        )
    matrix = hadamard(bits)
    rows = np.concatenate([matrix, -matrix])[:classes]
    generator = np.random.default_rng(seed)
    half = np.repeat([1, -1], bits // 2)
    while len(rows) < classes:
        drawn = generator.permuted(np.tile(half, (TRIES, 1)), axis=1)
        apart = (bits - np.abs(drawn @ rows.T).max(1)) / 2 >= bits / 4
        if not apart.any():
            raise DcmqError(f"bits: {bits} bits cannot keep {classes} classes apart; take more bits")
        rows = np.concatenate([rows, drawn[apart.argmax()][None]])
    return torch.from_numpy(rows).float()


def sample_targets(labels: Tensor, proxies: Tensor, seed: int = 0) -> Tensor:
    """(n, c) of -1 and 1: the sign of the sum of each sample's proxies; where that is 0, one vector drawn for all."""
    total = labels.float() @ proxies
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 2, (proxies.shape[1],), generator=generator).float() * 2 - 1
    return torch.where(total == 0, drawn.to(total.device), torch.sign(total))


def proxy_loss(x: Tensor, target: Tensor) -> Tensor:
    """(b,) sum over bits of the cross-entropy between (1 + tanh x) / 2 and the 0/1 form of (b, c) ``target``."""
    # (1 + tanh x) / 2 is the logistic function of 2x, whose logarithm is stable.
    return F.binary_cross_entropy_with_logits(2 * x, (1 + target) / 2, reduction="none").sum(1)


def mutual_loss(image: Tensor, text: Tensor) -> Tensor:
    """(b,) sum over bits of the symmetric KL divergence of the two modalities' Bernoulli predictions, sigmoid(x)."""
    p, q = torch.sigmoid(image), torch.sigmoid(text)
    # KL(p||q) + KL(q||p) of two Bernoulli variables is (p - q) (logit p - logit q).
    return ((p - q) * (image - text)).sum(1) / 2


def kept_share(epoch: int, noise_rate: float, ramp: int = 10) -> float:
    """R(t), the share of a batch that is kept: falls from 1 to 1 - noise_rate over ``ramp`` epochs."""
    return 1 - noise_rate * min(1.0, (epoch + 1) / ramp)


def small_loss_mean(losses: Tensor, share: float) -> Tensor:
    """Mean of the smallest ``share`` of (b,) losses, at least one."""
    return losses.sort().values[: max(1, round(share * len(losses)))].mean()


@register_hashing(
    "CMMQ",
    reference="Yang, Yao, Liu, Deng, CVPR 2022",
    fidelity=RECONSTRUCTION,
    note="no code, full text not at hand: proxies, selection and mutual term rebuilt from descriptions; labels taken as clean",
    options={"mutual": 1.0, "noise_rate": 0.0},
)
class Trainer(HashTrainer):
    """Pairs of one batch against the proxies of their labels."""

    def prepare(self) -> None:
        """The proxies are fixed; nothing of them is learnt."""
        super().prepare()
        proxies = class_proxies(len(self.dataset.classes), self.config.student.bits).to(self.labels.device)
        self.targets = sample_targets(self.labels, proxies)

    def loss(self, rows: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The likelihood of the proxies and the disagreement of the modalities, over the samples with the smallest losses."""
        target = self.targets[rows.to(self.targets.device)]
        proxy = proxy_loss(image, target) + proxy_loss(text, target)
        mutual = self.options["mutual"] * mutual_loss(image, text)
        kept = kept_share(len(self.history), self.options["noise_rate"])
        return {"kept": small_loss_mean(proxy + mutual, kept)}

"""DCH-SCR (Liu et al., IEEE TMM 2023), inspired by: neither code nor full text was at hand.

From its abstract: similarity that mixes labels and features, and an alignment of rankings whose pull on each pair follows
NDCG. The formulas here are ours.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.methods.base import INSPIRED
from dcmq.methods.dcmq.targets import multihot
from dcmq.methods.hashing import HashTrainer, register_hashing, signs
from dcmq.networks.features import image_features
from dcmq.training.seeds import make_encoders


def ranks(scores: Tensor) -> Tensor:
    """(b, b) place of each entry in its row by falling score, 1 the best."""
    return scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1) + 1


def ndcg_weights(similarity: Tensor, cosine: Tensor) -> Tensor:
    """(b, b): gain 2^s - 1 of each pair times how far its discount is from the ideal one, over the row's ideal DCG."""
    gain = 2**similarity - 1
    ideal = 1 / torch.log2(1 + ranks(similarity).float())
    now = 1 / torch.log2(1 + ranks(cosine).float())
    return gain * (now - ideal).abs() / (gain * ideal).sum(1, keepdim=True).clamp_min(1e-12)


def ranking_loss(cosine: Tensor, similarity: Tensor, margin: float) -> Tensor:
    """Mean over rows i and pairs j, k with s_ij > s_ik of w_ij * max(0, margin * (s_ij - s_ik) - (cos_ij - cos_ik)).

    Args:
        cosine: (b, b) of one modality's codes (rows) with the other's. similarity: (b, b), the order that is wanted.
    """
    weight = ndcg_weights(similarity, cosine.detach())
    wanted = similarity[:, :, None] - similarity[:, None, :]
    short = (margin * wanted - (cosine[:, :, None] - cosine[:, None, :])).clamp_min(0)
    ordered = wanted > 0
    return (weight[:, :, None] * short * ordered).sum() / ordered.sum().clamp_min(1)


@register_hashing(
    "DCH-SCR",
    reference="Liu, Zeng, Shi, Zhu, Hsia, Ma, IEEE TMM 2023",
    fidelity=INSPIRED,
    note="neither code nor full text at hand: formulas are ours, after its abstract; not to be read as that paper's result",
    options={"labels": 0.8, "margin": 1.0, "quantization": 0.1},
)
class Trainer(HashTrainer):
    """Rankings within a batch, in both directions."""

    def prepare(self) -> None:
        """Centred features of the backbone's starting weights tell which images are alike."""
        super().prepare()
        network = make_encoders(self.config, self.dataset.bow.shape[1], self.config.student.bits)
        features = image_features(network, self.dataset)
        centred = features - features[torch.from_numpy(self.dataset.split.train)].mean(0)
        self.features = F.normalize(centred, dim=1)

    def loss(self, rows: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The ranking losses of both directions, and how far the outputs are from signs."""
        alike = self.features[rows].to(image.device)
        share = self.options["labels"]
        similarity = share * multihot(self.labels[rows.to(self.labels.device)]) + (1 - share) * (alike @ alike.T)
        own, other = torch.tanh(image), torch.tanh(text)
        cosine = F.normalize(own, dim=1) @ F.normalize(other, dim=1).T
        quantization = ((own - signs(own)).square().mean() + (other - signs(other)).square().mean()) / 2
        scale = len(rows)  # weights of a row sum to about 1, not to the number of its pairs
        return {
            "i2t": scale * ranking_loss(cosine, similarity, self.options["margin"]),
            "t2i": scale * ranking_loss(cosine.T, similarity.T, self.options["margin"]),
            "quantization": self.options["quantization"] * quantization,
        }

"""SSAH (Li, Deng, Li, Liu, Gao, Tao, CVPR 2018): a network on labels teaches both encoders, adversaries align them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcmq.config import EncodersConfig
from dcmq.methods.base import RECONSTRUCTION
from dcmq.methods.hashing import HashTrainer, pair_likelihood_loss, register_hashing, share_a_label, signs
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.networks.features import embed
from dcmq.training.optimizer import adam, adam_of
from dcmq.training.seeds import seeded

SEMANTIC = 512  # length of a feature


class Heads(nn.Module):
    """The layers behind a feature (b, 512): a hash output in (-1, 1) and logits of the labels."""

    def __init__(self, bits: int, classes: int):
        super().__init__()
        self.hash, self.label = nn.Linear(SEMANTIC, bits), nn.Linear(SEMANTIC, classes)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature, hash output and label logits."""
        return feature, torch.tanh(self.hash(feature)), self.label(feature)


class Encoders(DualEncoder):
    """Each encoder ends in a feature; embeddings are the hash outputs behind it."""

    def __init__(self, config: EncodersConfig, vocab_size: int, classes: int):
        super().__init__(config, vocab_size, SEMANTIC)
        self.image_heads, self.text_heads = Heads(config.bits, classes), Heads(config.bits, classes)

    def image_outputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature, hash output and label logits of images."""
        return self.image_heads(torch.tanh(super().encode_images(images)))

    def text_outputs(self, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature, hash output and label logits of texts."""
        return self.text_heads(torch.tanh(super().encode_texts(texts)))

    def encode_images(self, images: Tensor) -> Tensor:
        """(b, c) hash outputs."""
        return self.image_outputs(images)[1]

    def encode_texts(self, texts: Tensor) -> Tensor:
        """(b, c) hash outputs."""
        return self.text_outputs(texts)[1]


class LabelNetwork(nn.Module):
    """Multi-hot labels to a feature, a hash output and label logits; it is not used in search."""

    def __init__(self, classes: int, hidden: int, bits: int):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(classes, hidden), nn.ReLU(), nn.Linear(hidden, SEMANTIC), nn.Tanh())
        self.heads = Heads(bits, classes)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature (b, 512), hash output (b, c) and label logits (b, C) of (b, C) labels."""
        return self.heads(self.body(labels))


def discriminator() -> nn.Module:
    """(b, 512) features to (b, 1) logits: are they the label network's?"""
    return nn.Sequential(
        nn.Linear(SEMANTIC, SEMANTIC), nn.ReLU(), nn.Linear(SEMANTIC, 256), nn.ReLU(), nn.Linear(256, 1)
    )


def squared_pair_loss(theta: Tensor, similar: Tensor) -> Tensor:
    """Half the sum over pairs of ``(similar * theta - log(1 + exp(theta)))^2``, as the released code has it."""
    return (similar * theta - F.softplus(theta)).square().sum() / 2


def supervised_terms(
    outputs: tuple[Tensor, Tensor, Tensor],
    label_outputs: tuple[Tensor, Tensor],
    codes: Tensor,
    labels: Tensor,
    weights: dict[str, float],
) -> dict[str, Tensor]:
    """J1 to J4 of a batch, all divided by its number of pairs, b^2.

    Args:
        outputs: feature (b, 512), hash output (b, c) and label logits (b, C) of the network that learns.
        label_outputs: feature and hash output of the label network for the same samples.
        codes: B, (b, c) of -1 and 1. labels: (b, C) 0/1.
        weights: ``alpha``, ``gamma``, ``beta``, ``eta``; ``released``, whether pairs cost as in the released code.
    """
    feature, hashed, logits = outputs
    similar, pairs = share_a_label(labels, labels), len(labels) ** 2
    pair_loss = squared_pair_loss if weights["released"] else pair_likelihood_loss
    similar = 0.999 * similar if weights["released"] else similar
    return {
        "feature": weights["alpha"] * pair_loss(label_outputs[0] @ feature.T / 2, similar) / pairs,
        "hash": weights["gamma"] * pair_loss(label_outputs[1] @ hashed.T / 2, similar) / pairs,
        "quantization": weights["beta"] * (hashed - codes).square().sum() / pairs,
        "label": weights["eta"] * (torch.sigmoid(logits) - labels).square().sum() / pairs,
    }


class SharedCodes(nn.Module):
    """B, a row of -1 and 1 for every sample; only rows of train are used."""

    def __init__(self, samples: int, bits: int):
        super().__init__()
        self.register_buffer("signs", torch.zeros(samples, bits))


@register_hashing(
    "SSAH",
    reference="Li, Deng, Li, Liu, Gao, Tao, CVPR 2018",
    fidelity=RECONSTRUCTION,
    note="losses and weights as in the paper, adversary on live features; pairs within a batch; features end in tanh, "
    "because behind ReLU they died here; the adversary's weight is ours; released=1 computes what the released code does",
    options={
        "alpha": 1.0,
        "gamma": 1.0,
        "beta": 1e-4,
        "eta": 1e-4,
        "adversary": 0.01,
        "passes": 5,  # of the label network in an epoch; the released code: up to ten
        "label_rate": 1.0,  # its learning rate, as a factor
        "released": 0,
    },
)
class Trainer(HashTrainer):
    """Each epoch: B, the label network, both discriminators, the image encoder, the text encoder.

    All pass over train once, but for the label network, whose ``passes`` cost little.
    """

    def make_network(self) -> DualEncoder:
        """Encoders that end in a feature, with heads for hash outputs and labels."""
        vocab_size, classes = self.dataset.bow.shape[1], len(self.dataset.classes)
        return seeded(self.config.seed, lambda: Encoders(self.config.student, vocab_size, classes))

    def prepare(self) -> None:
        """Make the label network, the discriminators, and an optimizer for each of the four."""
        classes, student = len(self.dataset.classes), self.config.student

        def more() -> nn.ModuleDict:
            label = LabelNetwork(classes, student.text_hidden[0], student.bits)
            codes = SharedCodes(len(self.dataset.ids), student.bits)
            return nn.ModuleDict({"label": label, "image": discriminator(), "text": discriminator(), "codes": codes})

        self.helpers = seeded(self.config.seed + 1, more).to(self.fabric.device)
        self.state = nn.ModuleDict({"network": self.network, "helpers": self.helpers})
        discriminators = [*self.helpers["image"].parameters(), *self.helpers["text"].parameters()]
        label = {"params": list(self.helpers["label"].parameters()), "lr_factor": self.options["label_rate"]}
        self.optimizers = [
            adam_of([group], self.config) for group in (label, {"params": discriminators, "lr_factor": 1.0})
        ]
        self.optimizers += [adam(self.network, self.config, part=part) for part in ("image_", "text_")]

    def epoch(self, number: int) -> dict[str, float]:
        """New codes, then the passes of the label network, the discriminators and both encoders."""
        self._update_codes()
        self.network.train()
        steps = [("labels", 0, self._label_terms)] * int(self.options["passes"])
        if not self.options["released"]:  # there the discriminators cannot reach the encoders
            steps.append(("discriminators", 1, self._discriminator_terms))
        steps += [("image", 2, self._image_terms), ("text", 3, self._text_terms)]
        losses = {}
        for part, (name, place, terms) in enumerate(steps):
            found = self.each_batch(number, part, self.optimizers[place], terms)
            losses |= {f"{name} {term}": value for term, value in found.items()}
        return losses

    def _labels(self, rows: Tensor) -> Tensor:
        return self.labels[rows.to(self.labels.device)].float()

    @torch.no_grad()
    def _update_codes(self) -> None:
        """B: the sign of what all three networks say together."""
        train = self.dataset.split.train
        image, text = embed(self.network, self.dataset, train)
        label = self.helpers["label"](self._labels(torch.from_numpy(train)))[1].cpu()
        self.helpers["codes"].signs[torch.from_numpy(train)] = signs(image + text + label).to(self.labels.device)

    def _codes(self, rows: Tensor, hashed: Tensor) -> Tensor:
        """B of a batch; the released code takes the sign of the network's own output instead."""
        return signs(hashed.detach()) if self.options["released"] else self.helpers["codes"].signs[rows]

    def _label_terms(self, rows: Tensor, _) -> dict[str, Tensor]:
        labels = self._labels(rows)
        outputs = self.helpers["label"](labels)
        return supervised_terms(outputs, outputs[:2], self._codes(rows, outputs[1]), labels, self.options)

    def _discriminator_terms(self, rows: Tensor, images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            label = self.helpers["label"](self._labels(rows))[0]
            features = {
                "image": self.in_parts(self.network.image_outputs, images)[0],
                "text": self.in_parts(self.network.text_outputs, self.text_batch(rows))[0],
            }
        return {
            name: (_adversarial_loss(self.helpers[name], label, 1) + _adversarial_loss(self.helpers[name], feature, 0))
            / 2
            for name, feature in features.items()
        }

    def _image_terms(self, rows: Tensor, images: Tensor) -> dict[str, Tensor]:
        return self._encoder_terms("image", rows, self.in_parts(self.network.image_outputs, images))

    def _text_terms(self, rows: Tensor, _) -> dict[str, Tensor]:
        return self._encoder_terms("text", rows, self.in_parts(self.network.text_outputs, self.text_batch(rows)))

    def _encoder_terms(self, name: str, rows: Tensor, outputs) -> dict[str, Tensor]:
        labels = self._labels(rows)
        with torch.no_grad():
            label_outputs = self.helpers["label"](labels)[:2]
        terms = supervised_terms(outputs, label_outputs, self._codes(rows, outputs[1]), labels, self.options)
        if not self.options["released"]:  # the encoder wants its features taken for the label network's
            terms["adversary"] = self.options["adversary"] * _adversarial_loss(self.helpers[name], outputs[0], 1)
        return terms


def _adversarial_loss(network: nn.Module, feature: Tensor, truth: int) -> Tensor:
    logits = network(feature)
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))

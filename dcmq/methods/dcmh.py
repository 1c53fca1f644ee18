"""DCMH (Jiang and Li, CVPR 2017): pairwise likelihood of every batch against codes of the whole training set, in turn."""

import torch
from torch import Tensor, nn

from dcmq.methods.hashing import HashTrainer, pair_likelihood_loss, register_hashing, signs
from dcmq.training.optimizer import adam
from dcmq.training.seeds import seeded


def batch_terms(
    own: Tensor, others: Tensor, codes: Tensor, similar: Tensor, rest: Tensor, gamma: float, eta: float
) -> dict[str, Tensor]:
    """The parts of DCMH's objective that the outputs of a batch move, all divided by (n * b).

    Args:
        own: (b, c) outputs of the encoder that learns. others: (n, c), the other modality's buffer, fixed.
        codes: (b, c) of -1 and 1. similar: (b, n).
        rest: (c,) sum of the own buffer without the batch, so that ``rest + own.sum(0)`` is F 1.
    """
    size = len(own) * len(others)
    return {
        "likelihood": pair_likelihood_loss(own @ others.T / 2, similar) / size,
        "quantization": gamma * (codes - own).square().sum() / size,
        "balance": eta * (rest + own.sum(0)).square().sum() / size,
    }


class Buffers(nn.Module):
    """Outputs of both encoders for all of train, F and G (n, c), and the codes B they share, in rows of the data set."""

    def __init__(self, samples: int, bits: int):
        super().__init__()
        for name in ("image", "text"):
            self.register_buffer(name, torch.randn(samples, bits))
        self.register_buffer("codes", signs(self.image + self.text))


@register_hashing(
    "DCMH",
    reference="Jiang, Li, CVPR 2017",
    fidelity="adapted",
    note="objective and alternation as in both official codes; but Adam, the schedule and the epochs of all rows in place of SGD "
    "over 500, and eta, which is 1 there, is chosen by the search: at 1 it does not learn under Adam",
    options={"gamma": 1.0, "eta": 0.01},
)
class Trainer(HashTrainer):
    """Each epoch: the image encoder against G, the text encoder against F, then B = sign(F + G)."""

    def prepare(self) -> None:
        """Make an optimizer for each encoder, and the buffers, which are part of the run's state."""
        train, bits = self.dataset.split.train, self.config.student.bits
        self.train_rows = torch.from_numpy(train)
        self.place = torch.full((len(self.dataset.ids),), -1)
        self.place[self.train_rows] = torch.arange(len(train))
        self.buffers = seeded(self.config.seed, lambda: Buffers(len(train), bits)).to(self.fabric.device)
        self.state = nn.ModuleDict({"network": self.network, "train_buffers": self.buffers})
        self.optimizers = [adam(self.network, self.config, part=part) for part in ("image_encoder", "text_encoder")]

    def epoch(self, number: int) -> dict[str, float]:
        """One pass for the image encoder, one for the text encoder, then new codes."""
        self.network.train()
        losses = {}
        for part, name in enumerate(("image", "text")):
            terms = self.each_batch(number, part, self.optimizers[part], getattr(self, f"_{name}_terms"))
            losses |= {f"{name} {term}": value for term, value in terms.items()}
        self.buffers.codes.copy_(signs(self.buffers.image + self.buffers.text))
        return losses

    def _image_terms(self, rows: Tensor, images: Tensor) -> dict[str, Tensor]:
        own = self.in_parts(self.network.encode_images, images)
        return self._terms(rows, own, self.buffers.image, self.buffers.text)

    def _text_terms(self, rows: Tensor, _) -> dict[str, Tensor]:
        own = self.in_parts(self.network.encode_texts, self.text_batch(rows))
        return self._terms(rows, own, self.buffers.text, self.buffers.image)

    def _terms(self, rows: Tensor, own: Tensor, buffer: Tensor, others: Tensor) -> dict[str, Tensor]:
        place = self.place[rows].to(own.device)
        buffer[place] = own.detach()  # first the buffer, then the loss, as in the authors' code
        rest = buffer.sum(0) - own.detach().sum(0)
        similar = self.similar(rows, self.train_rows)
        return batch_terms(
            own, others, self.buffers.codes[place], similar, rest, self.options["gamma"], self.options["eta"]
        )

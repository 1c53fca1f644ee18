"""PQG, Product Quantization with Gumbel (Eq. 2-5): codebooks shared by both modalities, kept in use by noise.

A quantizer is a :class:`ProductQuantizer`, registered under the name by which the setting ``quantizer`` chooses it. It decides how
training sees codes. What is stored and how it is scored is the same for all (§3.5): the codeword of the largest cosine, and sums of
cosines.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dcmq.codes.assign import lookup_tables, unit_subvectors
from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry

GUMBEL_FORMS = ("raw", "scaled")
QUANTIZERS: Registry[type["ProductQuantizer"]] = Registry("quantizer")


def register_quantizer(given: type | str | None = None) -> Callable:
    """Registers a quantizer, a subclass of :class:`ProductQuantizer`: ``@register_quantizer`` under the name of the class,
    ``@register_quantizer("name")`` under another.

    Raises:
        DcmqError: the class is no such subclass.
    """

    def register(quantizer: type) -> type:
        if not (isinstance(quantizer, type) and issubclass(quantizer, ProductQuantizer)):
            raise DcmqError(
                f"quantizer: {getattr(quantizer, '__name__', quantizer)!r} is no class that builds on ProductQuantizer: "
                "search needs its codebooks, so derive yours from it and change weights()"
            )
        return QUANTIZERS.register(given if isinstance(given, str) else quantizer.__name__, quantizer)

    return register if given is None or isinstance(given, str) else register(given)


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Draws of Gumbel(0, 1), float32; the uniform draw is kept off 0 and 1, so every value is finite."""
    uniform = torch.rand(shape, generator=generator)
    tiny = torch.finfo(torch.float32).tiny
    return -torch.log((-torch.log(uniform.clamp(tiny, 1 - 2**-24))).clamp_min(tiny))


def soft_assignment(cosines: Tensor, tau_q: float) -> Tensor:
    """Eq. 4: softmax over the K codewords of (..., K) cosines divided by ``tau_q`` > 0."""
    return torch.softmax(cosines / tau_q, dim=-1)


def gumbel_assignment(cosines: Tensor, noise: Tensor, tau_g: float, tau_q: float, form: str = "raw") -> Tensor:
    """Eq. 5 on (..., K) cosines in one of two readings.

    ``raw`` is ``softmax((s + g) / tau_g)``, as printed. ``scaled`` is ``softmax((s / tau_q + g) / tau_g)`` (ours): raw
    cosines span 2 while Gumbel noise has a standard deviation of 1.28.

    Raises:
        ValueError: another form.
    """
    if form not in GUMBEL_FORMS:
        raise ValueError(f"form {form!r} is not one of {', '.join(GUMBEL_FORMS)}")
    logits = cosines if form == "raw" else cosines / tau_q
    return torch.softmax((logits + noise) / tau_g, dim=-1)


class ProductQuantizer(nn.Module):
    """M codebooks of K codewords, each D / M long; bits = M * log2 K.

    A subclass may override :meth:`weights`, how much of each codeword a sub-vector is made of in training, and
    :meth:`embedding`.

    Args:
        num_codebooks: M. num_codewords: K. subvector_dim: D / M.
        tau_q, tau_g: temperatures of the soft and the Gumbel assignment (inferred).
        gumbel_weight: lambda of Eq. 2 (stated: 1.0 on MIRFlickr and NUS-WIDE, 0.5 on MS COCO); 0 is PQ without noise.
        gumbel_form: reading of Eq. 5, ``raw`` or ``scaled``.
        normalize_subvectors: scale the sub-vectors of embeddings and codewords to length 1, so that the sum of
            sub-cosines used in search is M times the cosine used in training (ours).
        scale: factor on the initial codewords (ours); no cosine sees it, but the larger a codeword the slower it turns.
    """

    def __init__(
        self,
        num_codebooks: int,
        num_codewords: int,
        subvector_dim: int,
        *,
        tau_q: float = 0.2,
        tau_g: float = 1.0,
        gumbel_weight: float = 1.0,
        gumbel_form: str = "raw",
        normalize_subvectors: bool = False,
        scale: float = 1.0,
    ):
        super().__init__()
        self.codebooks = nn.Parameter(torch.empty(num_codebooks, num_codewords, subvector_dim))
        for book in self.codebooks:  # per codebook, as a (K, D / M) layer would be
            nn.init.xavier_uniform_(book.data, gain=scale)
        self.tau_q, self.tau_g, self.gumbel_weight = tau_q, tau_g, gumbel_weight
        self.gumbel_form, self.normalize_subvectors = gumbel_form, normalize_subvectors

    def embedding(self, x: Tensor) -> Tensor:
        """The continuous (n, D) float32 embedding as training compares it."""
        x = x.float()
        return unit_subvectors(x, len(self.codebooks)) if self.normalize_subvectors else x

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Eq. 2: the soft-quantized form of (n, D) embeddings, float32; without ``noise`` (n, M, K) the first term only.

        Runs in float32 whatever the precision around it.
        """
        with torch.autocast(x.device.type, enabled=False):
            weights = self.weights(lookup_tables(x.float(), self.codebooks), noise)
            z = torch.einsum("nmk,mkd->nmd", weights, self.codebooks).flatten(1)
            return unit_subvectors(z, len(self.codebooks)) if self.normalize_subvectors else z

    def weights(self, cosines: Tensor, noise: Tensor | None = None) -> Tensor:
        """The coefficients of the codewords in Eq. 2, (n, M, K): Eq. 4, and with ``noise`` lambda times Eq. 5 more."""
        weights = soft_assignment(cosines, self.tau_q)
        if noise is not None and self.gumbel_weight:
            drawn = gumbel_assignment(cosines, noise, self.tau_g, self.tau_q, self.gumbel_form)
            weights = weights + self.gumbel_weight * drawn
        return weights


register_quantizer("pqg")(ProductQuantizer)


@register_quantizer("straight_through")
class StraightThroughQuantizer(ProductQuantizer):
    """PQG whose first term is the nearest codeword itself, as it is stored, with the gradient of Eq. 4 (ours)."""

    def weights(self, cosines: Tensor, noise: Tensor | None = None) -> Tensor:
        """The coefficients of the codewords, (n, M, K): one for the nearest, and Eq. 5 as it is."""
        soft = soft_assignment(cosines, self.tau_q)
        nearest = torch.zeros_like(soft).scatter_(-1, cosines.argmax(-1, keepdim=True), 1.0)
        return super().weights(cosines, noise) + (nearest - soft).detach()

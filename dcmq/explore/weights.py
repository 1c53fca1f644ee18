"""The quantizer's weights: how much of each codeword one item takes in training, without noise and with it (Eq. 2, 4, 5)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from dcmq.codes.assign import lookup_tables
from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request
from dcmq.methods.dcmq.quantizer import GUMBEL_FORMS, gumbel_assignment, gumbel_noise, soft_assignment

Temperature = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=2**31)]


def effective_number(distribution: Tensor) -> Tensor:
    """(...,) from 1 to b: exp of the entropy of (..., b) distributions; b where all b shares are equal, 1 for a single
    one."""
    return torch.special.entr(distribution).sum(-1).exp()


def codeword_weights(
    x: Tensor, codebooks: Tensor, noise: Tensor, *, tau_q: float, tau_g: float, gumbel_weight: float, form: str
) -> Tensor:
    """(3, M, K): the weights of Eq. 4, of Eq. 5, and of Eq. 2, their sum with factors 1 and lambda, of one embedding (D,).

    Args:
        noise: (M, K) draws of Gumbel(0, 1).
        form: reading of Eq. 5, ``raw`` or ``scaled``.
    """
    cosines = lookup_tables(x[None], codebooks)[0]
    soft = soft_assignment(cosines, tau_q)
    drawn = gumbel_assignment(cosines, noise, tau_g, tau_q, form)
    return torch.stack([soft, drawn, soft + gumbel_weight * drawn])


def fixed_noise(num_codebooks: int, num_codewords: int, seed: int) -> Tensor:
    """(M, K) draws of Gumbel(0, 1), the same for the same ``seed``."""
    return gumbel_noise((num_codebooks, num_codewords), torch.Generator().manual_seed(seed))


def quantizing(bench: Bench) -> Ranker | None:
    """The ranker whose codebooks are looked at: the first shown that has any."""
    return next((ranker for ranker in bench.shown_rankers if ranker.codebooks is not None), None)


@register_request
def quantizer_weights(
    bench: Bench,
    row: int,
    kind: Literal["images", "texts"] = "images",
    tau_q: Temperature = 0.2,
    tau_g: Temperature = 1.0,
    gumbel_weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0,
    form: Literal[GUMBEL_FORMS] = "raw",
    noise_seed: Seed = 0,
) -> Answer:
    """The weights of the codewords in the quantized form of one item, without noise and with it.

    Returns:
        ``taken``: the codeword of the largest weight for each sub-vector, by Eq. 4 and by Eq. 2; ``moved``: how many differ.
        ``effective``: over how many codewords a sub-vector is spread on average, in Eq. 4, 5 and 2.
        Buffer: float32 (3, M, K), the weights of Eq. 4, 5 and 2.

    Raises:
        DcmqError: no shown ranker has codebooks, or the item is not of that kind.
    """
    ranker = quantizing(bench)
    if ranker is None:
        raise DcmqError("targets: none of the rankers shown has codebooks; choose a student to see codewords' weights")
    (row,) = bench.items.rows_of([row])
    if not bench.items.has[kind][row]:
        raise DcmqError(f"targets: {bench.items.ids[row]} is no {kind[:-1]}")
    num_codebooks, num_codewords = ranker.codebooks.shape[:2]
    weights = codeword_weights(
        ranker.embeddings[kind][row],
        ranker.codebooks,
        fixed_noise(num_codebooks, num_codewords, noise_seed),
        tau_q=tau_q,
        tau_g=tau_g,
        gumbel_weight=gumbel_weight,
        form=form,
    )
    without, _, both = taken = weights.argmax(2)
    spread = effective_number(weights / weights.sum(2, keepdim=True)).mean(1)
    return {
        "ranker": ranker.name,
        "M": num_codebooks,
        "K": num_codewords,
        "taken": [without.tolist(), both.tolist()],
        "moved": int((taken[0] != taken[2]).sum()),
        "effective": spread.tolist(),
    }, [weights.numpy().tobytes()]

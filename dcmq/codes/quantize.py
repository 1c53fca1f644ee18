"""Packed codes of embeddings."""

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.assign import assign
from dcmq.codes.pack import pack
from dcmq.core.errors import DcmqError


def quantize(embeddings: Tensor | np.ndarray, codebooks: Tensor | np.ndarray) -> np.ndarray:
    """(n, D) embeddings of images or texts to (n, code size) uint8, the packed numbers of their codewords.

    Raises:
        DcmqError: D does not fit the (M, K, D / M) codebooks, or an embedding that is no direction.
    """
    codebooks = torch.as_tensor(codebooks)
    return pack(assign(checked_embeddings(embeddings, codebooks, "item"), codebooks), codebooks.shape[1])


def checked_embeddings(embeddings: Tensor | np.ndarray, codebooks: Tensor, kind: str) -> Tensor:
    """(n, D) float32 in this machine's memory, the directions of ``embeddings``: each is scaled by a power of two, which changes
    no bit of a cosine, so that its squares neither overflow nor vanish.

    Args:
        kind: what errors call an embedding.

    Raises:
        DcmqError: they are not (n, D) floats that fit the codebooks, or one holds a value that is no number, or zeros alone.
    """
    try:
        embeddings = torch.as_tensor(embeddings).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DcmqError(f"{kind}: embeddings are no array of numbers ({str(error).splitlines()[0][:100]})") from None
    dimension = codebooks.shape[0] * codebooks.shape[2]
    if embeddings.ndim != 2 or embeddings.shape[1] != dimension or not embeddings.is_floating_point():
        raise DcmqError(
            f"{kind}: embeddings are {embeddings.dtype} {tuple(embeddings.shape)}, not float (n, {dimension})"
        )
    broken = (~embeddings.isfinite().all(1)).nonzero()
    if len(broken):
        raise DcmqError(f"{kind}: the embedding of {kind} {int(broken[0])} holds NaN or infinity")
    zero = (~embeddings.any(1)).nonzero()
    if len(zero):
        raise DcmqError(f"{kind}: the embedding of {kind} {int(zero[0])} is all zero, so nothing is near to it")
    embeddings = embeddings.double()
    exponents = torch.frexp(embeddings.abs().amax(1, keepdim=True))[1]
    return torch.ldexp(embeddings, -exponents.double()).float()

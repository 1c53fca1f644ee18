"""Packed codes of embeddings."""

import numpy as np
from torch import Tensor

from dcmq.codes.assign import assign
from dcmq.codes.pack import pack
from dcmq.core.errors import DcmqError


def quantize(embeddings: Tensor, codebooks: Tensor) -> np.ndarray:
    """(n, D) embeddings of images or texts to (n, code size) uint8, the packed numbers of their codewords.

    Raises:
        DcmqError: D does not fit the (M, K, D / M) codebooks, or a value is not a number.
    """
    check_embeddings(embeddings, codebooks, "item")
    return pack(assign(embeddings.float(), codebooks), codebooks.shape[1])


def check_embeddings(embeddings: Tensor, codebooks: Tensor, kind: str) -> None:
    """Raise DcmqError unless ``embeddings`` are (n, D) finite floats that fit the codebooks; ``kind`` is what it calls them."""
    dimension = codebooks.shape[0] * codebooks.shape[2]
    if embeddings.ndim != 2 or embeddings.shape[1] != dimension or not embeddings.is_floating_point():
        raise DcmqError(
            f"{kind}: embeddings are {embeddings.dtype} {tuple(embeddings.shape)}, not float (n, {dimension})"
        )
    broken = (~embeddings.isfinite().all(1)).nonzero()
    if len(broken):
        raise DcmqError(f"{kind}: the embedding of {kind} {int(broken[0])} holds NaN or infinity")

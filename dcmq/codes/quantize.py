"""From embeddings to packed codes."""

import numpy as np
from torch import Tensor

from dcmq.codes.assign import assign
from dcmq.codes.pack import pack
from dcmq.core.errors import DcmqError


def quantize(embeddings: Tensor, codebooks: Tensor) -> np.ndarray:
    """(n, D) embeddings of pictures or texts to (n, width) uint8, the packed numbers of their codewords.

    Raises:
        DcmqError: D does not fit the (M, K, D / M) codebooks, or a value is not a number.
    """
    _check_embeddings(embeddings, codebooks, "item")
    return pack(assign(embeddings.float(), codebooks), codebooks.shape[1])


def _check_embeddings(embeddings: Tensor, codebooks: Tensor, what: str) -> None:
    wanted = codebooks.shape[0] * codebooks.shape[2]
    if embeddings.ndim != 2 or embeddings.shape[1] != wanted or not embeddings.is_floating_point():
        raise DcmqError(f"{what}: embeddings are {embeddings.dtype} {tuple(embeddings.shape)}, not float (n, {wanted})")
    broken = (~embeddings.isfinite().all(1)).nonzero()
    if len(broken):
        raise DcmqError(f"{what}: the embedding of {what} {int(broken[0])} holds NaN or infinity")

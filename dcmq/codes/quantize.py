"""Packed codes of embeddings, and the gate for codebooks and embeddings that somebody gives."""

import numpy as np
import torch
from torch import Tensor

from dcmq.codes.assign import assign
from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.pack import pack
from dcmq.core.errors import DcmqError

_ORDINARY = 2.0**40  # sizes of numbers whose squares float32 holds


def quantize(embeddings: Tensor | np.ndarray, codebooks: Tensor | np.ndarray) -> np.ndarray:
    """(n, D) embeddings of images or texts to (n, code size) uint8, the packed numbers of their codewords.

    Raises:
        DcmqError: no codebooks (M, K, D / M), a D that does not fit them, or an embedding that is no direction.
    """
    codebooks = checked_codebooks(codebooks)
    items = torch.from_numpy(np.require(checked_embeddings(embeddings, codebooks, "item"), requirements="W"))
    return pack(assign(items, codebooks), codebooks.shape[1])


def checked_codebooks(codebooks: Tensor | np.ndarray) -> Tensor:
    """``codebooks`` as (M, K, D / M) float32 in this machine's memory.

    Raises:
        DcmqError: they are no floats of that shape, K is not a power of two, or one is not finite.
    """
    numbers = _floats(codebooks, "codebooks", "(M, K, D / M)", 3)
    if not numbers.size:
        raise DcmqError(f"codebooks are {numbers.shape}, not (M, K, D / M) with at least one of each")
    bits_per_codeword(numbers.shape[1])
    with np.errstate(over="ignore"):
        found = numbers.astype(np.float32)
    if not np.isfinite(found).all():
        raise DcmqError("codebooks hold NaN or infinity: the training that made them was broken")
    return torch.from_numpy(found)


def checked_embeddings(embeddings: Tensor | np.ndarray, codebooks: Tensor, kind: str) -> np.ndarray:
    """(n, D) float32, the directions of ``embeddings``: very large and very small ones are scaled by a power of two, which
    changes no bit of a cosine, so that their squares neither overflow nor vanish.

    Args:
        kind: what errors call an embedding.

    Raises:
        DcmqError: they are not (n, D) floats that fit the codebooks, or one holds a value that is no number, or zeros alone.
    """
    dimension = codebooks.shape[0] * codebooks.shape[2]
    numbers = _floats(embeddings, f"{kind}: embeddings", f"(n, {dimension})", 2)
    if numbers.shape[1] != dimension:
        raise DcmqError(f"{kind}: embeddings are {numbers.dtype} {numbers.shape}, not float (n, {dimension})")
    largest = np.abs(numbers).max(1)
    if not len(largest) or (largest.min() > 1 / _ORDINARY and largest.max() < _ORDINARY):
        return numbers.astype(np.float32, copy=False)
    if not np.isfinite(largest).all():
        broken = np.flatnonzero(~np.isfinite(largest))[0]
        raise DcmqError(f"{kind}: the embedding of {kind} {broken} holds NaN or infinity")
    if not largest.all():
        zero = np.flatnonzero(largest == 0)[0]
        raise DcmqError(f"{kind}: the embedding of {kind} {zero} is all zero, so nothing is near to it")
    numbers, exponents = numbers.astype(np.float64), np.frexp(largest)[1]
    return np.ldexp(numbers, -exponents[:, None]).astype(np.float32)


def _floats(given: object, what: str, shape: str, dimensions: int) -> np.ndarray:
    """``given``, a tensor or what numpy makes an array of, as floats of numpy. Raises DcmqError for other numbers or dimensions."""
    try:
        if isinstance(given, Tensor):
            kind, numbers = str(given.dtype), given.detach().cpu()
            numbers = (numbers.float() if given.dtype is torch.bfloat16 else numbers).numpy()
        else:
            numbers = np.asarray(given)
            kind = str(numbers.dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DcmqError(f"{what} are no array of numbers ({str(error).splitlines()[0][:100]})") from None
    if numbers.dtype.kind == "O":
        raise DcmqError(f"{what} are a {type(given).__name__} of objects, not an array of floats {shape}")
    if numbers.ndim != dimensions or numbers.dtype.kind != "f":
        raise DcmqError(f"{what} are {kind} {numbers.shape}, not float {shape}")
    return numbers.astype(np.float32) if numbers.dtype.itemsize < 4 else numbers

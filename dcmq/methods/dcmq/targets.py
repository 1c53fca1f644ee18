"""Target matrices: what the student should believe about every image-text pair of a batch.

A target is a function of teacher similarities (b, b) and training labels (b, C) to a (b, b) matrix ``S_hat`` whose rows are
images and columns texts; the losses turn it into distributions with ``softmax(S_hat / tau)``. It is registered under the name by
which settings choose it, and may ask for ``scope`` and ``bounds`` (see :func:`npc`) by having parameters of these names.
"""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry

SCOPES = ("batch", "row", "dataset")
TARGETS: Registry[Callable[..., Tensor]] = Registry("target")


def register_target(given: Callable | str | None = None) -> Callable:
    """Registers a target: ``@register_target`` under the function's name, ``@register_target("name")`` under another."""
    return TARGETS.decorator(given)


def target_matrix(
    name: str, similarity: Tensor, labels: Tensor, scope: str = "batch", bounds: tuple[float, float] | None = None
) -> Tensor:
    """``S_hat`` (b, b) of the target registered as ``name``, which is given those of ``scope`` and ``bounds`` that it asks for.

    Args:
        similarity: (b, b) cosines of teacher images (rows) and teacher texts (columns). labels: (b, C) 0/1.

    Raises:
        DcmqError: no such target, or what it gives is no (b, b) tensor of finite numbers.
    """
    function = TARGETS[name]
    wanted, options = inspect.signature(function).parameters, {"scope": scope, "bounds": bounds}
    target = function(similarity, labels, **{option: value for option, value in options.items() if option in wanted})
    if not isinstance(target, Tensor) or target.shape != similarity.shape:
        found = f"a tensor {tuple(target.shape)}" if isinstance(target, Tensor) else f"a {type(target).__name__}"
        raise DcmqError(
            f"target: {name!r} gives {found}, not a tensor {tuple(similarity.shape)}, rows images, columns texts"
        )
    if not target.isfinite().all():
        raise DcmqError(f"target: {name!r} gives NaN or infinity: look for a division by zero or a logarithm in it")
    return target


def asks_for_bounds(name: str) -> bool:
    """True where the target registered as ``name`` wants the extremes of the training set."""
    return "bounds" in inspect.signature(TARGETS[name]).parameters


def npc(similarity: Tensor, scope: str = "batch", bounds: tuple[float, float] | None = None) -> Tensor:
    """Normalization with Paired Consistency (Algorithm 1): stretch to [-1, 1] by one line, then lift the pairs to 1.

    Args:
        similarity: (b, b) cosines of teacher images (rows) and teacher texts (columns).
        scope: whose extremes are used: ``batch`` (inferred), ``row``, or ``dataset`` (ours).
        bounds: (lowest, highest) similarity of the training set; needed by ``dataset``. Values outside are clipped.

    Returns:
        (b, b) in [-1, 1], ones on the diagonal. Where all similarities are equal, off-diagonals are 0.

    Raises:
        ValueError: an unknown scope, or ``dataset`` without bounds.

    Samples with equal label sets have equal columns, yet only the own pair is lifted: a known weakness of the method.
    """
    stretched = affine(similarity, scope, bounds)
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return stretched.masked_fill(own, 1.0)


def affine(similarity: Tensor, scope: str = "batch", bounds: tuple[float, float] | None = None) -> Tensor:
    """The first half of Algorithm 1 alone: (b, b) similarities stretched to [-1, 1] by one line. Arguments and errors are those
    of :func:`npc`."""
    if scope == "batch":
        low, high = similarity.min(), similarity.max()
    elif scope == "row":
        low, high = similarity.amin(1, keepdim=True), similarity.amax(1, keepdim=True)
    elif scope == "dataset":
        if bounds is None:
            raise ValueError("scope 'dataset' needs bounds")
        low, high = similarity.new_tensor(bounds[0]), similarity.new_tensor(bounds[1])
    else:
        raise ValueError(f"scope {scope!r} is not one of {', '.join(SCOPES)}")
    span = high - low
    flat = span <= torch.finfo(similarity.dtype).eps
    share = (similarity - low) / torch.where(flat, torch.ones_like(span), span)  # slope * s + intercept would cancel
    return torch.where(flat, torch.zeros_like(similarity), 2 * share - 1).clamp(-1, 1)


def lifted(similarity: Tensor) -> Tensor:
    """The second half of Algorithm 1 alone: (b, b) similarities as they are, and ones on the diagonal."""
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return similarity.masked_fill(own, 1.0)


def multihot(labels: Tensor) -> Tensor:
    """Cosine of multi-hot label vectors, (b, C) 0/1 to (b, b) in [0, 1] (supervised row of Table 3; form inferred)."""
    unit = torch.nn.functional.normalize(labels.float(), dim=1)
    return unit @ unit.T


def dataset_bounds(image: Tensor, text: Tensor, chunk: int = 1024) -> tuple[float, float]:
    """Lowest and highest cosine between any of (n, d) unit image rows and any of (n, d) unit text rows."""
    text = text.unique(dim=0)  # one row per distinct label sentence
    extremes = [((part @ text.T).min().item(), (part @ text.T).max().item()) for part in image.split(chunk)]
    return min(low for low, _ in extremes), max(high for _, high in extremes)


@register_target("npc")
def npc_target(similarity: Tensor, labels: Tensor, scope: str = "batch", bounds=None) -> Tensor:
    """:func:`npc` of the teacher's similarities: the paper's target (stated)."""
    return npc(similarity, scope, bounds)


@register_target("raw")
def raw_target(similarity: Tensor, labels: Tensor) -> Tensor:
    """The teacher's similarities as they are: row "without NPC" of Table 3 (stated)."""
    return similarity


@register_target("multihot")
def multihot_target(similarity: Tensor, labels: Tensor) -> Tensor:
    """:func:`multihot` of the training labels: the supervised row of Table 3 (stated; form inferred)."""
    return multihot(labels)


@register_target("identity")
def identity_target(similarity: Tensor, labels: Tensor) -> Tensor:
    """The identity matrix, where only the own pair counts: row "identity" of Table 3 (stated)."""
    return torch.eye(len(similarity), device=similarity.device)


@register_target("affine")
def affine_target(similarity: Tensor, labels: Tensor, scope: str = "batch", bounds=None) -> Tensor:
    """:func:`affine`: NPC without its lifted pairs (ours)."""
    return affine(similarity, scope, bounds)


@register_target("lifted")
def lifted_target(similarity: Tensor, labels: Tensor) -> Tensor:
    """:func:`lifted`: NPC without its stretch (ours)."""
    return lifted(similarity)


@register_target("npc_multihot")
def npc_multihot_target(similarity: Tensor, labels: Tensor, scope: str = "batch", bounds=None) -> Tensor:
    """The mean of :func:`npc` and of :func:`multihot` at NPC's range, [-1, 1] (ours)."""
    return (npc(similarity, scope, bounds) + 2 * multihot(labels) - 1) / 2

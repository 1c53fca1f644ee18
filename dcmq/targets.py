"""Target matrices: what the student should believe about every image-text pair of a batch.

Each entry of :data:`TARGETS` maps teacher similarities (b, b) and training labels (b, C) to a (b, b) matrix ``S_hat``
whose rows are images and columns texts; the losses turn it into distributions with ``softmax(S_hat / tau)``.
"""

import torch
from torch import Tensor

SCOPES = ("batch", "row", "dataset")


def npc(similarity: Tensor, scope: str = "batch", bounds: tuple[float, float] | None = None) -> Tensor:
    """Normalization with Paired Consistency (Algorithm 1): stretch to [-1, 1] by one line, then lift the pairs to 1.

    Args:
        similarity: (b, b) cosines of teacher images (rows) and teacher texts (columns).
        scope: whose extremes are used: ``batch`` (inferred), ``row``, or ``dataset`` (ours).
        bounds: (lowest, highest) similarity of the training set; needed by ``dataset``. Values outside are clipped.

    Returns:
        (b, b) in [-1, 1], ones on the diagonal. Where all similarities are equal, off-diagonals are 0.

    Samples with equal label sets have equal columns, yet only the own pair is lifted: a known weakness of the method.
    """
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
    slope = 2 / torch.where(flat, torch.ones_like(span), span)
    stretched = torch.where(flat, torch.zeros_like(similarity), slope * similarity + 1 - slope * high)
    stretched = stretched.clamp(-1, 1)
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return stretched.masked_fill(own, 1.0)


def multihot(labels: Tensor) -> Tensor:
    """Cosine of multi-hot label vectors, (b, C) 0/1 to (b, b) in [0, 1] (supervised row of Table 3; form inferred)."""
    unit = torch.nn.functional.normalize(labels.float(), dim=1)
    return unit @ unit.T


def dataset_bounds(image: Tensor, text: Tensor, chunk: int = 1024) -> tuple[float, float]:
    """Lowest and highest cosine between any of (n, d) unit image rows and any of (n, d) unit text rows."""
    text = text.unique(dim=0)  # one row per distinct label sentence
    extremes = [((part @ text.T).min().item(), (part @ text.T).max().item()) for part in image.split(chunk)]
    return min(low for low, _ in extremes), max(high for _, high in extremes)


TARGETS = {
    "identity": lambda similarity, labels, **_: torch.eye(len(similarity), device=similarity.device),
    "multihot": lambda similarity, labels, **_: multihot(labels),
    "raw": lambda similarity, labels, **_: similarity,
    "npc": lambda similarity, labels, scope="batch", bounds=None: npc(similarity, scope, bounds),
}

"""CLIP by name, both its towers, for students: the small CLIP of this package, or an architecture of open_clip."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from dcmq.core.errors import DcmqError
from dcmq.networks.open_clip_models import load_open_clip
from dcmq.networks.pretrained import is_published
from dcmq.networks.small_clip import EMBEDDING, VARIANTS, build_model, load_small_clip

SMALL = "small_clip"


def clip_tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """The tokenizer of the text encoder ``name``, ``small_clip`` or ``open_clip:ARCH``: a function of n texts to (n, L)
    tokens.

    Raises:
        DcmqError: unknown architecture.
    """
    if name == SMALL:
        return load_small_clip("clip")[1]
    import open_clip  # takes seconds, which only its users should wait

    return open_clip.get_tokenizer(_architecture(name))


def clip_model(name: str, weights: str) -> tuple[nn.Module, int]:
    """A CLIP with both its towers, and the length of its embeddings.

    Args:
        name: ``small_clip`` (the shape of the bundled teachers) or ``open_clip:ARCH``.
        weights: ``""`` random; for ``small_clip`` a bundled teacher (``clip``, ``clip-wide``); else a tag of open_clip
            (``openai``) or a checkpoint file.

    Raises:
        DcmqError: unknown architecture, or weights that cannot be had.
    """
    if name == SMALL:
        if weights not in ("", *VARIANTS):
            raise DcmqError(
                f"weights: {weights!r} is no bundled teacher; choose {' or '.join(VARIANTS)}, or leave it empty"
            )
        model, tokenizer = load_small_clip(weights or "clip")
        return (model if weights else build_model(tokenizer.vocab_size)), EMBEDDING
    import open_clip

    architecture = _architecture(name)
    if weights:
        checkpoint = weights if is_published(weights) else str(Path(weights).expanduser().resolve())
        model = load_open_clip(architecture, checkpoint, name)[0].eval().requires_grad_(False)
    else:
        model = open_clip.create_model(architecture)
    return model, open_clip.get_model_config(architecture)["embed_dim"]


def _architecture(name: str) -> str:
    import open_clip

    library, _, architecture = name.partition(":")
    if library != "open_clip" or architecture not in open_clip.list_models():
        raise DcmqError(
            f"encoder: {name!r} is not known; choose small_clip or open_clip:ARCH (open_clip.list_models())"
        )
    return architecture


class TextTower(nn.Module):
    """The text half of an open_clip model, from (b, L) tokens to (b, d)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        del model.visual
        model.logit_scale.requires_grad_(False)
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (b, d), not normalized, of (b, L) tokens."""
        return self.model.encode_text(tokens)

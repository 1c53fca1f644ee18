"""The small CLIP of this package: open_clip's own classes, a word-level tokenizer, weights in the package.

Its training is ``scripts/train_scenes_teacher.py``; ``weights/MODEL_CARD.md`` says what it can and cannot do.
"""

import json
import re
from pathlib import Path

import torch

from dcmq.networks.bundled import load_bundled, save_bundled

VARIANTS = ("clip", "clip-wide")
CONTEXT = 28  # tokens; few captions are longer
EMBEDDING = 128  # length of an embedding
SIDE = 64  # pixels of its images


class WordTokenizer:
    """A tokenizer of lower-cased words, callable; a word that is not among ``words`` becomes the unknown token.

    The end token has the largest number, where open_clip's text tower looks for it.
    """

    def __init__(self, words: list[str]):
        self.words = list(words)
        self.numbers = {word: i + 3 for i, word in enumerate(self.words)}
        self.unknown, self.end = 2, len(self.words) + 3

    @property
    def vocab_size(self) -> int:
        """The number of tokens: all words, and those of padding, start, end and the unknown."""
        return self.end + 1

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """(n, 28) int64 token numbers of n texts, zero-padded; texts over 26 words are cut."""
        tokens = torch.zeros(len(texts), CONTEXT, dtype=torch.long)
        for row, text in enumerate(texts):
            words = re.findall(r"[a-z]+", text.lower())[: CONTEXT - 2]
            numbers = [1, *(self.numbers.get(w, self.unknown) for w in words), self.end]
            tokens[row, : len(numbers)] = torch.tensor(numbers)
        return tokens


def build_model(vocab_size: int):
    """An untrained ``open_clip.CLIP`` for 64 x 64 images with 128-d embeddings."""
    import open_clip  # takes seconds, which those who find their embeddings in the cache need not wait
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    return open_clip.CLIP(
        embed_dim=EMBEDDING,
        vision_cfg=CLIPVisionCfg(layers=(1, 1, 1, 1), width=16, head_width=64, image_size=SIDE),
        text_cfg=CLIPTextCfg(context_length=CONTEXT, vocab_size=vocab_size, width=96, heads=3, layers=2),
    )


def preprocess(images: torch.Tensor) -> torch.Tensor:
    """(b, 3, H, W) float32 in [-1, 1] of (b, H, W, 3) uint8 images."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def save_small_clip(variant: str, model, tokenizer: WordTokenizer, card: dict) -> Path:
    """Write the weights with the vocabulary and training facts beside them. Returns the file."""
    return save_bundled(variant, model, card, words=json.dumps(tokenizer.words))


def load_small_clip(variant: str):
    """The trained ``open_clip.CLIP`` (eval mode, float32) and its tokenizer; ``variant`` is one of :data:`VARIANTS`.

    Raises:
        DcmqError: the weights are missing from the installation, or damaged.
    """
    weights, about = load_bundled(variant)
    tokenizer = WordTokenizer(json.loads(about["words"]))
    model = build_model(tokenizer.vocab_size)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False), tokenizer

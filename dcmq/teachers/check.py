"""Checks of a teacher's weights: known cosines where there are some, and two questions that any teacher can answer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dcmq.teachers.base import Encoder, Teacher

# By open_clip's names of architecture and checkpoint, less the mark of the activation.
REFERENCES = {"ViT-B-32 / openai": "clip_vit_b32_text_cosines.csv"}
TOLERANCE = 0.001  # rounding and half precision stay below; a wrong activation or tokenizer does not
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "black": (0, 0, 0)}
KINDS = {"a dog": "a cat", "a cat": "a dog", "a car": "a bus", "a bus": "a car"}
_PROMPT = "a plain {} picture"  # a phrase of the texts that such models were trained on


@dataclass(frozen=True)
class Check:
    """The answers of a teacher; nan where it was not, or could not be, asked.

    Attributes:
        deviation: the largest difference from known cosines.
        colours, kinds: shares in [0, 1] of the questions about colours, and about like nouns, that were answered right.
    """

    deviation: float = float("nan")
    colours: float = float("nan")
    kinds: float = float("nan")

    @property
    def right(self) -> bool | None:
        """True or False by known cosines; without them False where a question is failed as chance would, else None."""
        if not np.isnan(self.deviation):
            return self.deviation <= TOLERANCE
        return False if self.colours <= 0.4 or self.kinds <= 0.25 else None


def reference_for(description: str) -> pd.DataFrame | None:
    """Known cosines between prompts of the checkpoint that a teacher's ``description`` names, if the package has
    some."""
    for checkpoint, file in REFERENCES.items():
        if checkpoint in description.replace("-quickgelu", ""):
            return pd.read_csv(Path(__file__).with_name("reference") / file, index_col="prompt")
    return None


def check(teacher: Teacher, reference: pd.DataFrame | None) -> Check:
    """The answers of ``teacher``: the cosines of ``reference``, the colour of plain images, and which of the nouns are
    alike.

    A teacher that reads no texts but those in its file is not asked.
    """
    if not teacher.reads_any_text:
        return Check()
    deviation = float("nan")
    if reference is not None:
        deviation = float(np.abs(cosines(teacher, list(reference.index)) - reference.to_numpy()).max())
    images = np.stack([np.full((224, 224, 3), rgb, np.uint8) for rgb in COLOURS.values()])
    scores = teacher.encode_images(images) @ teacher.encode_texts([_PROMPT.format(c) for c in COLOURS]).T
    colours = float((scores.argmax(dim=1) == torch.arange(len(COLOURS))).float().mean())
    nouns = list(KINDS)
    alike = cosines(teacher, nouns) - 2 * np.eye(len(nouns))
    kinds = float(np.mean([nouns[best] == KINDS[noun] for noun, best in zip(nouns, alike.argmax(1), strict=True)]))
    return Check(deviation, colours, kinds)


def cosines(teacher: Encoder, prompts: list[str]) -> np.ndarray:
    """Cosines (p, p) between each two of p ``prompts``."""
    vectors = teacher.encode_texts(prompts)
    return (vectors @ vectors.T).numpy()


def verdict(result: Check) -> str:
    """The outcome of a check in one sentence."""
    if np.isnan(result.colours):
        return "embeddings from a file: shapes, ids and numbers are in order; which model made them cannot be told"
    answers = f"{result.colours:.0%} of plain colours named, {result.kinds:.0%} of like nouns found"
    if np.isnan(result.deviation):
        if result.right is False:
            return f"WRONG: {answers}, which untrained or misread weights would do too"
        return f"plausible: {answers}; no reference figures of this checkpoint are known, so this is an indication only"
    word = "right" if result.right else "WRONG: look for another activation, tokenizer or checkpoint"
    return f"{word}: cosines between prompts deviate by at most {result.deviation:.4f} (allowed {TOLERANCE}); {answers}"

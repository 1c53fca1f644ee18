"""Whether a teacher's weights are the right ones: known cosines where there are some, and two questions any teacher can answer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dcmq.teachers.base import Encoder

# By open_clip's names of architecture and checkpoint, less the mark of the activation.
REFERENCES = {"ViT-B-32 / openai": "clip_vit_b32_text_cosines.csv"}
TOLERANCE = 0.001  # rounding and half precision stay below; a wrong activation or tokenizer does not
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "black": (0, 0, 0)}
KINDS = {"a dog": "a cat", "a cat": "a dog", "a car": "a bus", "a bus": "a car"}


@dataclass(frozen=True)
class Check:
    """``deviation``: the largest from known cosines, or nan; ``colours`` and ``kinds``: shares of questions answered right."""

    deviation: float
    colours: float
    kinds: float

    @property
    def right(self) -> bool | None:
        """True or False by known cosines; without them False where a question is failed as chance would, else None."""
        if not np.isnan(self.deviation):
            return self.deviation <= TOLERANCE
        return False if self.colours <= 0.4 or self.kinds <= 0.25 else None


def reference_for(description: str) -> pd.DataFrame | None:
    """Known cosines between prompts of the checkpoint that ``resolved`` names, if the package has some."""
    for checkpoint, file in REFERENCES.items():
        if checkpoint in description.replace("-quickgelu", ""):
            return pd.read_csv(Path(__file__).with_name("reference") / file, index_col="prompt")
    return None


def check(teacher: Encoder, reference: pd.DataFrame | None) -> Check:
    """Ask ``teacher`` for the cosines of ``reference``, the colour of plain pictures, and which of the nouns are alike."""
    deviation = float("nan")
    if reference is not None:
        found = cosines(teacher, list(reference.index))
        deviation = float(np.abs(found - reference.to_numpy()).max())
    pictures = np.stack([np.full((224, 224, 3), rgb, np.uint8) for rgb in COLOURS.values()])
    scores = teacher.encode_images(pictures) @ teacher.encode_texts([f"a plain {c} picture" for c in COLOURS]).T
    colours = float((scores.argmax(dim=1) == torch.arange(len(COLOURS))).float().mean())
    nouns = list(KINDS)
    alike = cosines(teacher, nouns) - 2 * np.eye(len(nouns))
    kinds = float(np.mean([nouns[best] == KINDS[noun] for noun, best in zip(nouns, alike.argmax(1), strict=True)]))
    return Check(deviation, colours, kinds)


def cosines(teacher: Encoder, prompts: list[str]) -> np.ndarray:
    """Between each two of ``prompts``."""
    vectors = teacher.encode_texts(prompts)
    return (vectors @ vectors.T).numpy()


def verdict(found: Check) -> str:
    """In one sentence."""
    answers = f"{found.colours:.0%} of plain colours named, {found.kinds:.0%} of like nouns found"
    if np.isnan(found.deviation):
        if found.right is False:
            return f"WRONG: {answers}, which untrained or misread weights would do too"
        return f"plausible: {answers}; no reference figures of this checkpoint are known, so this is an indication only"
    word = "right" if found.right else "WRONG: look for another activation, tokenizer or checkpoint"
    return f"{word}: cosines between prompts deviate by at most {found.deviation:.4f} (allowed {TOLERANCE}); {answers}"

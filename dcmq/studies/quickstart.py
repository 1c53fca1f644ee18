"""A first look: one student, a question in the user's own words, the pictures it finds, and the files that it needs."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.core.paths import runs_dir
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.words import LETTERS_AND_DIGITS, words
from dcmq.experiments.study import TrainingStudy
from dcmq.reporting import plots
from dcmq.reporting.verdicts import Verdict

YES, NO = "yes", "no"
ACROSS = 8  # pictures in a row of the figure


class Parameters(TrainingStudy):
    """What the notebook may be asked; one student, so one seed."""

    notebook: ClassVar[str] = "quickstart"
    item: ClassVar[str] = "quickstart"
    title: ClassVar[str] = "What does DCMQ do?"
    claim: ClassVar[str] = (
        "None of the paper's, only what one sees: words go in, and out come pictures kept in a few bytes."
    )

    seeds: ClassVar[str] = ""
    workers: ClassVar[int] = 1
    words: str
    seed: int = Field(ge=0)
    bits: int = Field(gt=0)
    top: int = Field(gt=0)

    @property
    def seed_list(self) -> list[int]:
        """The one seed."""
        return [self.seed]

    @property
    def name(self) -> str:
        """See :class:`TrainingStudy`; every question has a folder of its own."""
        return "-".join([super().name, *dict.fromkeys(words(self.words, LETTERS_AND_DIGITS))])[:120]

    @property
    def gallery_folder(self) -> Path:
        """Where the searchable gallery goes."""
        return runs_dir() / f"quickstart-{super().name}-seed{self.seed}"


def unread_text(unread: Sequence[str], vocabulary: Sequence[str]) -> str:
    """One line: which words the student does not know, and known ones that look like them, or else the most frequent."""
    if not unread:
        return "every word is known"
    close = dict.fromkeys(near for word in unread for near in difflib.get_close_matches(word, vocabulary, 1, 0.75))
    known = ", ".join(close or vocabulary[:12])
    return f"not known to the student: {', '.join(unread)} (it knows {len(vocabulary)} words, among them {known})"


def rows_of(data: RetrievalDataset, ids: np.ndarray) -> np.ndarray:
    """Row numbers of the pictures called ``ids``."""
    row = {name: i for i, name in enumerate(data.ids.tolist())}
    return np.array([row[name] for name in ids.tolist()])


def asked_classes(text: str, data: RetrievalDataset) -> list[int]:
    """Numbers of the classes whose names stand in ``text``."""
    named = [set(words(name.replace("_", " "), data.word_pattern)) for name in data.classes]
    asked = set(words(text, data.word_pattern))
    return [i for i, parts in enumerate(named) if parts and parts <= asked]


def holds(data: RetrievalDataset, rows: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Whether each of ``rows`` has any of ``classes``."""
    return np.asarray(data.labels)[rows][:, list(classes)].any(1)


def names(data: RetrievalDataset, row: int) -> str:
    """The true labels of a row."""
    return ", ".join(data.classes[c] for c in np.flatnonzero(data.labels[row]))


def table(data: RetrievalDataset, rows: np.ndarray, cosines: np.ndarray, classes: Sequence[int]) -> pd.DataFrame:
    """A line per picture found, best first: its id, mean cosine, labels, and whether it has a class asked for."""
    shown = pd.DataFrame(
        {
            "picture": [str(data.ids[row]) for row in rows],
            "mean cosine": [f"{cosine:.3f}" for cosine in cosines[: len(rows)]],
            "what is in it": [names(data, row) for row in rows],
        },
        index=pd.RangeIndex(1, len(rows) + 1, name="rank"),
    )
    if classes:
        label = " or ".join(data.classes[c] for c in classes)
        shown[f"holds {label}"] = [YES if there else NO for there in holds(data, rows, classes)]
    return shown


def verdicts(data: RetrievalDataset, ranking: np.ndarray, classes: Sequence[int], first: int = 100) -> list[Verdict]:
    """Whether what was asked for is more frequent among the ``first`` rows of ``ranking`` than in the whole gallery.

    A tie within two standard deviations of as many rows drawn at random.
    """
    if not classes:
        return [
            Verdict("what comes first is what was asked for", "not judged here", "no word is a class: look yourself")
        ]
    found, share = holds(data, ranking[:first], classes), holds(data, data.split.gallery, classes).mean()
    sd = (share * (1 - share) / len(found)) ** 0.5
    gap = found.mean() - share
    word = "a tie" if abs(gap) <= 2 * sd else "holds" if gap > 0 else "does not hold"
    label = " or ".join(data.classes[c] for c in classes)
    detail = f"{found.mean():.2f} of the first {len(found)}, {share:.2f} of the gallery"
    return [Verdict(f"{label} is found: more frequent at the top than in the gallery", word, detail)]


def figure(data: RetrievalDataset, rows: np.ndarray, classes: Sequence[int], text: str) -> plt.Figure:
    """The pictures found, best first, under their labels; framed in blue with a tick if they hold a class asked for."""
    across = min(ACROSS, len(rows))
    lines = -(-len(rows) // across)
    drawn, axes = plt.subplots(lines, across, figsize=(1.35 * across, 1.9 * lines + 0.4), squeeze=False)
    right = holds(data, rows, classes) if classes else None
    for i, axis in enumerate(axes.flat):
        axis.set_visible(i < len(rows))
        if i >= len(rows):
            continue
        axis.imshow(data.images[rows[i]])
        axis.set(xticks=[], yticks=[])
        mark = "" if right is None else "✓ " if right[i] else "✗ "
        axis.set_title(mark + plots.wrapped(names(data, rows[i])), fontsize=8)
        for side in axis.spines.values():
            colour = "0.3" if right is None else plots.colours()[0 if right[i] else 1]
            side.set(color=colour, linewidth=2.5, visible=True)
    drawn.suptitle(f"“{text}”: the first {len(rows)} of {len(data.split.gallery):,} pictures", fontsize=10)
    drawn.tight_layout()
    return drawn


def files_table(folder: Path, items: int) -> pd.DataFrame:
    """The files of a collection of pictures as they lie on disk: 1 kB is 1,000 bytes."""
    what = {
        "images": f"codes and names of {items:,} pictures, and the codebooks, which say what the codes mean",
        "model": "the student and its words, which turn new words and pictures into codes",
    }
    sizes = {name: (folder / f"{name}.safetensors").stat().st_size for name in what}
    return pd.DataFrame(
        {"what it holds": what, "size on disk": {name: f"{size / 1e3:,.1f} kB" for name, size in sizes.items()}}
    ).rename(index=lambda name: f"{name}.safetensors")

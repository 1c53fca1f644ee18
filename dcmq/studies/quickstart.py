"""A first look: one student, a query in the user's own words, the images it finds, and the files that it needs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pydantic import Field

from dcmq.core.paths import runs_dir
from dcmq.core.registry import suggestion
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.words import LETTERS_AND_DIGITS, words
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting import plots
from dcmq.reporting.gallery import labels_of
from dcmq.reporting.verdicts import Verdict

YES, NO = "yes", "no"
ACROSS = 8  # images in a row of the figure


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; one student, so one seed."""

    notebook: ClassVar[str] = "quickstart"
    item: ClassVar[str] = "quickstart"
    title: ClassVar[str] = "What does DCMQ do?"
    claim: ClassVar[str] = (
        "None of the paper's, only what one sees: words go in, and out come images kept in a few bytes."
    )

    seeds: ClassVar[str] = ""
    workers: ClassVar[int] = 1
    words: str = "moon star night"
    seed: int = Field(0, ge=0)
    bits: int = Field(64, gt=0)
    top: int = Field(8, gt=0)

    @property
    def seed_list(self) -> list[int]:
        """The one seed."""
        return [self.seed]

    def name_words(self) -> dict[str, str]:
        """As other studies have them, and the words of the query."""
        query = "-".join(words(self.words, LETTERS_AND_DIGITS))
        return super().name_words() | {"words" if query == self.words.replace(" ", "-") else "a query": query}

    @property
    def collection_folder(self) -> Path:
        """The folder of the collection that the notebook makes."""
        student = super().name_words() | {"words": "", "top": "", "seed": f"seed{self.seed}"}
        return runs_dir() / f"quickstart-{self.named_by(student)}"


def training_text(record: dict) -> str:
    """Lines on the size of a student, the time of its training and its loss, beside that of a student to which all samples of
    a batch are alike: ln(batch size) for each of the two terms of the paper's loss."""
    losses = [sum(terms.values()) for terms in record["losses"]]
    config = record["config"]
    alike = 2 * math.log(config["batch_size"])
    yardstick = f"; {alike:.2f} if all samples of a batch were alike to it" if config["loss"] == "distillation" else ""
    return "\n".join(
        [
            f"{record['student_parameters']:,} parameters; the training took {record['training_seconds']:.1f} s",
            f"loss {losses[0]:.2f} after the first epoch, {losses[-1]:.2f} after the last{yardstick}",
        ]
    )


def unknown_text(unknown: Sequence[str], vocabulary: Sequence[str]) -> str:
    """A line for each word of the query that the student does not know, with a known one like it; where there is none, also
    a line with the most frequent words."""
    if not unknown:
        return "every word is known"
    hints = {word: suggestion(word, vocabulary) for word in unknown}
    lines = [f"the student does not know {word}{hint}" for word, hint in hints.items()]
    if not all(hints.values()):
        lines.append(f"it knows {len(vocabulary):,} words, such as {', '.join(vocabulary[:12])}")
    return "\n".join(lines)


def rows_of(data: RetrievalDataset, ids: np.ndarray) -> np.ndarray:
    """(n,) row numbers of the images called ``ids``."""
    row = {name: i for i, name in enumerate(data.ids.tolist())}
    return np.array([row[name] for name in ids.tolist()])


def holds(data: RetrievalDataset, rows: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """(n,) booleans: whether each of ``rows`` has any of ``classes``."""
    return np.asarray(data.labels)[rows][:, list(classes)].any(1)


def table(data: RetrievalDataset, rows: np.ndarray, cosines: np.ndarray, classes: Sequence[int]) -> pd.DataFrame:
    """A line per image of ``rows``, best first: its id, mean cosine, labels, and whether it has a class of the query."""
    lines = pd.DataFrame(
        {
            "image": [str(data.ids[row]) for row in rows],
            "mean cosine": [f"{cosine:.3f}" for cosine in cosines[: len(rows)]],
            "what is in it": [labels_of(data, row) for row in rows],
        },
        index=pd.RangeIndex(1, len(rows) + 1, name="rank"),
    )
    if classes:
        label = " or ".join(data.classes[c] for c in classes)
        lines[f"holds {label}"] = [YES if right else NO for right in holds(data, rows, classes)]
    return lines


def verdicts(data: RetrievalDataset, ranking: np.ndarray, classes: Sequence[int], first: int = 100) -> list[Verdict]:
    """The verdict on the query's classes being more frequent in the ``first`` rows of ``ranking`` than in the gallery.

    It is a tie within two standard deviations of as many rows drawn at random.
    """
    if not classes:
        return [
            Verdict("what comes first is what was asked for", "not judged here", "no word is a class: look yourself")
        ]
    right, share = holds(data, ranking[:first], classes), holds(data, data.split.gallery, classes).mean()
    sd = (share * (1 - share) / len(right)) ** 0.5
    gap = right.mean() - share
    word = "a tie" if abs(gap) <= 2 * sd else "holds" if gap > 0 else "does not hold"
    label = " or ".join(data.classes[c] for c in classes)
    detail = f"{right.sum()} of the first {len(right)} do; of {len(right)} drawn at random it would be about {share * len(right):.0f}"
    return [Verdict(f"the first images show a {label} more often than the gallery does", word, detail)]


def figure(data: RetrievalDataset, rows: np.ndarray, classes: Sequence[int], text: str) -> plt.Figure:
    """The images of ``rows``, best first, under their labels; with a tick and in blue if they hold a class of the query."""
    across = min(ACROSS, len(rows))
    lines = -(-len(rows) // across)
    size = (1.35 * across, 1.75 * lines + 0.3)
    fig, axes = plt.subplots(lines, across, figsize=size, squeeze=False, layout="constrained")
    right = holds(data, rows, classes) if classes else None
    for i, axis in enumerate(axes.flat):
        axis.set_visible(i < len(rows))
        if i >= len(rows):
            continue
        axis.imshow(data.images[rows[i]])
        axis.set(xticks=[], yticks=[])
        mark = "" if right is None else "✓ " if right[i] else "✗ "
        axis.set_title(mark + plots.wrapped(labels_of(data, rows[i])), fontsize=8)
        for side in axis.spines.values():
            color = "0.3" if right is None else plots.colors()[0 if right[i] else 1]
            side.set(color=color, linewidth=2.5, visible=True)
    fig.suptitle(f"“{text}”: the first {len(rows)} of {len(data.split.gallery):,} images", fontsize=10)
    return fig


def files_table(folder: Path, items: int) -> pd.DataFrame:
    """A line per file of a collection of images: what it holds, and its size on disk (1 kB is 1,000 bytes)."""
    contents = {
        "images": f"codes and names of {items:,} images, and the codebooks, which say what the codes mean",
        "model": "the student and its words, which turn new words and images into codes",
    }
    sizes = {name: (folder / f"{name}.safetensors").stat().st_size for name in contents}
    return pd.DataFrame(
        {"what it holds": contents, "size on disk": {name: f"{size / 1e3:,.1f} kB" for name, size in sizes.items()}}
    ).rename(index=lambda name: f"{name}.safetensors")

"""A first contact: train a student in seconds, ask for pictures in your own words, keep the codes."""

from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from dcmq.codes import assign, lookup_tables, pack, scores
from dcmq.data.dataset import RetrievalDataset
from dcmq.errors import DcmqError
from dcmq.evaluation import embed
from dcmq.experiments import trained_student
from dcmq.models import Student
from dcmq.paths import runs_dir
from dcmq.storage import save_tensors
from dcmq.studies.base import Run, TrainingStudy, Variant
from dcmq.studies.gallery import names_of, show_picture
from dcmq.studies.results import Verdict
from dcmq.teachers.base import TeacherEmbeddings


class Parameters(TrainingStudy):
    """What the notebook may be asked; the first of ``seeds`` trains the student."""

    notebook: ClassVar[str] = "quickstart"
    item: ClassVar[str] = "a first contact"
    title: ClassVar[str] = "Ask for pictures in your own words"
    claim: ClassVar[str] = "None of the paper's: what DCMQ does, seen on a few pictures."

    bits: int = Field(gt=0)
    words: str
    top: int = Field(ge=1)

    def plan(self) -> list[Run]:
        """The one student."""
        return [self.run(Variant("DCMQ", {"target": "npc"}), self.bits, self.seed_list[0])]

    def train(self, data: RetrievalDataset, teacher: TeacherEmbeddings) -> Student:
        """The student, trained now if it was not before."""
        return trained_student(self.plan()[0].config, data, teacher)


def bag(data: RetrievalDataset, words: str) -> tuple[Tensor, list[str]]:
    """``words`` as a (1, V) bag of words, and those among them that the data set's vocabulary lacks.

    Raises:
        DcmqError: none of the words is known.
    """
    places = {word: i for i, word in enumerate(data.vocabulary)}
    asked = words.lower().split()
    known = [places[word] for word in asked if word in places]
    if not known:
        some = ", ".join(data.vocabulary[:12])
        raise DcmqError(f"words: the data set knows none of {words!r}; it knows {len(places)} words, such as {some}")
    row = torch.zeros(1, len(places))
    row[0, known] = 1.0
    return row, [word for word in asked if word not in places]


@torch.no_grad()
def encode_gallery(student: Student, data: RetrievalDataset) -> Tensor:
    """(g, M) codeword numbers of the gallery's pictures."""
    return assign(embed(student, data, data.split.gallery)[0], student.quantizer.codebooks)


@torch.no_grad()
def ask(student: Student, data: RetrievalDataset, codes: Tensor, words: str, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the ``top`` pictures for ``words``, best first, and their scores as mean cosine over the M parts, in [-1, 1]."""
    table = lookup_tables(student.embed_texts(bag(data, words)[0]), student.quantizer.codebooks)
    values, places = scores(table, codes)[0].topk(top)
    return data.split.gallery[places.numpy()], (values / codes.shape[1]).numpy()


def figure(data: RetrievalDataset, rows: np.ndarray, values: np.ndarray) -> plt.Figure:
    """The pictures found, best first, with their scores."""
    drawn, axes = plt.subplots(1, len(rows), figsize=(1.6 * len(rows), 2.1), squeeze=False)
    for axis, row, value in zip(axes[0], rows, values, strict=True):
        show_picture(axis, data, row)
        axis.set_xlabel(f"score {value:.2f}", fontsize=8)
    drawn.tight_layout()
    return drawn


def table(data: RetrievalDataset, rows: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """What lies behind the pictures found: their labels and scores."""
    found = {
        i + 1: {"score": f"{v:.3f}", "what is in it": names_of(data, r)}
        for i, (r, v) in enumerate(zip(rows, values, strict=True))
    }
    return pd.DataFrame(found).T.rename_axis("place")


def verdicts(data: RetrievalDataset, rows: np.ndarray, words: str) -> list[Verdict]:
    """For each word that names a class: how many of the pictures found hold it, against all of the gallery."""
    found = []
    for word in words.lower().split():
        if word in data.classes:
            column = np.asarray(data.labels)[:, data.classes.index(word)]
            hits, base = int(column[rows].sum()), column[data.split.gallery].mean()
            word_is = "holds" if hits / len(rows) > base else "does not hold"
            detail = f"{hits / len(rows):.0%} of those found, {base:.0%} of the gallery"
            found.append(Verdict(f"asking for {word} finds more of it than chance", word_is, detail))
    return found


def save(student: Student, data: RetrievalDataset, codes: Tensor, name: str) -> dict[str, Path]:
    """Write the packed codes and the student, each as safetensors; returns the files."""
    folder = runs_dir() / "quickstart"
    folder.mkdir(exist_ok=True)
    packed = torch.from_numpy(pack(codes, student.config.codewords))
    files = {"codes": folder / f"{name}-codes.safetensors", "student": folder / f"{name}-student.safetensors"}
    rows = torch.from_numpy(np.asarray(data.split.gallery))
    save_tensors(files["codes"], {"codes": packed, "rows": rows.int()}, {"bits": str(student.config.bits)})
    save_tensors(files["student"], student.state_dict(), {"config": student.config.model_dump_json()})
    return files

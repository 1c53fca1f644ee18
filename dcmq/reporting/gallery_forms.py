"""The gallery in all its forms, embeddings and codes: the bytes of each, and how well it ranks."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from dcmq.codes.assign import assign
from dcmq.codes.pack import pack
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.efficiency import stored
from dcmq.methods.dcmq.student import Student
from dcmq.networks.inputs import text_inputs
from dcmq.reporting.results import seed_means
from dcmq.reporting.tables import mean_sd
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.teachers.base import TeacherEmbeddings

TEACHER = "teacher"
EMBEDDINGS, CODES = "embeddings", "codes"
UNKNOWN = "not measured here"
ITEM, FILE = "bytes per item", "gallery on disk, kB"


def column(bits: int) -> str:
    """The name that the student with codes of ``bits`` has in tables."""
    return f"DCMQ {bits} bits"


@torch.no_grad()
def storage(students: Mapping[str, Student], data: RetrievalDataset, embeddings: TeacherEmbeddings) -> pd.DataFrame:
    """The bytes of the gallery in all its forms, each written to a file and looked at.

    The texts stand for the images too, since both have embeddings and codes of one length.

    Returns:
        a row per form: model, form (embeddings or codes), kind of number, bytes per item without the header, bytes of
        the file and of its header, and how many items there are.
    """
    rows = data.split.gallery
    forms = [(TEACHER, EMBEDDINGS, embeddings.text[torch.from_numpy(rows)])]
    for name, student in students.items():
        texts, parts = text_inputs(student, data), np.array_split(rows, -(-len(rows) // 1024))
        continuous = torch.cat([student.encode_texts(texts(part)) for part in parts])
        packed = pack(assign(continuous, student.quantizer.codebooks), student.config.num_codewords)
        forms += [(name, EMBEDDINGS, continuous), (name, CODES, torch.from_numpy(packed))]
    sizes = []
    for model, form, array in forms:
        for kind in (torch.uint8,) if form == CODES else (torch.float32, torch.float16):
            file = stored(array.to(kind))
            item = (file.bytes - file.header) / len(rows)
            row = {"model": model, "form": form, "kind": str(kind).removeprefix("torch."), "item": item}
            sizes.append(row | {"file": file.bytes, "header": file.header, "items": len(rows)})
    return pd.DataFrame(sizes)


def halved(embeddings: TeacherEmbeddings) -> TeacherEmbeddings:
    """The teacher's embeddings as half precision leaves them, in float32 again."""
    return replace(embeddings, vectors=lambda: (embeddings.image.half().float(), embeddings.text.half().float()))


def with_quality(
    forms: pd.DataFrame, frame: pd.DataFrame, teachers: Mapping[str, dict], metric: str, name: str
) -> pd.DataFrame:
    """``forms`` with a column ``scores``: ``metric``, mean of both directions, per seed; empty where it is not measured.

    Args:
        forms: as :func:`storage` gives them.
        frame: results of the students' runs.
        teachers: by kind of number, as :func:`dcmq.retrieval.evaluate.evaluate_teacher` measured them.
        name: of ``metric`` with its R.
    """
    by_model = frame.assign(model=frame.bits.map(column))
    galleries = {(CODES, "uint8"): "gallery", (EMBEDDINGS, "float32"): "continuous"}

    def scores(row) -> list[float]:
        if row.model == TEACHER:
            return [float(np.mean([teachers[row.kind][d][name] for d in DIRECTIONS]))]
        gallery = galleries.get((row.form, row.kind))
        return seed_means(by_model, metric, by="model", gallery=gallery)[row.model].tolist() if gallery else []

    return forms.assign(scores=[scores(row) for row in forms.itertuples()])


def storage_table(forms: pd.DataFrame, name: str) -> pd.DataFrame:
    """``forms``, as :func:`with_quality` gives them, as texts to be read; factors are against the teacher in float32."""
    rows = {
        f"{row.model}, {row.form}" + (f" in {row.kind}" if row.form == EMBEDDINGS else ""): {
            ITEM: f"{row.item:,g}",
            "file of the gallery": f"{row.file:,} bytes",
            "smaller than the teacher": f"{forms['item'].iloc[0] / row.item:g} x",
            f"{name}, both directions": mean_sd(row.scores) if row.scores else UNKNOWN,
        }
        for row in forms.itertuples()
    }
    return pd.DataFrame(rows).T


def bytes_table(forms: pd.DataFrame) -> pd.DataFrame:
    """The bytes of what one would keep: the teacher's embeddings in float32, the students' codes. A column per model."""
    forms = forms[(forms.form == CODES) | ((forms.model == TEACHER) & (forms.kind == "float32"))]
    return pd.DataFrame(
        {row.model: {ITEM: f"{row.item:g}", FILE: f"{row.file / 1e3:,.1f}"} for row in forms.itertuples()}
    )

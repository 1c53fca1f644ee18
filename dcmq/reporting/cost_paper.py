"""The paper's Table 5 beside ours, and the sizes of the models that it names."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from dcmq.config import StudentConfig
from dcmq.experiments.efficiency import Size, architecture_size, student_size
from dcmq.experiments.settings import PROFILES
from dcmq.methods.dcmq.student import Student
from dcmq.reporting.cost_tables import IMAGE_PARAMETERS, PARAMETERS, TEXT_PARAMETERS, TRAINING
from dcmq.reporting.gallery_forms import FILE, ITEM, TEACHER
from dcmq.reporting.paper.tables import published
from dcmq.retrieval.evaluate import DIRECTIONS

VOCAB_SIZE = 2026  # of the paper's bags of words on COCO

SizeAndNumbers = tuple[Size, int]  # of a model: its size, and how many numbers its embeddings have


def paper(results: pd.DataFrame, hits: str) -> pd.DataFrame:
    """The paper's Table 5 with ours beside it, where ``results`` has it.

    Args:
        results: as :func:`dcmq.reporting.cost_tables.joined` gives them.
        hits: the name of our mAP with its R; that of the paper's R is not known.
    """
    rows = {
        "storage_per_sample": (ITEM, ITEM),
        "gallery_storage": ("gallery, MB (ours kB)", FILE),
        "parameters": (PARAMETERS, PARAMETERS),
        "training_time": (TRAINING, TRAINING),
        "map_i2t": ("mAP i2t", f"{hits} i2t"),
        "map_t2i": ("mAP t2i", f"{hits} t2i"),
    }
    theirs = published(5).set_index("quantity").drop(columns="unit")
    ours = [name for name in results if name == TEACHER or name.endswith((" 64 bits", " 128 bits"))]
    cells = {
        name: {f"paper, {model}": f"{value:g}" for model, value in theirs.loc[key].items()}
        | {f"ours, {model}": results.loc[row, model] for model in ours}
        for key, (name, row) in rows.items()
    }
    return pd.DataFrame(cells).T


def real_teachers(architectures: Sequence[str]) -> dict[str, SizeAndNumbers]:
    """Sizes of open_clip's ``architectures``, and how many numbers their embeddings have. No weights are needed for it.

    Raises:
        DcmqError: an architecture that open_clip does not have or cannot build.
    """
    return {name: architecture_size(name) for name in architectures}


def real_students(lengths: Sequence[int] = (64, 128)) -> dict[str, SizeAndNumbers]:
    """The same of the paper's student with codes of ``lengths`` bits, without its weights; the widths of its MLP are ours."""
    fields = {k: v for k, v in PROFILES["paper"].items() if k in StudentConfig.model_fields} | {"backbone_weights": ""}
    sizes = {}
    for bits in lengths:
        with torch.device("meta"):
            student = Student(StudentConfig(bits=bits, **fields), VOCAB_SIZE).eval()
        numbers = student.config.num_codebooks * student.config.subvector_dim
        sizes[f"student {bits} bits"] = student_size(student, torch.zeros(1, VOCAB_SIZE)), numbers
    return sizes


def real_table(models: Mapping[str, SizeAndNumbers]) -> pd.DataFrame:
    """``models``, as :func:`real_teachers` and :func:`real_students` give them, as texts to be read: a row per model."""
    rows = {
        name: {
            PARAMETERS: f"{size.parameters / 1e6:.2f}",
            IMAGE_PARAMETERS: f"{size.image_parameters / 1e6:.2f}",
            TEXT_PARAMETERS: f"{size.text_parameters / 1e6:.2f}",
            "billion MACs per image": f"{size.image_macs / 1e9:.3f}",
            "billion MACs per text": f"{size.text_macs / 1e9:.3f}",
            "bytes of an embedding": f"{4 * numbers:,} in float32, {2 * numbers:,} in float16",
        }
        for name, (size, numbers) in models.items()
    }
    return pd.DataFrame(rows).T


def paper_notes(teachers: Mapping[str, SizeAndNumbers]) -> list[str]:
    """Sentences on what the numbers of the paper's Table 5 say of each other, and of ``teachers``.

    Args:
        teachers: as :func:`real_teachers` gives them.
    """
    table, first = published(5).set_index("quantity"), published(1)
    cmmq = first[(first.variant == "CMMQ") & (first.dataset == "coco")].pivot(
        index="bits", columns="task", values="map"
    )
    same = [f"{bits}" for bits, row in cmmq.iterrows() if all(row[d] == table.CMMQ[f"map_{d}"] for d in DIRECTIONS)]
    items = {name: table[name].gallery_storage * 1e6 / table[name].storage_per_sample for name in ("CLIP", "CMMQ")}
    codebooks = 4 * StudentConfig(bits=64).num_codebooks * StudentConfig().num_codewords * StudentConfig().subvector_dim
    size, millions = table.CLIP.storage_per_sample, table.CLIP.parameters
    notes = [
        f"Codes of {table.DCMQ.storage_per_sample:g} bytes are codes of {8 * table.DCMQ.storage_per_sample:g} bits.",
        f"CMMQ's mAP, {table.CMMQ.map_i2t} and {table.CMMQ.map_t2i}, is in Table 1 (MS COCO) that of "
        f"{', '.join(same)} bits.",
        f"The galleries hold {items['CLIP']:,.0f} (CLIP) and {items['CMMQ']:,.0f} (CMMQ) items, if 1 MB is 10^6 bytes.",
        f"DCMQ's gallery is {table.DCMQ.gallery_storage - table.CMMQ.gallery_storage:.2f} MB larger than CMMQ's; codebooks "
        f"like ours, for 64 bits, take {codebooks / 1e6:.3f} MB in float32.",
        f"CLIP's {size:,g} bytes per item are {size / 4:g} numbers in float32, {size / 2:g} in float16.",
    ]
    if teachers:
        nearest = min(teachers, key=lambda name: abs(teachers[name][0].parameters / 1e6 - millions))
        notes.append(
            f"CLIP's {millions:g} million parameters are nearest to those of {nearest}, "
            f"{teachers[nearest][0].parameters / 1e6:.2f}, whose embeddings have {teachers[nearest][1]:,} numbers."
        )
    return notes

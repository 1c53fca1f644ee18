"""Whether one threshold on the score can say that nothing matches, and how stable the codes behind the scores are."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pydantic import Field

from dcmq.codes.assign import assign
from dcmq.codes.stability import changes, largest_change, margins
from dcmq.data.dataset import RetrievalDataset
from dcmq.experiments.plan import PlannedRun, Variant, method_variants
from dcmq.experiments.runs import trained_student
from dcmq.experiments.study import Methods, TrainingStudy, register_study
from dcmq.methods.dcmq.student import Student
from dcmq.methods.registry import METHODS
from dcmq.networks.features import embed
from dcmq.reporting import plots
from dcmq.reporting.results import table
from dcmq.reporting.verdicts import Verdict, claim, decide
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.galleries import galleries, judged_gallery
from dcmq.teachers.base import TeacherEmbeddings

MEASURES = {"AUROC": "AUROC of pairs", "no match": "AUROC of a match exists"}  # in records: in tables
REACHED = {
    "precision on the cut": "precision on the cut",
    "precision": "precision reached",
    "recall": "recall",
    "queries with a match": "queries with a match",
}
SUBJECT, RANDOM = "DCMQ", "random scores"
BATCHES = (1, 7, 64)
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
REFERENCE_BATCH = 256
FEW = 200  # items in reduced precisions, which are slow on most CPUs


@register_study
class Parameters(TrainingStudy):
    """The parameters of the notebook; ``methods`` is a comma-separated list."""

    notebook: ClassVar[str] = "no_match"
    item: ClassVar[str] = "ours"
    title: ClassVar[str] = "Can one say 'no match'?"
    claim: ClassVar[str] = (
        "The paper ranks, and says nothing of thresholds: whether a score means the same for every query is our question."
    )

    seeds: str = "0,1,2,3,4,5,6,7,8,9"
    bits: int = Field(64, gt=0)
    methods: Methods = "DCMQ,DCMQ-raw,DCMQ-multihot,DCMQ-identity,CMHH,teacher-OPQ-labels"
    stable_items: int = Field(1000, ge=2)

    def variants(self) -> list[Variant]:
        """The methods asked for."""
        return method_variants(self.methods)


def pairs_frame(plan: Sequence[PlannedRun], records: Sequence[dict]) -> pd.DataFrame:
    """The use of thresholds, on the judged gallery: a row per run, direction and measure, with the columns that
    :func:`dcmq.reporting.verdicts.claim` reads. What a record does not have, such as a threshold without a cut, is left out."""
    rows = []
    for run, record in zip(plan, records, strict=True):
        for direction in DIRECTIONS:
            gallery = judged_gallery(record["evaluation"][direction])
            found = record["evaluation"][direction][gallery]["pairs"]
            threshold = found.get("threshold", {})
            values = {MEASURES[name]: found[name] for name in MEASURES if name in found}
            values |= {REACHED[name]: threshold[name] for name in REACHED if name in threshold}
            common = {"variant": run.variant, "seed": run.config.seed, **run.tags}
            common |= {"direction": direction, "gallery": gallery, "data": record["dataset"]["fingerprint"]}
            rows += [common | {"metric": name, "value": value, "queries": None} for name, value in values.items()]
    return pd.DataFrame(rows)


def measures_table(pairs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Mean ± sd over seeds: a row per variant, a column per measure of ``names`` and direction."""
    return table(pairs[pairs.metric.isin(list(names))])


def precision_aimed_at(records: Sequence[dict]) -> float | None:
    """The precision for which thresholds were chosen; None where no record has a cut to choose on."""
    for record in records:
        measured = record["evaluation"][DIRECTIONS[0]]
        if threshold := measured[judged_gallery(measured)]["pairs"].get("threshold"):
            return threshold["aimed at"]
    return None


def random_levels(data: RetrievalDataset) -> dict[str, float]:
    """The level of random scores by each AUROC on the judged gallery: .5 by pairs, and more by a match exists, as the highest of more
    items is higher. With a share s of relevant items it is 1 / (2 - s) then; the mean over queries that have a match."""
    places = galleries(data.split)
    items = data.split.gallery[places[judged_gallery(places)]]
    related = data.labels[data.split.query].astype(np.int64) @ data.labels[items].T.astype(np.int64) > 0
    share = related.mean(1)
    share = share[(share > 0) & (share < 1)]
    return dict(zip(MEASURES.values(), (0.5, float((1 / (2 - share)).mean())), strict=True))


def verdicts(pairs: pd.DataFrame, levels: Mapping[str, float]) -> list[Verdict]:
    """DCMQ against random scores and against every other row, by both AUROCs.

    Args:
        levels: as :func:`random_levels` gives them.
    """
    names = list(dict.fromkeys(pairs.variant))
    if SUBJECT not in names:
        return []
    blind = pairs[(pairs.variant == SUBJECT) & pairs.metric.isin(list(levels))]
    blind = blind.assign(variant=RANDOM, value=blind.metric.map(levels))
    frame = pd.concat([pairs, blind], ignore_index=True)
    others = [RANDOM, *(name for name in names if name != SUBJECT)]
    return decide([claim(frame, SUBJECT, other, metrics=tuple(MEASURES.values())) for other in others])


def figure(pairs: pd.DataFrame, levels: Mapping[str, float], aimed: float | None) -> plt.Figure:
    """Three panels below each other, a mark per seed and direction for each row: AUROC of pairs, AUROC of a match exists, and the precision that
    the threshold reached, with a line at the one that was aimed at. Without a threshold there are two.

    Args:
        levels: of random scores, a dotted line each.
    """
    panels = [(name, {RANDOM: levels[name]}) for name in MEASURES.values()]
    panels += [] if aimed is None else [(REACHED["precision"], {"aimed at": aimed})]
    size = (max(5.0, 1.3 * pairs.variant.nunique() + 1), 2.7 * len(panels))
    fig, axes = plt.subplots(len(panels), 1, figsize=size, sharex=True)
    for axis, (name, lines) in zip(axes, panels, strict=True):
        plots.dots(axis, pairs[pairs.metric == name], name)
        plots.references(axis, lines)
        axis.set_ylabel(f"{name},\naxis not from 0", fontsize=9)
        axis.set_title(plots.DOTS if axis is axes[0] else "", fontsize=9)
    fig.tight_layout()
    return fig


def student(p: Parameters, data: RetrievalDataset, embeddings: TeacherEmbeddings) -> Student:
    """The trained student of DCMQ for the first seed, on the CPU."""
    config = p.config(SUBJECT, bits=p.bits, seed=p.seed_list[0], **METHODS[SUBJECT].settings)
    return trained_student(config, data, embeddings).cpu()


def stability_table(network: Student, data: RetrievalDataset, rows: np.ndarray) -> pd.DataFrame:
    """The changes in the codes of ``rows`` when they are encoded in other batches, precisions, or on another device, against
    float32 on the CPU in batches of at most 256: a row per way and modality, texts as cells.

    Columns: items, shares of items, codewords and bits that change, the largest change of a cosine, and the share of codewords
    whose margin is at most twice that: only these can change. A way that does not run here has a row that says so.
    """
    reference, table_rows = embed(network, data, rows, REFERENCE_BATCH), {}
    ways = [(f"batches of at most {size}", len(rows), size, None, "cpu") for size in BATCHES]
    ways += [(f"{name} autocast", min(FEW, len(rows)), REFERENCE_BATCH, name, "cpu") for name in PRECISIONS]
    ways += [("GPU", len(rows), REFERENCE_BATCH, None, "cuda")] if torch.cuda.is_available() else []
    for way, count, batch, precision, device in ways:
        try:
            found = _encoded(network.to(device), data, rows[:count], batch, precision)
        except RuntimeError:  # float16 has no kernels on some CPUs
            table_rows[f"{way}, does not run here"] = dict.fromkeys(_COLUMNS, "")
            continue
        finally:
            network.cpu()
        for modality, before, after in zip(("images", "texts"), reference, found, strict=True):
            books = network.quantizer_of(modality.removesuffix("s")).codebooks.detach()
            table_rows[f"{way}, {modality}"] = _change(before[:count], after, books)
    return pd.DataFrame.from_dict(table_rows, orient="index", columns=_COLUMNS)


_COLUMNS = (
    "items",
    "items changed",
    "codewords changed",
    "bits changed",
    "cosines moved by at most",
    "codewords in reach",
)


def _encoded(network: Student, data: RetrievalDataset, rows: np.ndarray, batch: int, precision: str | None):
    with torch.autocast("cpu", PRECISIONS.get(precision), enabled=precision is not None):
        return embed(network, data, rows, batch)


def _change(before: torch.Tensor, after: torch.Tensor, books: torch.Tensor) -> dict[str, str]:
    found = changes(assign(before, books), assign(after, books), books.shape[1])
    moved = largest_change(before, after, books)
    reach = (margins(before, books) <= 2 * moved).double().mean().item()
    shares = [f"{share:.3%}" for share in (found.items, found.codewords, found.bits)]
    return dict(zip(_COLUMNS, [f"{len(before)}", *shares, f"{moved:.1e}", f"{reach:.3%}"], strict=True))


def margins_text(network: Student, data: RetrievalDataset, rows: np.ndarray) -> str:
    """A line per modality on how close the choice of codewords is: the lead of the best cosine over the second-best."""
    lines = []
    for modality, found in zip(("images", "texts"), embed(network, data, rows, REFERENCE_BATCH), strict=True):
        lead = margins(found, network.quantizer_of(modality.removesuffix("s")).codebooks.detach())
        lines.append(f"{modality}: the lead is {lead.median():.3f} in the middle, {lead.min():.1e} at the least")
    return "\n".join(lines)


def device_text() -> str:
    """A line on whether codes of a GPU are compared."""
    return f"GPU: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "no GPU here"


def stability_text(found: pd.DataFrame) -> str:
    """Two lines: in which ways codes stay as they are, and in which bits change.

    Args:
        found: as :func:`stability_table` gives it.
    """
    share = found[found["items"] != ""]["bits changed"].str.rstrip("%").astype(float)
    same, changed = (
        list(share.index[share == 0]),
        [f"{name} ({value:.3f} %)" for name, value in share[share > 0].items()],
    )
    return f"No bit changes: {'; '.join(same) or 'in no way'}.\nBits change: {'; '.join(changed) or 'in no way'}."

"""The codebooks: how much each codeword is used, and the items of a codeword, of a code, or of a ball around one."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.assign import lookup_tables
from dcmq.codes.usage import normalized_entropy, usage
from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.explore.bench import Bench
from dcmq.explore.items import KINDS
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request

Kind = Literal["images", "texts"]
Distance = Literal["hamming", "codewords"]
Limit = Annotated[int, Field(ge=1, le=500)]
_BARS = 32  # of the histogram of distances, at most


def usage_summary(indices: Tensor, num_codewords: int) -> dict:
    """Numbers of (n, M) codes: ``counts`` (M, K) int64, ``entropy`` (M,) from 0 to 1, ``mean_entropy``, ``dead`` codewords,
    ``codes``: distinct ones, and ``largest``: the number of items that share the most frequent code."""
    shares = usage(indices, num_codewords)
    entropy = normalized_entropy(shares)
    per_code = torch.unique(indices, dim=0, return_counts=True)[1]
    return {
        "counts": (shares * len(indices)).round().long(),
        "entropy": entropy,
        "mean_entropy": entropy.mean().item(),
        "dead": int((shares == 0).sum()),
        "codes": len(per_code),
        "largest": int(per_code.max()),
    }


def items_of_codeword(indices: Tensor, cosines: Tensor, m: int, k: int) -> Tensor:
    """Positions of the codes (n, M) whose ``m``-th number is ``k``, nearest to the codeword first.

    Args:
        cosines: (n,) of each item's m-th sub-vector with that codeword.
    """
    rows = (indices[:, m] == k).nonzero()[:, 0]
    return rows[cosines[rows].argsort(descending=True, stable=True)]


def hamming_distances(indices: Tensor, code: Tensor) -> Tensor:
    """(n,) int64: in how many sub-codes each of (n, M) codes differs from the code (M,)."""
    return (indices != code).sum(1)


def codeword_distances(indices: Tensor, code: Tensor, codebooks: Tensor) -> Tensor:
    """(n,) in [0, 2 M]: the sum over m of 1 - cosine between the codewords that (n, M) codes and the code (M,) name."""
    normalized = F.normalize(codebooks, dim=2)
    own = normalized[torch.arange(len(codebooks)), code]  # (M, D / M)
    table = 1 - torch.einsum("mkd,md->mk", normalized, own)
    table[torch.arange(len(codebooks)), code] = 0  # an equal codeword is no distance away, whatever rounding says
    return sum(table[m, indices[:, m]] for m in range(len(codebooks))).clamp_min(0)


def ball(distances: Tensor, radius: float) -> Tensor:
    """Positions of the (n,) ``distances`` of at most ``radius``, the nearest first, equal ones in order."""
    rows = (distances <= radius).nonzero()[:, 0]
    return rows[distances[rows].argsort(stable=True)]


def gallery_codes(bench: Bench, ranker: Ranker, kind: str) -> tuple[np.ndarray, Tensor]:
    """(g,) rows of the gallery of a kind, and their codes (g, M). Raises DcmqError where there are none."""
    rows = bench.items.gallery(kind)
    return rows, ranker.codes[kind][torch.from_numpy(rows)]


def usage_of(bench: Bench, ranker: Ranker) -> dict[str, dict]:
    """The :func:`usage_summary` of the gallery's codes by kind of item."""
    return {
        kind: bench.cached(
            ("usage", ranker.name, kind),
            lambda kind=kind: usage_summary(gallery_codes(bench, ranker, kind)[1], ranker.codebooks.shape[1]),
        )
        for kind in KINDS
        if bench.items.has[kind].any()
    }


def _ranker(bench: Bench, name: str) -> Ranker:
    if name not in bench.rankers:
        raise DcmqError(f"codebooks: no ranker is called {name!r}{suggestion(name, bench.rankers)}")
    return bench.rankers[name]


@register_request
def codebook_usage(bench: Bench) -> Answer:
    """The usage of codewords by each kind of item, for each shown ranker with codes; buffers of counts, int32 (M, K).

    Raises:
        DcmqError: no shown ranker has codes.
    """
    rankers = [ranker for ranker in bench.shown_rankers if ranker.codebooks is not None]
    if not rankers:
        raise DcmqError("codebooks: none of the rankers shown has codes; choose a student")
    maps, buffers = [], []
    for ranker in rankers:
        num_codebooks, num_codewords = ranker.codebooks.shape[:2]
        for kind, summary in usage_of(bench, ranker).items():
            buffers.append(summary["counts"].numpy().astype(np.int32).tobytes())
            numbers = {name: summary[name] for name in ("mean_entropy", "dead", "codes", "largest")}
            maps.append(
                {"ranker": ranker.name, "kind": kind, "M": num_codebooks, "K": num_codewords}
                | {"items": len(bench.items.gallery(kind)), "entropy": summary["entropy"].tolist()}
                | numbers
            )
    return {"maps": maps}, buffers


@register_request
def codeword_items(
    bench: Bench,
    ranker: str,
    kind: Kind,
    m: Annotated[int, Field(ge=0)],
    k: Annotated[int, Field(ge=0)],
    limit: Limit = 60,
) -> Answer:
    """The first ``limit`` items of the gallery whose ``m``-th codeword is ``k``, nearest to it first, and how many there are.

    Raises:
        DcmqError: no such ranker or codeword.
    """
    chosen = _ranker(bench, ranker)
    rows, codes = gallery_codes(bench, chosen, kind)
    num_codebooks, num_codewords, dim = chosen.codebooks.shape
    if m >= num_codebooks or k >= num_codewords:
        raise DcmqError(
            f"codebooks: {ranker} has {num_codebooks} codebooks of {num_codewords} codewords, no ({m}, {k})"
        )
    part = chosen.embeddings[kind][torch.from_numpy(rows), m * dim : (m + 1) * dim]
    cosines = lookup_tables(part, chosen.codebooks[m : m + 1, k : k + 1])[:, 0, 0]
    found = items_of_codeword(codes, cosines, m, k)
    return {
        "rows": rows[found[:limit].numpy()].tolist(),
        "cosines": [round(cosine, 3) for cosine in cosines[found[:limit]].tolist()],
        "count": len(found),
    }, []


@register_request
def code_ball(
    bench: Bench,
    ranker: str,
    kind: Kind,
    row: int,
    of: Kind,
    distance: Distance = "hamming",
    radius: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0,
    limit: Limit = 60,
) -> Answer:
    """The first ``limit`` items of the gallery of ``kind`` whose codes lie within ``radius`` of the code of a row's image or
    text, which ``of`` chooses; the code itself, how many items there are, and how many lie at each distance.

    ``hamming`` counts sub-codes that differ; ``codewords`` sums 1 - cosine of their codewords.
    """
    chosen = _ranker(bench, ranker)
    (row,) = bench.items.rows_of([row])
    if not bench.items.has[of][row]:
        raise DcmqError(f"codebooks: {bench.items.ids[row]} is no {of[:-1]}; choose one that is")
    rows, codes = gallery_codes(bench, chosen, kind)
    code, largest = chosen.codes[of][row], len(chosen.codebooks)
    if distance == "hamming":
        distances = hamming_distances(codes, code).float()
        bars = largest + 1
        counts = torch.bincount(distances.long(), minlength=bars)
        edges = list(range(bars))
    else:
        distances = codeword_distances(codes, code, chosen.codebooks)
        counts = torch.histc(distances, _BARS, 0, 2 * largest)
        edges = [2 * largest * i / _BARS for i in range(_BARS)]
    found = ball(distances, radius)
    return {
        "code": code.tolist(),
        "rows": rows[found[:limit].numpy()].tolist(),
        "distances": [round(d, 3) for d in distances[found[:limit]].tolist()],
        "count": len(found),
        "largest": largest if distance == "hamming" else 2 * largest,
        "edges": edges,
        "counts": counts.long().tolist(),
    }, []

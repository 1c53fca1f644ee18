"""The map: embeddings in two dimensions, and values to colour them by."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dcmq.codes.assign import lookup_tables, unit_subvectors
from dcmq.codes.ranking import first_k, ranking_keys, scores_and_positions
from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.explore.bench import Bench
from dcmq.explore.items import KINDS
from dcmq.explore.rankers import Ranker
from dcmq.explore.requests import Answer, register_request
from dcmq.retrieval.metrics import tie_permutation

NEAREST = 10  # k of the lists that hubness counts
NONE = 255  # the colour of a point that has no value
_PART = 8192  # rows at a time
_CHUNK = 64  # queries that are scored at a time
_MOST_QUERIES, _MOST_PAIRS = 1000, 30_000_000  # whose lists hubness counts, and of queries and items: some seconds

Kinds = Literal["images", "texts", "both"]
Layout = Literal["pca", "umap"]
Color = Literal["class", "label", "split", "hubness", "error"]


def principal_axes(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first two principal axes of (n, D) rows, (D, 2) float64, and their shares (2,) of the variance.

    Exact, by the eigenvectors of the covariance. An axis is turned so that its entry of the largest size is positive: the
    same rows give the same map.
    """
    mean = x.mean(0, dtype=torch.float64).float()
    covariance = sum(((part - mean).T @ (part - mean)).double() for part in x.split(_PART))
    values, vectors = torch.linalg.eigh(covariance)  # in rising order
    axes, variances = vectors[:, -2:].flip(1), values[-2:].flip(0).clamp_min(0)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    total = values.clamp_min(0).sum()
    return axes * largest.sign(), variances / total if total > 0 else variances


def pca(x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, 2) float32 places of (n, D) rows on their :func:`principal_axes`, about their mean, and the (2,) shares."""
    axes, shares = principal_axes(x)
    mean = x.mean(0, dtype=torch.float64).float()
    return torch.cat([(part - mean) @ axes.float() for part in x.split(_PART)]), shares


def umap(x: Tensor, neighbours: int = 15) -> Tensor:
    """(n, 2) float32 places of (n, D) rows by UMAP on their cosines; the same for the same rows.

    Raises:
        DcmqError: the package is not installed, or there are too few rows.
    """
    if len(x) <= neighbours:
        raise DcmqError(f"map: UMAP needs more than {neighbours} items, these are {len(x)}; choose PCA")
    try:
        from umap import UMAP  # takes seconds, and is an extra
    except ImportError:
        raise DcmqError("map: UMAP is an extra: pip install 'dcmq[umap]', or choose PCA") from None
    layout = UMAP(n_neighbors=neighbours, metric="cosine", random_state=0, n_jobs=1)
    return torch.from_numpy(np.ascontiguousarray(layout.fit_transform(x.numpy()), dtype=np.float32))


def rarest_label(labels: np.ndarray) -> np.ndarray:
    """(n,) int64: of each row of (n, C) 0/1 labels, the class that the fewest rows have; -1 for a row without any.

    Of classes equally rare the first is taken.
    """
    counts = labels.sum(0, dtype=np.int64)
    ranked = np.argsort(counts, kind="stable")
    has = labels[:, ranked] > 0
    return np.where(has.any(1), ranked[has.argmax(1)], -1)


def levels(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """uint8 steps 0 to 254 of (n,) values between ``low`` and ``high``, and these two; NaN gives :data:`NONE`.

    ``high`` is the value that a hundredth exceeds, so that a few extremes leave the others their colours.
    """
    known = ~np.isnan(values)
    low, high = (
        (float(np.quantile(values[known], q, method="higher")) for q in (0, 0.99)) if known.any() else (0.0, 0.0)
    )
    steps = np.full(len(values), NONE, np.uint8)
    shares = (values[known] - low) / (high - low) if high > low else np.zeros(known.sum())
    steps[known] = (254 * shares.clip(0, 1)).round()
    return steps, low, high


def nearest(scores: np.ndarray, k: int) -> np.ndarray:
    """(q, k) positions of the largest of each row of (q, g) ``scores``, best first, ties in the order of the metrics."""
    positions = tie_permutation(scores.shape[1]).argsort().numpy()
    places = scores_and_positions(first_k(ranking_keys(scores, positions), k))[1]
    return positions.argsort()[places]


def hubness(nearest: np.ndarray, n: int) -> np.ndarray:
    """(n,) int64: in how many of the (q, k) lists of ``nearest`` items each of ``n`` items stands."""
    return np.bincount(nearest.ravel(), minlength=n)


def quantization_error(x: Tensor, indices: Tensor, codebooks: Tensor) -> Tensor:
    """(n,) in [0, 2]: distance of each (n, D) embedding from the codewords that its code (n, M) names.

    The root of the mean over sub-vectors of |x_m - c_m|^2, sub-vectors and codewords at length 1: assignment and scores see
    their cosines alone. A zero sub-vector counts as orthogonal to its codeword.
    """
    errors = []
    for part, codes in zip(x.split(_PART), indices.split(_PART), strict=True):
        cosines = lookup_tables(part.float(), codebooks).gather(2, codes[:, :, None])[:, :, 0]
        errors.append((2 - 2 * cosines).clamp_min(0).mean(1).sqrt())
    return torch.cat(errors)


def compared(ranker: Ranker, kind: str, rows: np.ndarray) -> Tensor:
    """(n, D): embeddings as scores compare them: at length 1, or with every sub-vector at length 1 where there are codes."""
    x = ranker.embeddings[kind][torch.from_numpy(rows)]
    return F.normalize(x, dim=1) if ranker.codebooks is None else unit_subvectors(x, len(ranker.codebooks))


def shown_rows(bench: Bench, kinds: Kinds) -> dict[str, np.ndarray]:
    """The rows that are on the map by kind. Raises DcmqError where there are none."""
    rows = {kind: np.flatnonzero(bench.items.has[kind]) for kind in KINDS if kinds in (kind, "both")}
    if not sum(map(len, rows.values())):
        raise DcmqError(f"map: {bench.items.name} holds no {kinds}")
    return rows


def places(bench: Bench, ranker: Ranker, kinds: Kinds, layout: Layout) -> tuple[np.ndarray, list[float]]:
    """(n, 2) float32 places of all images, then of all texts; and for PCA the two axes' shares of the variance."""

    def compute() -> tuple[np.ndarray, list[float]]:
        x = torch.cat([compared(ranker, kind, rows) for kind, rows in shown_rows(bench, kinds).items()])
        if layout == "umap":
            return umap(x).numpy(), []
        points, shares = pca(x)
        return points.numpy(), shares.tolist()

    return bench.cached(("places", ranker.name, kinds, layout), compute)


def item_hubness(bench: Bench, ranker: Ranker, kind: str) -> np.ndarray:
    """(n,) float64: how many of the queries' first :data:`NEAREST` hold each item of a kind; NaN outside the gallery.

    Queries are items of the other kind where there are any, else of the same kind, of which each leaves itself out; a sample
    of them where there are many.
    """
    items, gallery = bench.items, bench.items.gallery(kind)
    other = next((k for k in KINDS if k != kind and items.has[k].any()), kind)
    asked = np.flatnonzero(items.has[other] & (items.splits == "query"))
    asked = asked if len(asked) else np.flatnonzero(items.has[other])
    most = min(_MOST_QUERIES, max(1, _MOST_PAIRS // len(gallery)))
    if len(asked) > most:
        asked = np.sort(np.random.default_rng(0).permutation(asked)[:most])
    score, counts = bench.scorer(ranker, kind), np.zeros(len(gallery), np.int64)
    for part in np.array_split(asked, -(-len(asked) // _CHUNK)):
        scores = score(ranker.embeddings[other][torch.from_numpy(part)]).numpy()
        if other == kind:
            scores = np.where(part[:, None] == gallery, -np.inf, scores)
        counts += hubness(nearest(scores, min(NEAREST, len(gallery))), len(gallery))
    values = np.full(len(items), np.nan)
    values[gallery] = counts
    return values


def item_errors(bench: Bench, ranker: Ranker, kind: str) -> np.ndarray:
    """(n,) float64: :func:`quantization_error` of each item of a kind.

    Raises:
        DcmqError: the ranker has no codes, or nothing but codes.
    """
    if ranker.encode is not None:
        raise DcmqError(f"{ranker.name} keeps the codes of its items alone: nothing says how far they were from them")
    return quantization_error(ranker.embeddings[kind], ranker.codes[kind], ranker.codebooks).double().numpy()


MEASURES = {  # by what the browser calls them: title, and function of (bench, ranker, kind) to a value per item
    "hubness": (f"hubness: queries that have it among their first {NEAREST}", item_hubness),
    "error": ("quantization error of sub-vectors at length 1", item_errors),
}


def category_colors(bench: Bench, color: str, label: str) -> tuple[str, list[str], np.ndarray]:
    """Title, names and (n,) uint8 numbers of the categories of all items, the most frequent first; :data:`NONE` for none.

    Raises:
        DcmqError: there are no labels, or no such class.
    """
    items = bench.items
    if color == "split":
        title, names = "split", list(dict.fromkeys(items.splits.tolist()))
        numbers = np.array([names.index(split) for split in items.splits.tolist()])
    elif items.labels is None:
        raise DcmqError(f"map: {items.name} has no labels; colour by another value")
    elif color == "class":
        title, names = "class, of several the rarest", list(items.classes)
        numbers = rarest_label(items.labels)
    elif label not in items.classes:
        raise DcmqError(f"map: {label!r} is no class of {items.name}{suggestion(label, items.classes)}")
    else:
        title, names = "label", [label, f"not {label}"]
        numbers = np.where(items.labels[:, items.classes.index(label)], 0, 1)
    if color != "label":
        order = np.argsort(-np.bincount(numbers[numbers >= 0], minlength=len(names)), kind="stable")
        names, numbers = [names[i] for i in order], np.where(numbers < 0, -1, order.argsort()[numbers])
    if len(names) > NONE:
        names, numbers = [*names[: NONE - 1], "other classes"], np.minimum(numbers, NONE - 1)
    return title, names, np.where(numbers < 0, NONE, numbers).astype(np.uint8)


def colors(bench: Bench, ranker: Ranker, kinds: Kinds, color: Color, label: str = "") -> tuple[dict, np.ndarray]:
    """A legend and the (n,) uint8 colours of all images, then of all texts; :data:`NONE` where there is no value.

    The legend has a ``title``, and ``names`` for categories, or ``low`` and ``high`` for the colours 0 and 254 of a measure.
    """
    rows = shown_rows(bench, kinds)
    if color not in MEASURES:
        title, names, numbers = category_colors(bench, color, label)
        return {"title": title, "names": names}, np.concatenate([numbers[r] for r in rows.values()])
    title, measure = MEASURES[color]
    values = [
        bench.cached((color, ranker.name, kind), lambda kind=kind: measure(bench, ranker, kind))[own]
        for kind, own in rows.items()
        if len(own)
    ]
    steps, low, high = levels(np.concatenate(values))
    return {"title": title, "low": low, "high": high}, steps


@register_request
def map_places(bench: Bench, kinds: Kinds = "images", layout: Layout = "pca") -> Answer:
    """Buffers: the rows of the points, int32, images before texts; then for each shown ranker their places, float32 (n, 2)."""
    rows = shown_rows(bench, kinds)
    found = [places(bench, ranker, kinds, layout) for ranker in bench.shown_rankers]
    return {
        "images": len(rows.get("images", [])),
        "panels": [
            {"name": ranker.name, "shares": shares}
            for ranker, (_, shares) in zip(bench.shown_rankers, found, strict=True)
        ],
    }, [np.concatenate(list(rows.values())).astype(np.int32).tobytes(), *(points.tobytes() for points, _ in found)]


@register_request
def map_colors(bench: Bench, kinds: Kinds = "images", color: Color = "class", label: str = "") -> Answer:
    """A legend, see :func:`colors`, and a buffer of colours, uint8, for each shown ranker.

    A ranker that has no such value has an ``error`` for a legend, and all its points the colour of none.
    """
    legends, buffers = [], []
    for ranker in bench.shown_rankers:
        try:
            legend, steps = colors(bench, ranker, kinds, color, label)
        except DcmqError as error:
            legend = {"title": "", "error": str(error)}
            steps = np.full(sum(map(len, shown_rows(bench, kinds).values())), NONE, np.uint8)
        legends.append(legend)
        buffers.append(steps.tobytes())
    return {"legends": legends}, buffers

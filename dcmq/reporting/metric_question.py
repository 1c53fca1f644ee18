"""The question of the metric: how much of a lead the choice between mAP@R (hits) and mAP@all can make."""

import pandas as pd

from dcmq.reporting.paper.tables import published
from dcmq.reporting.results import METRICS, WHERE, metric_name
from dcmq.retrieval.galleries import WHOLE

COMPARED = ("PQ", "OPQ", "DCMH", "SSAH", "CMHH", "CMMQ", "DCH-SCR")  # the paper's Table 1
OWN = ("DCMQ(CLIP-ViT-B32)", "DCMQ(DeCLIP-ViT-B32)")


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that compare with the paper's: both conventions, train inside the gallery."""
    return frame[(frame.gallery == WHOLE) & frame.metric.isin(METRICS)]


def metric_table(frame: pd.DataFrame, r: int) -> pd.DataFrame:
    """Both conventions on the same codes, and their difference, on the whole gallery: means over code lengths, directions and
    seeds."""
    means = _whole(frame).groupby(["variant", "metric"], sort=False).value.mean().unstack()
    means = means.loc[list(dict.fromkeys(frame.variant)), list(METRICS)]
    means["difference"] = means[METRICS[0]] - means[METRICS[1]]
    cells = means.rename(columns={METRICS[0]: metric_name(METRICS[0], r)}).map("{:.3f}".format)
    return cells.rename_axis(None).rename_axis(None, axis=1)


def published_lead() -> pd.Series:
    """DCMQ's (CLIP) printed mAP less the best printed mAP of the compared methods, mean over bits and tasks, by data set."""
    numbers = published(1)
    cells = numbers.pivot(index=["dataset", "bits", "task"], columns="variant", values="map")
    rivals = [name for name in COMPARED if name in cells]
    return (cells[OWN[0]] - cells[rivals].max(axis=1)).groupby("dataset").mean()


def metric_paragraph(frame: pd.DataFrame, r: int, chance: float) -> str:
    """A paragraph on what the choice of mAP@R (hits) or mAP@all can do to a lead, computed on the codes of ``frame``.

    Args:
        chance: mAP@all of a random ranking.
    """
    means = _whole(frame).groupby(["metric", "variant"]).value.mean()
    hits, over_all = means[METRICS[0]], means[METRICS[1]]
    rivals = [name for name in COMPARED if name in hits.index]
    if "DCMQ" not in hits.index or not rivals:
        return "DCMQ or the compared methods are missing from this run: nothing to say on the metric."
    best = over_all[rivals].idxmax()
    like, mixed = hits["DCMQ"] - hits[best], hits["DCMQ"] - over_all[best]
    like_all = over_all["DCMQ"] - over_all[best]
    moved = hits[best] - over_all[best]
    leads = published_lead()
    stated = ", ".join(f"{lead:.3f} on {name}" for name, lead in leads.items())
    return (
        f"The paper prints one mAP for all rows and its R is not known. Its DCMQ (CLIP) stands above the best compared "
        f"method by {stated}, on average over code lengths and directions. On the codes of this run, {WHERE[WHOLE]} (chance "
        f"{chance:.3f}), DCMQ less {best}, the best compared method by mAP@all, is {like:+.3f} if both are measured by "
        f"{metric_name(METRICS[0], r)} and {like_all:+.3f} if both by mAP@all. Were DCMQ measured by "
        f"{metric_name(METRICS[0], r)} and {best} by mAP@all, it would be {mixed:+.3f}: the convention alone moves "
        f"{best} by {moved:.3f}, which is {moved / leads.mean():.0%} of the mean lead that is printed. This says what a "
        f"mix of conventions could do on these data, whose size differs; it cannot say which convention any printed row "
        f"follows."
    )

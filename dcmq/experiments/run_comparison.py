"""Records side by side: the settings in which two runs differ, their metrics, and their queries one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

from dcmq.experiments.run_list import judged_metrics

DIRECTIONS = ("i2t", "t2i", "i2i", "t2t")  # the last two within one modality, and on the judged gallery alone
GALLERIES = ("gallery", "unseen", "continuous")


@dataclass(frozen=True)
class MetricPair:
    """A metric of two runs, between 0 and 1; None where a run does not have it."""

    direction: str
    gallery: str
    metric: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """b - a."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class PairedQueries:
    """The average precision of each query under two runs.

    Attributes:
        mean_difference: mean over queries of the second run's AP minus the first's, to a thousandth for each.
        better, worse, equal: how many queries the second run ranks better, worse, and alike.
    """

    direction: str
    metric: str
    mean_difference: float
    better: int
    worse: int
    equal: int


def described(record: dict) -> dict[str, object]:
    """The facts that decided a run, by name: settings as notebooks name them, then ``data.*``, ``teacher.*`` and ``versions.*``."""
    config = record["config"]
    facts = {name: value for name, value in config.items() if name not in ("student", "options")}
    facts |= config.get("student", {})
    facts |= {f"{config.get('method')}.{name}": value for name, value in (config.get("options") or {}).items()}
    for part, heading in (("dataset", "data"), ("teacher", "teacher"), ("versions", "versions")):
        facts |= {f"{heading}.{name}": value for name, value in _flat(record.get(part) or {})}
    return facts | {name: record[name] for name in ("backbone", "code", "git", "device", "machine") if name in record}


def differing(a: dict, b: dict) -> dict[str, tuple[object, object]]:
    """The facts that two records give differently, each with both values; None where a record does not have it."""
    first, second = described(a), described(b)
    names = dict.fromkeys([*first, *second])
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def metric_pairs(a: dict, b: dict) -> list[MetricPair]:
    """A pair for each mAP that one of two records has, by direction and gallery."""
    first, second = measured(a), measured(b)
    pairs = []
    for direction, gallery in dict.fromkeys([*first, *second]):
        own, other = first.get((direction, gallery), {}), second.get((direction, gallery), {})
        names = [name for name in dict.fromkeys([*own, *other]) if name.startswith("mAP")]
        pairs += [MetricPair(direction, gallery, name, own.get(name), other.get(name)) for name in names]
    return pairs


def measured(record: dict) -> dict[tuple[str, str], dict]:
    """The metrics of a record by direction and gallery, as :data:`DIRECTIONS` and :data:`GALLERIES` name and order them."""
    return {
        (direction, gallery): record["evaluation"][direction][gallery]
        for direction in DIRECTIONS
        for gallery in GALLERIES
        if gallery in record["evaluation"].get(direction, {})
    }


def metric_table(record: dict) -> dict[str, list[float | int | None]]:
    """The metrics of a record by name, each with its values in the columns of :func:`measured`.

    Metrics at several cuts or levels are named one by one: ``precision@10``.
    """
    columns = [dict(_numbers(metrics)) for metrics in measured(record).values()]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def paired_queries(a: dict, b: dict) -> list[PairedQueries]:
    """The queries of two records one by one, on the judged gallery; empty where they were asked of different data."""
    if any(a["dataset"].get(name) != b["dataset"].get(name) for name in ("fingerprint", "split")):
        return []
    rows = []
    for direction in DIRECTIONS:
        first, second = (_per_query(record, direction) for record in (a, b))
        for metric in first:
            own, other = thousandths(first[metric]), thousandths(second.get(metric, ""))
            if not own or len(own) != len(other):
                continue
            gaps = [y - x for x, y in zip(own, other, strict=True)]
            better, worse = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
            mean = sum(gaps) / len(gaps) / 1000
            rows.append(PairedQueries(direction, metric, mean, better, worse, len(gaps) - better - worse))
    return rows


def thousandths(line: str) -> list[int]:
    """The average precision of each query in thousandths, from a record's line ``AP per query``."""
    return [int(word) for word in line.split()]


def _per_query(record: dict, direction: str) -> dict[str, str]:
    """Lines of the average precision of each query by metric; none where the direction is not measured one by one."""
    return judged_metrics(record["evaluation"].get(direction, {})).get("AP per query", {})


def _numbers(metrics: dict) -> Iterator[tuple[str, float | int]]:
    for name, value in metrics.items():
        start = f"{name.removesuffix('@N')}@" if name.endswith("@N") else f"{name} "
        values = {start + cut: number for cut, number in value.items()} if isinstance(value, dict) else {name: value}
        yield from ((full, number) for full, number in values.items() if isinstance(number, int | float))


def _flat(part: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names with dots, and the values that are no dictionaries."""
    for name, value in part.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

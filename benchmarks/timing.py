"""Contenders timed in turn, and the comparison of two of them in words."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """A row of a benchmark's table, as text; ``reached`` is None where there is no goal."""

    what: str
    ours: str
    peer: str
    ratio: str
    goal: str = ""
    reached: bool | None = None


def in_turn(contenders: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of every call: all contenders once, then all again, so that what slows the machine slows each alike.

    Args:
        warm_up: rounds before, which are not counted.
    """
    seconds = {name: [] for name in contenders}
    for number in range(warm_up + repeats):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(seconds: Sequence[float]) -> str:
    """The median of ``seconds`` (lowest to highest), as text in a unit that suits."""
    typical = median(seconds)
    unit, factor = next(((u, f) for u, f in (("s", 1.0), ("ms", 1e3)) if typical * f >= 1), ("µs", 1e6))
    return f"{typical * factor:.3g} {unit} ({min(seconds) * factor:.3g} to {max(seconds) * factor:.3g})"


def speed(what: str, ours: Sequence[float], peer: Sequence[float], goal: float | None = None) -> Comparison:
    """The row of a table: the peer's median time over ours, that is, how many times as fast we are.

    Args:
        goal: the least that it should be.
    """
    ratio = median(peer) / median(ours)
    digits = 1 if ratio >= 10 else 2 if ratio >= 2 else 3
    text = "" if goal is None else f"≥ {goal:.3g}"
    return Comparison(what, spread(ours), spread(peer), f"{ratio:.{digits}f}", text, goal and ratio >= goal)

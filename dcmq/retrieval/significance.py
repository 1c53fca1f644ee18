"""How sure a mean difference between paired runs is: over data sets, or over the seeds and queries of one data set at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from dcmq.core.errors import DcmqError

_MOST_SEEDS = 1000  # that one would think of running


@dataclass(frozen=True)
class Difference:
    """A mean difference of paired runs, and how far chance may have moved it.

    Attributes:
        mean: over everything that was measured.
        error: its standard error; NaN where a single number cannot say.
        freedom: degrees of freedom of ``error``, for Student's t.
        units: what was measured anew, such as ``3 seeds x 300 queries`` or ``10 draws of the data``.
        per_seed: variance that a single further seed (or data set) has; ``error**2`` holds a ``seeds``-th of it.
        fixed: variance that stays however many seeds there are: that of the queries.
        seeds: the number of seeds, or of data sets.
        queries: the number that ``fixed`` was estimated from.
    """

    mean: float
    error: float
    freedom: float
    units: str
    per_seed: float
    fixed: float
    seeds: int
    queries: int

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.interval()[1]

    @property
    def p(self) -> float:
        """The two-sided p: how often a mean is as far from 0, were there no difference. NaN where ``error`` is."""
        above = self.p_above(0)
        return 2 * min(above, 1 - above)

    def p_above(self, bound: float) -> float:
        """The one-sided p: how often a mean is as high, were the true one ``bound``."""
        if not self.error:
            return 0.5 - 0.5 * float(np.sign(self.mean - bound))
        return float(stdtr(self.freedom, (bound - self.mean) / self.error))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Both ends of the interval that holds the true mean in a share ``level`` of all experiments."""
        half = _quantile(self.freedom, 1 - level) * self.error if self.error else self.error
        return self.mean - half, self.mean + half

    def within(self, margin: float) -> bool:
        """True where the 90 % interval lies between -``margin`` and ``margin``: two one-sided tests at .05 (Schuirmann, 1987)."""
        low, high = self.interval(0.9)
        return -margin <= low and high <= margin

    def seeds_to_decide(self, alpha: float = 0.05) -> int | None:
        """The fewest seeds (or data sets) at which a mean as here would differ from 0 at level ``alpha``, variances as here.

        None where 1,000 are too few, where queries alone forbid it, or where a single seed cannot say.
        """
        if not math.isfinite(self.per_seed):
            return None
        for n in range(2, _MOST_SEEDS + 1):
            parts = ((self.per_seed / n, n - 1), (self.fixed, self.queries - 1))
            error = math.sqrt(self.per_seed / n + self.fixed)
            if abs(self.mean) > (_quantile(_satterthwaite(parts), alpha) * error if error else 0):
                return n
        return None


def paired_difference(cells: Sequence[np.ndarray]) -> Difference:
    """The mean of paired differences, with the chance of whatever was drawn anew.

    Several data sets: each brings its own seeds, data and queries, so that their means are independent; Student's t over them. One
    data set: seeds and queries are crossed, and both are drawn (:func:`_crossed`). One seed of one data set: queries alone, so that
    it speaks of these trained students only.

    Args:
        cells: for each data set a (seeds, queries) array of differences; one column where nothing is known of queries.

    Raises:
        DcmqError: no differences, or one that is not a finite number.
    """
    arrays = [np.asarray(part, float) for part in cells]
    if not arrays or any(part.ndim != 2 or not part.size or not np.isfinite(part).all() for part in arrays):
        raise DcmqError("paired_difference takes tables of seeds x queries, of finite numbers; look at the run records")
    if len(arrays) > 1:
        return _one_way(np.array([part.mean() for part in arrays]), "draws of the data")
    (table,) = arrays
    seeds, queries = table.shape
    if queries == 1:
        return _one_way(table[:, 0], "seeds")
    if seeds == 1:
        error = _standard_error(table[0])
        units = f"{queries} queries of these two trained students alone"
        return Difference(table.mean(), error, queries - 1, units, math.nan, error**2, 1, queries)
    return _crossed(table)


def _one_way(means: np.ndarray, units: str) -> Difference:
    n, error = len(means), _standard_error(means)
    words = f"{n} {units}" if n > 1 else "one seed"
    return Difference(float(means.mean()), error, max(n - 1, 1), words, n * error**2, 0.0, n, 1)


def _crossed(table: np.ndarray) -> Difference:
    """The difference of (seeds, queries), one number in each cell: a random effect of seeds, one of queries, and what is left.

    The variance of the mean is (MS of seeds + MS of queries - MS of the rest) / (seeds x queries), as both mean squares hold the
    rest; never below that of either effect alone. Degrees of freedom after Satterthwaite (1946). That both are random, so that the
    result holds for other seeds and other queries, is Clark's demand (1973). With two seeds the degrees of freedom are 1: those of
    Satterthwaite make intervals that are too short there.
    """
    (seeds, queries), mean = table.shape, table.mean()
    by_seed, by_query = table.mean(1), table.mean(0)
    rest = table - by_seed[:, None] - by_query + mean
    ms_seeds = queries * by_seed.var(ddof=1)
    ms_queries = seeds * by_query.var(ddof=1)
    ms_rest = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    total = max(ms_seeds + ms_queries - ms_rest, ms_seeds, ms_queries)
    if total == ms_seeds:
        freedom = seeds - 1
    elif total == ms_queries:
        freedom = queries - 1
    else:
        rest_part = (-ms_rest, (seeds - 1) * (queries - 1))
        freedom = _satterthwaite(((ms_seeds, seeds - 1), (ms_queries, queries - 1), rest_part))
    error = math.sqrt(total / table.size)
    fixed = max(ms_queries - ms_rest, 0) / table.size
    units = f"{seeds} seeds x {queries} queries"
    freedom = 1 if seeds == 2 else freedom
    return Difference(float(mean), error, freedom, units, ms_seeds / queries, fixed, seeds, queries)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each with its own (Satterthwaite, 1946); 1 where all are 0."""
    below = sum(value**2 / freedom for value, freedom in parts if value)
    return sum(value for value, _ in parts) ** 2 / below if below else 1


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _quantile(freedom: float, alpha: float) -> float:
    """Student's t that is exceeded on both sides together with probability ``alpha``."""
    return float(stdtrit(freedom, 1 - alpha / 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """``p_values`` corrected for their number (Holm, 1979), in their order."""
    corrected, running = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, p_values[i] * (len(p_values) - place)))
        corrected[i] = running
    return corrected

"""Sizes and seeds that a user asks of a data set, checked before anything is read or drawn."""

from collections.abc import Mapping

from dcmq.core.errors import DcmqError

_LEAST = {"seed": 0}  # of all others 1


def check_whole(name: str, options: Mapping[str, object]) -> None:
    """Check that each of ``options`` is a whole number from 1 on, ``seed`` one from 0 on.

    Args:
        name: the data set's, for messages.

    Raises:
        DcmqError: names the first that is not.
    """
    for option, value in options.items():
        least = _LEAST.get(option, 1)
        if isinstance(value, bool) or not isinstance(value, int):
            raise DcmqError(f"{name}: {option} is {value!r:.80}, and must be a whole number from {least} on")
        if value < least:
            raise DcmqError(f"{name}: {option} is {value}, and must be at least {least}")


def check_fit(name: str, n: int, query: int, train: int) -> None:
    """Check that ``query`` queries, and ``train`` training samples out of the rest, can be drawn from ``n`` samples.

    Raises:
        DcmqError: they cannot; names sizes that can.
    """
    if query + train > n:
        fitting = max(1, n // 10)
        raise DcmqError(
            f"{name}: {n:,} samples are too few for query={query} and train={train}: choose both, such as query={fitting} "
            f"train={max(1, n - 2 * fitting)}"
        )

"""Whole numbers that somebody gives, within the bounds that make sense."""

import operator

from dcmq.core.errors import DcmqError


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """``value`` as Python's whole number; numpy's are fine too, and truth values are none.

    Args:
        name: what the message calls it.

    Raises:
        DcmqError: it is no whole number from ``least`` to ``most``.
    """
    try:
        number = operator.index(value) if not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        raise DcmqError(f"{name} is {value!r}: it has to be a whole number from {least} to {most}"[:300])
    return number

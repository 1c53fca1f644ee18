"""Methods by name, all on the same splits, encoders and evaluation. To add one: a file here, and its row below."""

import difflib

from dcmq.core.errors import DcmqError
from dcmq.methods import cmhh, cmmq, controls, dch_scr, dcmh, dcmq, product_quantization, ssah
from dcmq.methods.base import Method

METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        *dcmq.ROWS,
        *product_quantization.ROWS,
        dcmh.ROW,
        ssah.ROW,
        cmhh.ROW,
        cmmq.ROW,
        dch_scr.ROW,
        *controls.ROWS,
    )
}


def method(name: str) -> Method:
    """The method of that name. Raises DcmqError for an unknown one, with the names there are."""
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DcmqError(f"methods: {name!r} is not registered{hint} (known: {', '.join(METHODS)})")
    return METHODS[name]

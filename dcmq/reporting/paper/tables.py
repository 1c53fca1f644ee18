"""The numbers of the paper's Tables 1-9 (arXiv 2405.14726), as data to stand beside ours.

``results.csv`` holds mAP values and ``cost.csv`` the costs of Table 5. The R of the paper's mAP is not known.
"""

from pathlib import Path

import pandas as pd

from dcmq.core.errors import DcmqError

_COST_TABLE = 5


def published(table: int) -> pd.DataFrame:
    """The numbers of one table of the paper (arXiv 2405.14726).

    Tables 1-4 and 6-9: a row per value, with columns table, task (``i2t``: image query, text gallery; ``t2i``), dataset
    (coco, mirflickr, nuswide), bits, variant (the table's row) and map in [0, 1]; the index counts from 0.
    Table 5: columns quantity, unit, CLIP, CMMQ and DCMQ. There the paper contradicts itself: its text says 128 bits,
    while the 8 bytes per sample of the table are a code of 64.

    Raises:
        DcmqError: the paper has no such table.
    """
    folder = Path(__file__).parent
    if table == _COST_TABLE:
        return pd.read_csv(folder / "cost.csv", keep_default_na=False)
    numbers = pd.read_csv(folder / "results.csv")
    rows = numbers[numbers.table == table].reset_index(drop=True)
    if rows.empty:
        known = ", ".join(map(str, sorted({*numbers.table, _COST_TABLE})))
        raise DcmqError(f"published: the paper has no table {table!r} with numbers (known: {known})")
    return rows

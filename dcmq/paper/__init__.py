"""Every number of the paper's tables (arXiv 2405.14726), as data to stand beside ours."""

from pathlib import Path

import pandas as pd

from dcmq.errors import DcmqError


def published(table: int) -> pd.DataFrame:
    """The paper's mAP values of one table, 1-9 except 5: columns table, task, dataset, bits, variant, map.

    Its R is not known. Raises DcmqError for a table without mAP values.
    """
    numbers = pd.read_csv(Path(__file__).parent / "results.csv")
    chosen = numbers[numbers.table == table].reset_index(drop=True)
    if chosen.empty:
        raise DcmqError(f"the paper's table {table} holds no mAP values (known: {sorted(set(numbers.table))})")
    return chosen

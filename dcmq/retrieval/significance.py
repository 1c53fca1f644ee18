"""Whether one ranking is better than another by more than luck with the queries."""


def _holm(rows: list[dict]) -> list[dict]:
    """``rows`` with ``p`` corrected for their number."""
    running = 0.0
    for place, row in enumerate(sorted(rows, key=lambda row: row["p"])):
        running = max(running, min(1.0, row["p"] * (len(rows) - place)))
        row["p"] = running
    return rows

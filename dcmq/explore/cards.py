"""What is shown of items anywhere: thumbnails in batches, and the card of one item."""

from typing import Annotated

from pydantic import Field

from dcmq.explore.bench import Bench
from dcmq.explore.requests import Answer, register_request

Rows = Annotated[list[int], Field(min_length=1, max_length=200)]


@register_request
def thumbnails(bench: Bench, rows: Rows, size: Annotated[int, Field(ge=16, le=512)]) -> Answer:
    """A JPEG for each of ``rows``, at most ``size`` pixels a side."""
    rows = bench.items.rows_of(rows)
    return {"rows": rows}, [bench.items.thumbnail(row, size) for row in rows]


@register_request
def cards(bench: Bench, rows: Rows) -> Answer:
    """Id, text, labels and split of each of ``rows``, and which of image and text it has."""
    items = bench.items
    return {
        "cards": [
            {
                "row": row,
                "id": str(items.ids[row]),
                "text": items.text(row),
                "labels": items.label_names(row),
                "split": str(items.splits[row]),
                "image": bool(items.has["images"][row]),
                "readable": bool(items.has["texts"][row]),
            }
            for row in items.rows_of(rows)
        ]
    }, []

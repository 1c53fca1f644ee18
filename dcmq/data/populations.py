"""Counts of files, compared with those of a published population in the order in which filters are applied.

Counts are those of public preprocessing code and of papers; "kept" are the samples of the published tables.
"""

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import official_counts

_MEANING = {
    "images": "the list of samples, before any filter",
    "concepts": "the ground-truth files",
    "classes": "the label files that count as classes (not the _r1 ones)",
    "vocabulary": "the tag list",
    "tag ones": "the tag matrix over all samples, before any filter",
    "label ones": "the label matrix over all samples, before any filter",
    "with label": "the filter 'at least one label'",
    "kept": "the last filter, after labels and texts",
}
_LEFT = ("classes", "vocabulary", "kept")


def check_counts(name: str, counts: dict[str, int], filtered: bool = False) -> None:
    """Compare ``counts`` with those of the official population ``name``, if it is one.

    Args:
        filtered: True where others filtered the rows, so that only counts of what is left can be compared.

    Raises:
        DcmqError: names each count that differs, and what it measures.
    """
    wrong = [
        f"{count} ({_MEANING[count]}) is {counts.get(count, 0):,}, not {expected:,}"
        for count, expected in official_counts().get(name, {}).items()
        if counts.get(count, 0) != expected and (not filtered or count in _LEFT)
    ]
    if wrong:
        raise DcmqError(
            f"{name}: these are not the official files: {'; '.join(wrong)}. Complete them, or say --expect none if this is "
            "a part of the data set on purpose"
        )

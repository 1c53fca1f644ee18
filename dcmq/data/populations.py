"""The populations that published numbers are measured on, and the counts by which one knows them.

Counts are those of public preprocessing code and of papers; "kept" are the samples of the published tables.
"""

from dcmq.core.errors import DcmqError

_MIRFLICKR = {"pictures": 25_000, "classes": 24, "vocabulary": 1386, "tag ones": 94_281, "label ones": 92_902}
_NUSWIDE = {"pictures": 269_648, "concepts": 81, "vocabulary": 1000, "tag ones": 1_559_464}

OFFICIAL = {
    "mirflickr:20015": _MIRFLICKR | {"kept": 20_015},
    "mirflickr:24581": _MIRFLICKR | {"kept": 24_581},
    "nuswide:tc21": _NUSWIDE | {"classes": 21, "with label": 195_834, "label ones": 411_438, "kept": 190_421},
    "nuswide:tc10": _NUSWIDE | {"classes": 10, "with label": 186_577, "kept": 181_365},
    "coco": {"pictures": 123_287, "classes": 80, "with label": 122_218, "label ones": 357_627, "kept": 122_218},
}
DEFAULT = {"mirflickr": "20015", "nuswide": "tc21", "coco": "", "folder": ""}

_MEANING = {
    "pictures": "the list of samples, before any filter",
    "concepts": "the ground-truth files",
    "classes": "the label files that count as classes (not the _r1 ones)",
    "vocabulary": "the tag list",
    "tag ones": "the tag matrix over all samples, before any filter",
    "label ones": "the label matrix over all samples, before any filter",
    "with label": "the filter 'at least one label'",
    "kept": "the last filter, after labels and texts",
}
_LEFT = ("classes", "vocabulary", "kept")


def full_name(name: str, population: str) -> str:
    """``mirflickr:20015``, or ``coco`` where there is one population only."""
    return f"{name}:{population}" if population else name


def check_counts(name: str, counts: dict[str, int], filtered: bool = False) -> None:
    """Compare with the official population ``name``, in the order in which filters are applied; of rows that others
    ``filtered`` only what is left can be compared.

    Raises:
        DcmqError: names each count that differs, and what it measures.
    """
    if name not in OFFICIAL:
        return
    wrong = [
        f"{count} ({_MEANING[count]}) is {counts.get(count, 0):,}, not {expected:,}"
        for count, expected in OFFICIAL[name].items()
        if counts.get(count, 0) != expected and (not filtered or count in _LEFT)
    ]
    if wrong:
        raise DcmqError(
            f"{name}: these are not the official files: {'; '.join(wrong)}. Complete them, or say --expect none if this is "
            "a part of the data set on purpose"
        )

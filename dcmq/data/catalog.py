"""What a data set is to the package: each reader registers the one that it reads, with what is published of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dcmq.core.registry import Registry
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.downloads import Archive
from dcmq.data.source import Source


@dataclass(frozen=True)
class ReadOptions:
    """What a user may say of the files of a data set.

    Attributes:
        ignore_classes: names of classes to leave out (coco).
        table: the table of images, where there are several (folder).
    """

    ignore_classes: tuple[str, ...] = ()
    table: str = ""


@dataclass(frozen=True)
class DatasetEntry:
    """A data set by name.

    Attributes:
        read: (root, population, :class:`ReadOptions`) to what there is to prepare; None where there is nothing to read.
        load: the data set without preparing it, from its root and options; None where it has to be prepared first.
        needs_root: whether there are files at all.
        populations: published counts of each population, the usual one first; named "" where there is only one.
        archives: official archives to download.
        settings: what the paper states for this data set alone.
    """

    read: Callable[[Path, str, ReadOptions], Source] | None = None
    load: Callable[..., RetrievalDataset] | None = None
    needs_root: bool = True
    populations: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    archives: tuple[Archive, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def usual(self) -> str:
        """The population that is meant where none is named."""
        return next(iter(self.populations), "")


DATASETS: Registry[DatasetEntry] = Registry("dataset")


def register_dataset(name: str, entry: DatasetEntry) -> DatasetEntry:
    """Makes ``entry`` known as ``name`` to notebooks and to ``dcmq data``. Returns it."""
    return DATASETS.register(name, entry)


def full_name(name: str, population: str) -> str:
    """``mirflickr:20015``, or ``coco`` where there is one population only."""
    return f"{name}:{population}" if population else name


def official_counts() -> dict[str, Mapping[str, int]]:
    """Published counts by full name: ``mirflickr:20015``, ``coco``, ..."""
    return {
        full_name(name, population): counts
        for name, entry in DATASETS.items()
        for population, counts in entry.populations.items()
    }

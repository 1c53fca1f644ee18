"""The catalog of data sets: each reader registers the one that it reads, with what is published of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dcmq.core.registry import Registry
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.downloads import Archive
from dcmq.data.source import Source


@dataclass(frozen=True)
class ReadOptions:
    """Options of a user about the files of a data set. Each reader says which it knows.

    Attributes:
        ignore_classes: names of classes to leave out.
        table: the table of images, where there are several.
        separator: the character, or characters, at which labels are cut, ``none`` where a cell is one label; found in the
            table where empty.
        fold_case: take names of classes that differ by case, or look alike for another reason, as one.
        text_column: the column, or columns with commas between them, of the texts, where there are several.
        allow_outside: read images that lie out of the root.
    """

    ignore_classes: tuple[str, ...] = ()
    table: str = ""
    separator: str = ""
    fold_case: bool = False
    text_column: str = ""
    allow_outside: bool = False


@dataclass(frozen=True)
class Population:
    """A published selection of a data set's samples, and how it is split.

    Attributes:
        counts: published counts by name; :mod:`dcmq.data.populations` says what each measures.
        query, train: sizes of the published split.
        recipe: how that split is drawn, ``random`` or ``per class``.
        classes: their names in alphabetical order, where files in circulation name none.
    """

    counts: Mapping[str, int]
    query: int
    train: int
    recipe: str = "random"
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetEntry:
    """A data set as it is registered.

    Attributes:
        read: a function of (root, population, :class:`ReadOptions`) to the samples to prepare; None where there are no
            files.
        load: a function of (root, options) to the data set without preparing it; None where it has to be prepared
            first.
        draws: True where each seed of runs draws a data set of its own, by the option ``seed``: other queries, other training
            samples.
        options: the names of those of :class:`ReadOptions` that ``read`` knows; the others are refused.
        needs_root: False where it is generated, so that ``load`` takes no root.
        populations: the published ones by name, the usual one first; named "" where there is only one.
        archives: official archives to download.
        settings: settings of a run that the paper states for this data set alone.
    """

    read: Callable[[Path, str, ReadOptions], Source] | None = None
    load: Callable[..., RetrievalDataset] | None = None
    options: tuple[str, ...] = ()
    needs_root: bool = True
    draws: bool = False
    populations: Mapping[str, Population] = field(default_factory=dict)
    archives: tuple[Archive, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def usual(self) -> str:
        """The population that is meant where none is named."""
        return next(iter(self.populations), "")

    @property
    def origin(self) -> Callable | None:
        """The function whose module tells whether the data set is the package's own."""
        return self.load or self.read


DATASETS: Registry[DatasetEntry] = Registry("dataset")


def register_dataset(name: str, entry: DatasetEntry) -> DatasetEntry:
    """Make ``entry`` known as ``name`` to notebooks and to ``dcmq data``. Returns it."""
    return DATASETS.register(name, entry)


def full_name(name: str, population: str) -> str:
    """The name with its population, such as ``mirflickr:20015``, or ``coco`` where there is one population only."""
    return f"{name}:{population}" if population else name


def official_counts() -> dict[str, Mapping[str, int]]:
    """Published counts by full name: ``mirflickr:20015``, ``coco``, ..."""
    return {
        full_name(name, population): published.counts
        for name, entry in DATASETS.items()
        for population, published in entry.populations.items()
    }

"""A plan of runs: variants, code lengths and seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dcmq.config import RunConfig
from dcmq.experiments.parameters import comma_list
from dcmq.methods.registry import METHODS


@dataclass(frozen=True)
class Variant:
    """A row of a study's table.

    Attributes:
        name: as the table has it.
        settings: what it changes in the settings of a run.
        teacher: if it is not the notebook's.
        method: the registered method that its runs are of.
        row: of which method's chosen settings it is to be trained with; "" for ``method``'s own.
    """

    name: str
    settings: dict = field(default_factory=dict)
    teacher: str = ""
    method: str = "DCMQ"
    row: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan. ``tags`` become columns of the results beside variant and seed; ``written`` are the names of those settings,
    of the ones written for all runs, that it has as they are."""

    variant: str
    config: RunConfig
    teacher: str
    tags: dict
    written: frozenset[str] = frozenset()


class Plan(list[PlannedRun]):
    """The runs of a study, in order, and what its reader should know of them.

    Attributes:
        settings: those that were written for all runs, by name.
        left_out: why a row is not among them, by its name.
    """

    def __init__(self, runs: Iterable[PlannedRun], settings: Mapping = {}, left_out: Mapping[str, str] = {}):  # noqa: B006
        super().__init__(runs)
        self.settings, self.left_out = dict(settings), dict(left_out)

    def with_setting(self, name: str) -> list[PlannedRun]:
        """The runs that have the setting ``name`` as it was written."""
        return [run for run in self if name in run.written]


def has_setting(config: RunConfig, name: str) -> bool:
    """True where a run has the setting ``name``, of its own, of its student, or as ``METHOD.option``."""
    fields = {*type(config).model_fields, *type(config.student).model_fields}
    return name in fields or name.startswith(f"{config.method}.")


def weights_label(weights: str) -> str:
    """The words of a table for the weights that an encoder starts from; of a file its name, and not where it lies."""
    return f"pretrained: {weights.rpartition('/')[2]}" if weights else "from scratch"


def method_variants(names: str) -> list[Variant]:
    """A row for each method of the comma-separated ``names``. Raises DcmqError for one that is not registered."""
    return [
        Variant(
            method.name,
            dict(method.settings),
            method=method.algorithm or method.name,
            row=method.name,
        )
        for method in (METHODS[name] for name in comma_list(names, str))
    ]

"""The views of the explorer, in the order of their tabs; importing them registers the requests that they answer."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from dcmq.explore import (  # noqa: F401 (they answer requests)
    cards,
    codebooks,
    failures,
    figures,
    map,
    search,
    selection,
    snapshot,
    targets,
    weights,
)
from dcmq.explore.bench import Bench


@dataclass(frozen=True)
class View:
    """A tab: its name, which is that of its file in ``static`` and of its object there, and its static drawing."""

    name: str
    figure: Callable[[Bench], Figure]


VIEWS = {
    view.name: view
    for view in (
        View("search", snapshot.search_figure),
        View("map", figures.map_figure),
        View("codebooks", figures.codebooks_figure),
        View("targets", figures.targets_figure),
        View("failures", snapshot.failures_figure),
    )
}

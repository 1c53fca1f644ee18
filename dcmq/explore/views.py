"""The views of the explorer, in the order of their tabs; importing them registers the requests that they answer."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from dcmq.explore import cards, failures, search, selection, snapshot  # noqa: F401 (they answer requests)
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
        View("failures", snapshot.failures_figure),
    )
}

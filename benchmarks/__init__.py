"""Speed, as a ratio against a peer that is timed in the same run: ``python -m benchmarks [NAME ...] [--quick]``.

A benchmark is a module here, named in :data:`BENCHMARKS`, with

- ``TITLE``, and ``ABOUT``: Markdown that says what is compared with what, and how the peer is made;
- ``measure(quick) -> dict``: plain numbers as JSON holds them, the seconds of every repeat among them;
- ``comparisons(result) -> list[Comparison]``: the rows of its table, from that dict alone;
- ``figures(result) -> dict[str, Figure]``: its figures by name, from that dict alone.

``measure(quick=True)`` runs the same code in seconds, on small sizes whose figures say nothing.
"""

from importlib import import_module
from types import ModuleType

BENCHMARKS = (
    "search", "evaluation", "training", "growth", "server", "slider", "gpu", "onnx", "databases", "libraries", "versions",
    "full_size_mirflickr", "full_size_coco", "full_size_nuswide", "costs",
)  # fmt: skip


def benchmark(name: str) -> ModuleType:
    """The module of that name, imported only when asked for: some need packages that not every machine has."""
    return import_module(f"benchmarks.{name}")

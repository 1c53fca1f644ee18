"""Figures with knobs: live under sliders where a kernel runs, an image everywhere else."""

import base64
import io
import math
from collections.abc import Callable

import ipywidgets as widgets
import matplotlib.pyplot as plt

from dcmq.core.errors import DcmqError

WIDGET = "application/vnd.jupyter.widget-view+json"


class Knobs:
    """A figure under sliders, as the last line of a cell shows it; moving a slider draws the figure anew.

    A front end with a running kernel (JupyterLab) shows the sliders. A widget lives no longer than its kernel, so the output has
    the figure as an image too, for all that show a file without running it. (JupyterLab itself prefers the widget, so in a file
    that was saved as it ran it finds no model until the cell runs again; :mod:`dcmq.reporting.clean_notebooks` leaves the image.)

    Args:
        draw: returns the figure for one value of each knob, given by name.
        knobs: (first value, lowest, highest) of each; three whole numbers make a slider of whole numbers. A first value
            outside the limits moves them.

    Attributes:
        sliders: by the names of the knobs; setting the ``value`` of one is moving it.
        figure: the one that is shown; it is closed, so that no cell shows it again.

    Raises:
        DcmqError: limits that hold no two values.
    """

    def __init__(self, draw: Callable[..., plt.Figure], /, **knobs: tuple[float, float, float]):
        self.draw = draw
        self.sliders = {name: _slider(name, *values) for name, values in knobs.items()}
        own_size = widgets.Layout(
            max_width="100%", align_self="flex-start", object_fit="contain"
        )  # else it is stretched
        self._image = widgets.Image(format="png", layout=own_size)
        self._redraw()
        self._box = widgets.VBox([*self.sliders.values(), self._image])
        for slider in self.sliders.values():
            slider.observe(self._redraw, names="value")

    def _redraw(self, _change: object = None) -> None:
        self.figure = self.draw(**{name: slider.value for name, slider in self.sliders.items()})
        self._image.value = png(self.figure)

    def __repr__(self) -> str:
        limits = [f"{name} {s.value:g} ({s.min:g} to {s.max:g})" for name, s in self.sliders.items()]
        return f"sliders, where a kernel runs: {', '.join(limits)}"

    def _repr_mimebundle_(self, **_options) -> dict[str, object]:
        live = self._box._repr_mimebundle_()[WIDGET]
        return {"text/plain": repr(self), "image/png": base64.b64encode(self._image.value).decode(), WIDGET: live}


def png(figure: plt.Figure) -> bytes:
    """``figure`` as a PNG of its own resolution, the same bytes for the same figure; the figure is closed."""
    content = io.BytesIO()
    with plt.rc_context({"savefig.bbox": "standard"}):  # a tight box would draw everything twice
        figure.savefig(content, format="png", dpi="figure", metadata={"Software": None})
    plt.close(figure)  # an open one would be shown again below the cell
    return content.getvalue()


def _slider(name: str, value: float, low: float, high: float) -> widgets.Widget:
    low, high = min(low, value), max(high, value)
    if low == high:
        raise DcmqError(f"knob {name}: lowest and highest are both {low}; a slider needs two values or more")
    wide = dict(layout=widgets.Layout(width="32em"), style={"description_width": "8em"})
    common = dict(value=value, min=low, max=high, description=name, **wide)
    if all(isinstance(number, int) for number in (value, low, high)):
        return widgets.IntSlider(**common)
    step = 10 ** math.floor(math.log10((high - low) / 50))  # a power of ten: front ends round the first value to a step
    return widgets.FloatSlider(**common, step=step, readout_format=".3g")

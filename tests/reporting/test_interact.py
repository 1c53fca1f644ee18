"""Figures with knobs: what a slider does, and what is shown where no kernel runs."""

import base64
import io
import json

import ipywidgets as widgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.reporting.clean_notebooks import clean
from dcmq.reporting.interact import WIDGET, Knobs, png


def bar(height, number=0):
    """A figure whose one bar has the height asked for."""
    figure, axis = plt.subplots(figsize=(2, 1))
    axis.bar([number], [height])
    axis.set_ylim(0, 2)
    return figure


def height(knobs):
    """The height of the bar that is shown."""
    return knobs.figure.axes[0].patches[0].get_height()


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_moving_a_slider_draws_the_figure_anew():
    knobs = Knobs(bar, height=(0.5, 0.0, 2.0), number=(1, 0, 3))
    before = knobs._repr_mimebundle_()["image/png"]
    assert height(knobs) == 0.5
    knobs.sliders["height"].value = 1.5
    assert height(knobs) == 1.5 and knobs.figure.axes[0].patches[0].get_x() == pytest.approx(0.6)
    knobs.sliders["number"].value = 3
    assert height(knobs) == 1.5 and knobs.figure.axes[0].patches[0].get_x() == pytest.approx(2.6)
    after = knobs._repr_mimebundle_()["image/png"]
    assert after != before
    assert np.array_equal(pixels(base64.b64decode(after)), pixels(png(bar(1.5, 3))))


def test_no_figure_stays_open_to_be_shown_again():
    plt.close("all")
    knobs = Knobs(bar, height=(0.5, 0.0, 2.0))
    knobs.sliders["height"].value = 1.0
    assert plt.get_fignums() == []


def test_the_output_holds_an_image_a_stable_text_and_a_live_view():
    def bundle():
        return Knobs(bar, height=(0.5, 0.0, 2.0), number=(1, 0, 3))._repr_mimebundle_()

    one, other = bundle(), bundle()
    assert one["text/plain"] == "sliders, where a kernel runs: height 0.5 (0 to 2), number 1 (0 to 3)"
    assert one["image/png"] == other["image/png"] and one["text/plain"] == other["text/plain"]
    assert one[WIDGET]["model_id"] != other[WIDGET]["model_id"]
    assert json.loads(json.dumps(one)) == one


def test_the_live_view_holds_the_sliders_and_the_image():
    knobs = Knobs(bar, height=(0.5, 0.0, 2.0), number=(1, 0, 3))
    shown = knobs._box.children
    assert [child.description for child in shown[:2]] == ["height", "number"] and len(shown) == 3
    assert knobs._repr_mimebundle_()[WIDGET]["model_id"] == knobs._box.model_id
    assert base64.b64encode(shown[2].value).decode() == knobs._repr_mimebundle_()["image/png"]


def test_a_cleaned_notebook_keeps_the_image_and_the_text():
    data = Knobs(bar, height=(0.5, 0.0, 2.0))._repr_mimebundle_()
    cell = nbformat.v4.new_code_cell(
        "x", outputs=[nbformat.v4.new_output("execute_result", data, metadata={}, execution_count=1)]
    )
    (output,) = clean(nbformat.v4.new_notebook(cells=[cell])).cells[0].outputs
    assert set(output.data) == {"image/png", "text/plain"}


def test_whole_numbers_make_a_slider_of_whole_numbers():
    sliders = Knobs(lambda **_: bar(1), a=(1, 0, 3), b=(1, 0, 3.0), draw=(1.0, 0, 3)).sliders
    assert [type(slider) for slider in sliders.values()] == [widgets.IntSlider] + [widgets.FloatSlider] * 2


@pytest.mark.parametrize("limits", [(0.02, 1.0), (0.02, 2.0), (0.0, 2.0), (1.0, 500.0)])
def test_steps_are_powers_of_ten_and_many(limits):
    (slider,) = Knobs(lambda **_: bar(1), tau=(1.0, *limits)).sliders.values()
    assert np.log10(slider.step) == pytest.approx(round(np.log10(slider.step)))
    assert 50 <= (slider.max - slider.min) / slider.step < 500


def test_a_first_value_outside_moves_the_limit_and_no_room_is_refused():
    slider = Knobs(lambda **_: bar(1), tau=(3.0, 0.1, 1.0)).sliders["tau"]
    assert (slider.min, slider.value, slider.max) == (0.1, 3.0, 3.0)
    with pytest.raises(DcmqError, match="knob image: lowest and highest are both 0"):
        Knobs(lambda **_: bar(1), image=(0, 0, 0))

"""Figures with knobs in JupyterLab: a slider is moved, and another figure is seen."""

import json

import pytest

pytestmark = pytest.mark.slow
SETUP = """
import matplotlib.pyplot as plt

from dcmq.reporting.interact import Knobs


def draw(height, place):
    figure, axis = plt.subplots(figsize=(4, 2))
    axis.bar([place], [height])
    axis.set(xlim=(-1, 6), ylim=(0, 3))
    return figure


knobs = Knobs(draw, height=(1.0, 0.0, 3.0), place=(0, 0, 5))
knobs
"""


@pytest.fixture(scope="module")
def notebook(lab):
    return lab.started("sliders.ipynb", [SETUP, ""])


@pytest.fixture
def cell(notebook, page):
    """The cell with the knobs at their first values."""
    notebook.run('for name, value in {"height": 1.0, "place": 0}.items(): knobs.sliders[name].value = value')
    cell = page.locator(".jp-Cell").first
    readouts(cell).filter(has_text="1.00").first.wait_for()
    return cell


def readouts(cell):
    return cell.locator(".widget-readout")


def seen(cell):
    """Address of the one image of the cell, the width that it has, and that in which it is shown."""
    (image,) = cell.locator("img").all()
    return image.evaluate("image => image.decode().then(() => [image.src, image.naturalWidth, image.clientWidth])")


def redrawn(page, cell, before):
    page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[cell.locator("img").element_handle(), before]
    )
    return seen(cell)[0]


def test_a_moved_slider_draws_another_figure(cell, notebook, page, screenshot):
    first, *widths = seen(cell)
    assert widths == [400, 400]  # neither stretched nor cut
    handles = cell.locator(".noUi-handle")
    assert handles.count() == 2 and readouts(cell).all_text_contents() == ["1.00", "0"]
    handles.nth(0).press("ArrowRight")
    second = redrawn(page, cell, first)
    handles.nth(1).press("ArrowRight")
    redrawn(page, cell, second)
    assert readouts(cell).all_text_contents()[1] == "1"
    height, place = json.loads(notebook.run("print([slider.value for slider in knobs.sliders.values()])"))
    assert 1 < height < 1.2 and place == 1
    screenshot(cell, "knobs")


def test_cells_move_sliders(cell, notebook, page):
    first, *_ = seen(cell)
    notebook.run('knobs.sliders["place"].value = 3')
    redrawn(page, cell, first)
    assert readouts(cell).all_text_contents() == ["1.00", "3"]


def test_keys_on_a_slider_do_not_go_to_jupyterlab(cell, notebook, page):
    cells, first = notebook.cells, seen(cell)[0]
    readout = readouts(cell).first
    readout.fill("2.5")
    readout.press("Enter")
    redrawn(page, cell, first)
    for key in "abdd":
        readout.press(key)
    readout.press("Escape")
    assert notebook.cells == cells


def test_a_saved_notebook_holds_the_image_and_no_state_of_widgets(cell, notebook, lab):
    notebook.command("docmanager:save")
    saved = json.loads((lab.folder / "sliders.ipynb").read_text("utf-8"))
    assert "widgets" not in saved["metadata"]
    (output,) = saved["cells"][0]["outputs"]
    assert output["data"]["image/png"] and "0x" not in "".join(output["data"]["text/plain"])

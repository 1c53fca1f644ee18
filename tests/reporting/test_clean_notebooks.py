"""Executed notebooks that are cleaned keep what a reader sees."""

import base64
import io
import json

import nbformat
import numpy as np
from PIL import Image

from dcmq.reporting.clean_notebooks import clean, clean_on_save

WIDGET = "application/vnd.jupyter.widget-view+json"


def png(image):
    content = io.BytesIO()
    image.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def image_of(output):
    return Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))


def executed():
    """A notebook as papermill leaves it, with a progress bar, another widget, and a figure."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    views = [{WIDGET: {"model_id": "a"}, "text/plain": "training: 0epoch"}, {WIDGET: {"model_id": "b"}}]
    views.append({"image/png": png(Image.fromarray(noise)), "text/plain": "<Figure>"})
    cell = nbformat.v4.new_code_cell("x", metadata={"execution": {}, "papermill": {}, "tags": ["parameters"]})
    cell.outputs = [nbformat.v4.new_output("display_data", data) for data in views]
    metadata = {"widgets": {"state": {}}, "papermill": {}, "kernelspec": {"name": "python3", "display_name": "Python"}}
    return nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("text")], metadata=metadata)


def test_widget_state_times_and_papermills_notes_go_and_text_stays():
    notebook = clean(executed())
    nbformat.validate(notebook)
    assert list(notebook.metadata) == ["kernelspec"] and dict(notebook.cells[0].metadata) == {"tags": ["parameters"]}
    bar, widget, _ = notebook.cells[0].outputs
    assert dict(bar.data) == {"text/plain": "training: 0epoch"}
    assert list(widget.data) == [WIDGET]  # which would be nothing without it


def test_figures_have_a_palette_and_look_alike():
    figure = executed().cells[0].outputs[2]
    cleaned = clean(executed()).cells[0].outputs[2]
    assert image_of(cleaned).mode == "P" and len(cleaned.data["image/png"]) < len(figure.data["image/png"])
    difference = np.asarray(image_of(cleaned).convert("RGB"), float) - np.asarray(image_of(figure))
    assert np.abs(difference).mean() < 16  # of 255, where every pixel has a colour of its own


def test_cleaning_again_changes_nothing():
    once = clean(executed())
    assert clean(nbformat.from_dict(once)) == once


def test_what_jupyterlab_writes_is_cleaned_and_other_files_are_left_alone():
    model = {"type": "notebook", "content": json.loads(nbformat.writes(executed()))}
    clean_on_save(model=model, path="a.ipynb", contents_manager=None)
    assert "widgets" not in model["content"]["metadata"]
    assert WIDGET not in model["content"]["cells"][0]["outputs"][0]["data"]
    for other in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}):
        before = dict(other)
        clean_on_save(model=other, path="b", contents_manager=None)
        assert other == before

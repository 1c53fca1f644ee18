"""Executed notebooks without what only takes room or names the machine they ran on."""

import base64
import io

import nbformat
from PIL import Image

_WIDGET = "application/vnd.jupyter.widget-view+json"
_COLORS = 256


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook``, changed in place, without the state of widgets, times of execution, and papermill's notes.

    A progress bar keeps its line of text. Figures keep at most 256 colours, which makes them a third as large; the report
    has them in full.
    """
    for name in ("widgets", "papermill"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        for name in ("execution", "papermill"):
            cell.metadata.pop(name, None)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/plain" in data:
                data.pop(_WIDGET, None)  # which shows nothing without the state
            if "image/png" in data:
                data["image/png"] = _with_palette(data["image/png"])
    return notebook


def clean_on_save(model: dict, **_) -> None:
    """Clean a notebook that JupyterLab is about to write, as its ``pre_save_hook``: a file that is opened again shows its
    static images, where the view of a widget without its kernel would show an error."""
    if model["type"] == "notebook" and model["content"]:
        model["content"] = clean(nbformat.from_dict(model["content"]))


def _with_palette(png: str) -> str:
    """The PNG, in base64, with a palette."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P":
        return png
    content = io.BytesIO()
    image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode() + "\n"

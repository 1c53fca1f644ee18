"""Make docs/explorer.png anew: the explorer at the first search of its notebook, as JupyterLab shows it. It needs chromium.

    python -m scripts.screenshot_explorer

It runs the cells of notebooks/explorer.ipynb up to that search in a temporary copy; the two students are trained unless they are
there.
"""

import io
import tempfile
from pathlib import Path

import nbformat
from PIL import Image

from benchmarks.browser import OpenNotebook, browser_page, jupyterlab, write_notebook

ROOT = Path(__file__).resolve().parent.parent
LAST_CELL = "explore"
COLORS, LINES = 256, 3  # of the palette, and of tiles: thumbnails with noise take much room in a PNG


def screenshot() -> Image.Image:
    """The explorer with its first lines of tiles."""
    cells = [cell for cell in nbformat.read(ROOT / "notebooks" / "explorer.ipynb", 4).cells if cell.cell_type == "code"]
    last = [cell.id for cell in cells].index(LAST_CELL)
    with tempfile.TemporaryDirectory() as folder:
        write_notebook(Path(folder, "explorer.ipynb"), [cell.source for cell in cells[: last + 1]])
        with jupyterlab(Path(folder), Path(folder)) as address, browser_page() as page:
            OpenNotebook(page, address, "explorer.ipynb").run_all()
            explorer = page.locator(".dcmq-explorer")
            explorer.locator(".dcmq-search img").last.wait_for()
            page.wait_for_function(
                "() => [...document.querySelectorAll('.dcmq-search img')].every((image) => image.naturalWidth)"
            )
            tiles = explorer.locator("[data-ranker]").first.locator(".dcmq-tile")
            tops = sorted({tile.bounding_box()["y"] for tile in tiles.all()})
            height = tops[LINES] - explorer.bounding_box()["y"]
            image = Image.open(io.BytesIO(explorer.screenshot())).convert("RGB")
    return image.crop((0, 0, image.width, int(height)))


if __name__ == "__main__":
    small = screenshot().quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # keeps rare colors
    small.save(ROOT / "docs" / "explorer.png", optimize=True)

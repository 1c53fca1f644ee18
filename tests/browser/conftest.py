"""JupyterLab and a browser for the tests of a module; what the page did that it should not fails every test that sees it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.browser import OpenNotebook, Watch, browser_page, jupyterlab, missing, write_notebook

HEIGHT = 1500  # pixels of the window: the largest view is seen whole


class Lab:
    """JupyterLab and the page that shows it.

    Attributes:
        page: of the browser.
        folder: of the notebooks, a temporary one.
        watch: what was asked of other hosts, and errors of the console, so far.
    """

    def __init__(self, page, address: str, folder: Path):
        self.page, self.address, self.folder, self.watch = page, address, folder, Watch(page)

    def open(self, file: str) -> OpenNotebook:
        """Open a notebook of the folder."""
        return OpenNotebook(self.page, self.address, file)

    def started(self, file: str, cells: list[str]) -> OpenNotebook:
        """Open a new notebook of code cells, and run them."""
        write_notebook(self.folder / file, cells)
        notebook = self.open(file)
        notebook.run_all()
        return notebook


# Of a module, not of the session: Playwright's event loop runs until it is closed, and other tests start loops of their own.
@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    with jupyterlab(folder, home, {"DCMQ_HOME": str(home / "dcmq")}) as address, browser_page(height=HEIGHT) as page:
        yield Lab(page, address, folder)


@pytest.fixture
def page(lab):
    """The page; afterwards, that nothing was asked of another host, and that its console has no error."""
    lab.page.mouse.move(0, 0)
    yield lab.page
    assert lab.watch.foreign == []
    assert lab.watch.errors == []


@pytest.fixture
def screenshot(tmp_path) -> Callable:
    """A function that writes what an element looks like, under a name, to ``$DCMQ_SCREENSHOTS`` or a temporary folder."""
    folder = Path(os.environ.get("DCMQ_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda element, name: element.screenshot(path=folder / f"{name}.png")

"""JupyterLab in a real browser: what the benchmark of sliders and the tests in ``tests/browser`` drive.

All stays on this machine: JupyterLab listens on loopback only, with settings of its own, and every other host that the page
asks for is written down.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import nbformat

from dcmq.core.errors import DcmqError

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_SECONDS = 120  # the longest wait for JupyterLab to start and for a kernel
SECONDS = 60  # the longest wait for anything else; two busy cores need some of it
_QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
_HERE = {"127.0.0.1", "localhost", ""}  # data: and blob: have no host
# No question about news on the first start, and no window for it.
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "@jupyterlab/docmanager-extension/plugin": '{"autosave": false}',
}


def missing() -> str:
    """Why no browser can be driven here, in a line; empty where one can."""
    if not find_spec("playwright"):
        return "playwright is not installed: pip install 'dcmq[test]'"
    if not shutil.which("chromium"):
        return "no chromium on the PATH: apt-get install chromium"
    return ""


def write_notebook(file: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells, not executed, for the kernel of this environment."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, file)


@contextmanager
def jupyterlab(folder: Path, home: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run JupyterLab over the notebooks in ``folder``, and give its address; it and its kernels end with the block.

    Args:
        home: an empty folder for its settings and its log.
        environment: variables for the kernels, beside those of this process.

    Raises:
        DcmqError: it does not start; the message ends with its last words.
    """
    for name, text in _SETTINGS.items():
        file = home / "config" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    own = {"HOME": home, "JUPYTER_CONFIG_DIR": home / "config", "JUPYTER_DATA_DIR": home / "data"}
    own |= {"JUPYTER_RUNTIME_DIR": home / "runtime", "IPYTHONDIR": home / "ipython"}
    port, log = _free_port(), home / "jupyterlab.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", *(["--allow-root"] if os.geteuid() == 0 else [])]
    variables = os.environ | {name: str(place) for name, place in own.items()} | dict(environment or {})
    with log.open("w") as out:
        server = subprocess.Popen(command, env=variables, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/api/status", server, log)
        yield address
    finally:
        server.terminate()  # which ends the kernels too
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def browser_page(width: int = 1280, height: int = 1000) -> Iterator["Page"]:
    """A page of Debian's chromium, without a window and with a profile of its own.

    Raises:
        DcmqError: there is no browser, see :func:`missing`.
    """
    if reason := missing():
        raise DcmqError(reason)
    from playwright.sync_api import sync_playwright  # an extra: only where a browser is driven

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_QUIET)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(1000 * SECONDS)
        yield page
        browser.close()


class Watch:
    """What a page did that it should not: ``foreign`` addresses that it asked for, and ``errors`` of its console."""

    def __init__(self, page: "Page"):
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, url: str) -> None:
        if (urlsplit(url).hostname or "") not in _HERE:
            self.foreign.append(url)


class OpenNotebook:
    """A notebook that is open in JupyterLab, driven by its commands; ``page`` is what is seen.

    Args:
        address: of the server that :func:`jupyterlab` runs.
        file: the notebook's name in the server's folder.
    """

    def __init__(self, page: "Page", address: str, file: str):
        self.page = page
        page.goto(f"{address}/lab/tree/{file}?reset")
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.content?.widgets?.length", timeout=1000 * START_SECONDS
        )
        page.evaluate("async () => { await jupyterapp.restored; jupyterapp.shell.collapseLeft(); }")

    def command(self, name: str, **arguments) -> None:
        """Execute a command of JupyterLab, and wait until it is done."""
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)", [name, arguments]
        )

    def run_all(self) -> None:
        """Run every cell, once the kernel is there. Raises DcmqError where a cell fails."""
        self.page.wait_for_function(
            "jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
            timeout=1000 * START_SECONDS,
        )
        self.command("notebook:run-all-cells")
        for cell in range(self.cells):
            self.output(cell)

    def run(self, source: str) -> str:
        """Put ``source`` into the last cell, run it, and give what it printed or returned, as text.

        Raises:
            DcmqError: it fails.
        """
        last = self.cells - 1
        self.page.evaluate(
            """([cell, source]) => {
              const notebook = jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = cell;
              notebook.widgets[cell].model.sharedModel.setSource(source);
            }""",
            [last, source],
        )
        self.command("notebook:run-cell")
        return self.output(last)

    @property
    def cells(self) -> int:
        """How many cells the notebook has now."""
        return self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")

    def output(self, cell: int) -> str:
        """The text of a cell's outputs. Raises DcmqError where one is an error."""
        outputs = self.page.evaluate(
            "cell => jupyterapp.shell.currentWidget.content.widgets[cell].model.outputs?.toJSON() ?? []", cell
        )
        for output in outputs:
            if output["output_type"] == "error":
                raise DcmqError(f"cell {cell}: {output['ename']}: {output['evalue']}")
        parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
        return "".join("".join(part) for part in parts)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(4 * START_SECONDS):
        if server.poll() is not None:
            break
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    last = log.read_text().strip().splitlines()[-1:] or ["it said nothing"]
    raise DcmqError(f"JupyterLab did not start: {last[0]}")

"""From a key on a slider to the redrawn figure, in JupyterLab: the explorer's canvas, and matplotlib through ipywidgets."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.browser import OpenNotebook, browser_page, jupyterlab, missing, write_notebook
from benchmarks.timing import Comparison, speed
from dcmq.core.errors import DcmqError
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

TITLE = "Sliders"
ABOUT = """
From a key that moves a slider to the frame in which the figure made anew is on the screen, in JupyterLab and a real browser, with a batch of 1,000 items. Ours is the explorer's
view of targets: two histograms of a million pairs and the target of one image, drawn by the browser from numbers that Python sends. The peer
is `ipywidgets.interact` with a function that draws the same three with matplotlib, from the same numbers, computed by the same function. *tau* changes the target, *seed* draws another batch, of which all similarities are
computed again.
"""
GOAL = 0.15  # seconds, of the median: what still feels immediate
MOVES = {"tau": 2, "seed": 1}  # the sliders that are moved, and the place of a canvas that then looks different
_HEIGHT = 1800  # pixels of the window: all is in sight, for what is not may not be painted
_SETUP = """
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np

from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.datasets import load_dataset
from dcmq.explore.bench import Bench
from dcmq.explore.explorer import Explorer
from dcmq.explore.targets import targets
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher

data = load_dataset("scenes", query=20, train={train}, gallery={train})
embeddings = embed(resolve_teacher("clip", "scenes"), data)
student = StudentConfig(bits=64, image_encoder="small_resnet", image_size=32, text_hidden=(64, 64))
explorer = Explorer.of_runs(data, embeddings, {{"student": TrainConfig(student=student, epochs=1)}})
explorer.view = "targets"
"""
_PEER = """
bench = Bench(explorer.bench.items, list(explorer.bench.rankers.values()))  # which keeps its own last batch

def draw(tau, seed):
    result, (buffer,) = targets(bench, size={batch}, seed=seed, tau=tau)
    pairs = np.frombuffer(buffer, np.float32).reshape(2, 2, -1)
    edges = np.linspace(result["low"], result["high"], result["bins"] + 1)
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.2))
    for axis, histograms in zip(axes, pairs):
        for histogram in histograms:
            axis.stairs(histogram, edges, fill=True, alpha=0.4)
    axes[2].bar(range(len(result["bars"])), [bar["after"] for bar in result["bars"]])
    axes[2].step(range(len(result["bars"])), [bar["before"] for bar in result["bars"]])
    plt.show()

ipywidgets.interact(
    draw,
    tau=ipywidgets.FloatLogSlider(value=0.2, min=-2, max=0.3, step=0.0115),
    seed=ipywidgets.IntSlider(value=0, min=0, max=20),
);
"""
# Seconds from the next key to the frame that shows a canvas drawn anew, or an image with another source, under a root.
_TIME = """root => {
  window.redrawn = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("no figure was drawn anew")), 30000);
    const source = () => root.querySelector("img")?.src, before = source();
    let began = null;
    document.addEventListener("keydown", (event) => (began = event.timeStamp), { capture: true, once: true });
    const observer = new MutationObserver(async () => {
      if (root.tagName !== "CANVAS") {
        if (!source() || source() === before) return;
        observer.disconnect();
        await root.querySelector("img").decode();
      } else observer.disconnect();
      requestAnimationFrame(() => {
        const painted = new MessageChannel(); // its message comes after the frame
        painted.port1.onmessage = () => resolve((performance.now() - began) / 1000);
        painted.port2.postMessage(null);
      });
    });
    observer.observe(root, { attributes: true, attributeFilter: ["width", "src"], childList: true, subtree: true });
  });
}"""


def measure(quick: bool) -> dict:
    """Seconds of every move of each slider, for both contenders in turn; the reason alone where there is no browser."""
    if reason := missing():
        return {"missing": reason}
    sizes = {"batch": 50, "train": 80, "moves": 4} if quick else {"batch": 1000, "train": 1500, "moves": 40}
    with tempfile.TemporaryDirectory() as folder:
        notebooks, home = Path(folder, "notebooks"), Path(folder, "home")
        notebooks.mkdir()
        home.mkdir()
        cells = [_SETUP.format(**sizes), "explorer", _PEER.format(**sizes)]
        write_notebook(notebooks / "sliders.ipynb", cells)
        environment = {"DCMQ_HOME": str(home / "dcmq")}
        with jupyterlab(notebooks, home, environment) as address, browser_page(height=_HEIGHT) as page:
            OpenNotebook(page, address, "sliders.ipynb").run_all()
            page.add_style_tag(
                content=".jp-CodeCell .jp-Cell-inputWrapper { display: none }"
            )  # so that all is in sight
            return {"missing": "", "sizes": sizes, "seconds": _moved(page, sizes)}


def _moved(page: "Page", sizes: dict) -> dict[str, dict[str, list[float]]]:
    """Seconds by slider and contender."""
    explorer, peer = (page.locator(".jp-Cell").nth(cell) for cell in (1, 2))
    batch = explorer.get_by_label("batch", exact=True)
    batch.wait_for()
    batch.fill(str(sizes["batch"] - 2))  # the slider counts from 2
    explorer.get_by_text(f"{sizes['batch']} training items").wait_for()
    canvases, handles = explorer.locator(".dcmq-targets canvas"), peer.locator(".noUi-handle")
    peer.locator("img").wait_for()
    seconds = {}
    for place, (name, canvas) in enumerate(MOVES.items()):
        contenders = {
            "explorer": (explorer.get_by_label(name, exact=True), canvases.nth(canvas)),
            "matplotlib": (handles.nth(place), peer.locator(".jp-OutputArea .jp-OutputArea").last),
        }
        seconds[name] = {contender: [] for contender in contenders}
        for number in range(sizes["moves"] + 1):
            key = ("ArrowRight", "ArrowLeft")[number // 10 % 2]  # ten to and ten fro, so that no slider reaches an end
            for contender, (slider, drawing) in contenders.items():
                taken = _move(page, slider, drawing, key)
                if number:  # the first is a warm-up
                    seconds[name][contender].append(taken)
    return seconds


def _move(page: "Page", slider: "Locator", drawing: "Locator", key: str) -> float:
    """Seconds from a key on a slider to the redrawn canvas or image. Raises DcmqError where it looks as before."""
    slider.focus()
    page.wait_for_timeout(200)  # so that nothing else is being drawn
    before = _seen(drawing)
    drawing.evaluate(_TIME)
    page.keyboard.press(key)
    seconds = page.evaluate("window.redrawn")
    if _seen(drawing) == before:
        raise DcmqError("a slider was moved, and the figure was drawn anew but looks the same: nothing can be measured")
    return seconds


def _seen(drawing: "Locator") -> str:
    return drawing.evaluate("root => root.toDataURL?.() ?? root.querySelector('img').src")


def comparisons(result: dict) -> list[Comparison]:
    """A row for each slider."""
    if result["missing"]:
        return [Comparison(f"slider {name}", f"not measured: {result['missing']}", "", "") for name in MOVES]
    rows = []
    for name, seconds in result["seconds"].items():
        ours, peer = seconds["explorer"], seconds["matplotlib"]
        row = speed(f"slider {name}, {result['sizes']['batch']:,} items: explorer and matplotlib", ours, peer)
        rows.append(replace(row, goal=f"< {1000 * GOAL:.0f} ms", reached=median(ours) < GOAL))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """The share of moves that is seen within a time; nothing where nothing was measured."""
    if result["missing"]:
        return {}
    figure, axes = plt.subplots(1, len(MOVES), figsize=(7.5, 2.6), sharex=True, sharey=True)
    for axis, (name, seconds) in zip(axes, result["seconds"].items(), strict=True):
        for i, (contender, times) in enumerate(seconds.items()):
            milliseconds, shares = 1000 * np.sort(times), np.arange(1, len(times) + 1) / len(times)
            style = {"color": plots.colors()[i], "marker": MARKERS[i], "markevery": max(1, len(times) // 8)}
            axis.plot(milliseconds, shares, drawstyle="steps-post", label=contender, **style)
        axis.axvline(1000 * GOAL, color="0.5", linestyle=":", label="goal of the median")
        axis.set(xlabel="milliseconds", title=f"slider {name}", xlim=(0, None), ylim=(0, 1.02))
    axes[0].set_ylabel("share of moves")
    axes[0].legend(fontsize=8)
    figure.tight_layout(w_pad=2)
    return {"time": figure}

"""A search of one's own images by the command, which loads the student each time, and by the server that keeps it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from urllib.request import urlopen

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.timing import Comparison, in_turn, speed
from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.reporting import plots
from dcmq.reporting.figures import MARKERS
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent

TITLE = "Search server"
ABOUT = """
One text, the first 24 of a collection of 5,000 items of 64 bits. Ours is a request to `dcmq search serve` on loopback, a new connection each time. Its peers are the command
`dcmq search query`, which loads the student and its libraries each time, and `Collection.search` in a process that has loaded both: what the search itself takes. The student
has the size of the demo's (a small ResNet, an MLP over 1,000 words) and is not trained; time does not depend on that. All three give the same ids.
"""
SERVER, COMMAND, FUNCTION = "server", "command", "in the process"
GOAL = 50.0  # times as fast as the command
K = 24
_WORDS = tuple(f"{a}{b}{c}" for a in "bdfgklmnpr" for b in "aeiou" for c in "bdfgklmnprstvwxyzhqj")
_TEXT = " ".join(_WORDS[:5])


def measure(quick: bool) -> dict:
    """The seconds of every repeat: of the server's and the function's many for each of the command's few."""
    sizes = {"items": 200, "repeats": 2, "each": 5} if quick else {"items": 5000, "repeats": 7, "each": 40}
    with tempfile.TemporaryDirectory() as folder:
        collection = _collection(Path(folder) / "photos", sizes["items"])
        with _serving(collection.folder) as address:
            contenders = {
                SERVER: lambda: _ask(address),
                FUNCTION: lambda: _ids(collection.search("images", text=_TEXT, k=K)),
            }
            # The command takes seconds: the others get many calls for each of its.
            seconds = {name: [] for name in (COMMAND, *contenders)}
            for _ in range(sizes["repeats"]):
                calls = {COMMAND: lambda: _command(collection.folder)}
                for name, times in (in_turn(calls, 1, 0) | in_turn(contenders, sizes["each"], 2)).items():
                    seconds[name] += times
            answers = {COMMAND: _command(collection.folder)} | {name: call() for name, call in contenders.items()}
    if len({tuple(ids) for ids in answers.values()}) > 1:
        raise DcmqError("the server, the command and the function rank differently: nothing can be compared")
    return {"sizes": sizes, "seconds": seconds}


def _collection(folder: Path, n: int) -> Collection:
    config = TrainConfig(student=StudentConfig(bits=64, image_encoder="small_resnet", image_size=32))
    student = PretrainedStudent(make_student(config, len(_WORDS)), config, _WORDS, 64, LETTERS)
    collection = Collection.create(folder, student)
    index = collection.load_index("images")
    codes = np.random.default_rng(0).integers(0, 256, (n, index.code_size), dtype=np.uint8)
    index.add(codes, [f"image {i}" for i in range(n)])
    collection.save_index("images", index)
    return Collection(folder)


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "dcmq", "search", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            if not (address := server.stdout.readline().strip()):
                raise DcmqError(f"the server did not start: {server.stderr.read().strip()}")
            yield address
        finally:
            server.terminate()


def _ask(address: str) -> list[str]:
    with urlopen(f"{address}api/search?{urlencode({'text': _TEXT, 'k': K})}") as answer:
        return [hit["id"] for hit in json.load(answer)["hits"]]


def _command(folder: Path) -> list[str]:
    words = ["search", "query", str(folder), "--text", _TEXT, "-k", str(K), "--json"]
    done = subprocess.run([sys.executable, "-m", "dcmq", *words], capture_output=True, text=True, check=True)
    return [hit["id"] for hit in json.loads(done.stdout)]


def _ids(hits) -> list[str]:
    return [hit.id for hit in hits]


def comparisons(result: dict) -> list[Comparison]:
    """A row for the command, and one for the function."""
    seconds, what = result["seconds"], f"one text among {result['sizes']['items']:,} items: server and"
    ours = seconds[SERVER]
    by_command = speed(f"{what} command", ours, seconds[COMMAND], GOAL)
    return [by_command, speed(f"{what} function in the process", ours, seconds[FUNCTION])]


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: the median of each, on a logarithmic axis."""
    figure, axis = plt.subplots(figsize=(5.5, 1.9), layout="constrained")
    names = (COMMAND, SERVER, FUNCTION)
    axis.plot([1000 * median(result["seconds"][name]) for name in names], names, MARKERS[0], color=plots.colors()[0])
    axis.set(xscale="log", xlabel="milliseconds for one text")
    axis.margins(y=0.3)
    axis.invert_yaxis()
    return {"time": figure}

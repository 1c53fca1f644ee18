"""The same work by this code and by an earlier revision of it, in turn on one machine."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt

from benchmarks.timing import Comparison, speed
from dcmq.core.errors import DcmqError
from dcmq.reporting import plots

TITLE = "Before and now"
BEFORE = "5fdd902"  # $DCMQ_BEFORE names another revision
ABOUT = f"""
Each kind of work is done by processes of the revision `{BEFORE}` (or of the one that `DCMQ_BEFORE` names) and of the present one, in turn, with the same Python and libraries.
The *peer* is the earlier revision, so a ratio of 2 means half its time. Searches are for the first 100 by `CodeIndex.search` among synthetic codes, evaluation is `evaluate_ranking`
of 200 queries on 117,218 items with its scores; a portion is 1,000 items. Times of commands are of the processor, all threads together.
"""
_ROOT = Path(__file__).resolve().parents[1]
_ROUNDS = 3
_WORK = """
import json, sys, time
import numpy as np, torch
from benchmarks.galleries import make_gallery
from dcmq.codes.index import CodeIndex
from dcmq.codes.score import scores
from dcmq.retrieval.metrics import evaluate_ranking

def seconds(call, times):
    for number in range(3):
        call(number)
    found = []
    for number in range(times):
        start = time.perf_counter()
        call(number)
        found.append(time.perf_counter() - start)
    return found

quick, found = sys.argv[1] == "quick", {}
for n, bits in ((20_000, 64),) if quick else ((10**6, 64), (10**6, 128)):
    gallery = make_gallery(n, bits)
    index, queries = gallery.index, gallery.queries
    one, many = f"one query among {n:,}, {bits} bits", f"1,000 queries among {n:,}, {bits} bits"
    found[one] = seconds(lambda i: index.search(queries[i : i + 1], 100, "faiss"), 100)
    found[many] = seconds(lambda i: index.search(queries, 100, "faiss"), 2)
    checks = [index.search(queries[:50], 100, "faiss").ids.tolist()]
codes = np.random.default_rng(0).integers(0, 256, (300, 1000, 8), dtype=np.uint8)

def grow(searching):
    grown = CodeIndex(gallery.index.codebooks[:16])
    for number, portion in enumerate(codes[: 30 if quick else 300]):
        grown.add(portion, np.arange(1000 * number, 1000 * (number + 1)))
        if searching:
            grown.search(torch.ones(1, 16 * grown.subvector_dim), 10, "faiss")

found["300 portions added"] = seconds(lambda i: grow(False), 1)
found["300 portions added, one query after each"] = seconds(lambda i: grow(True), 1)
draw = torch.Generator().manual_seed(0)
n, q = (5000, 20) if quick else (117_218, 200)
tables, items = torch.rand(q, 16, 16, generator=draw), torch.randint(0, 16, (n, 16), generator=draw)
labels = [(torch.rand(count, 80, generator=draw) < 0.036).to(torch.uint8) for count in (q, n)]
measure = lambda i: evaluate_ranking(lambda rows: scores(tables[rows], items), *labels)
found["evaluation with scores"] = seconds(measure, 1)
checks.append(measure(0).to_dict())
print(json.dumps({"seconds": found, "checks": checks}))
"""
_COMMANDS = {
    "import torch": ["-c", "import torch"],
    "dcmq --help": ["-m", "dcmq", "--help"],
    "dcmq search query": ["-m", "dcmq", "search", "query", "{collection}", "--text", "bab", "-k", "5"],
}
_COLLECTION = """
import sys
from pathlib import Path
from benchmarks.server import _collection
_collection(Path(sys.argv[1]), 1000)
"""


def measure(quick: bool) -> dict:
    """Seconds of each work by both revisions. Raises DcmqError where the earlier one is not to be had, or they do not agree."""
    revision = os.environ.get("DCMQ_BEFORE", BEFORE)
    with tempfile.TemporaryDirectory() as name:
        roots = {"before": Path(name) / "before", "now": _ROOT}
        _unpack(revision, roots["before"])
        collections = {version: Path(name) / version / "collection" for version in roots}
        for version, root in roots.items():
            collections[version].parent.mkdir(exist_ok=True)
            _python(root, ["-c", _COLLECTION, str(collections[version])])
        seconds = {version: {} for version in roots}
        answers = {}
        for _ in range(1 if quick else _ROUNDS):
            for version, root in roots.items():
                told = json.loads(_python(root, ["-c", _WORK, "quick" if quick else "full"])[0])
                answers[version] = told["checks"]
                for work, times in told["seconds"].items():
                    seconds[version].setdefault(work, []).extend(times)
                for work, words in _COMMANDS.items():
                    words = [word.format(collection=collections[version]) for word in words]
                    seconds[version].setdefault(work, []).append(_python(root, words)[1])
    if answers["before"] != answers["now"]:
        raise DcmqError("the two revisions find different items or measures: one of the two is wrong")
    return {"revision": revision, "seconds": seconds}


def _unpack(revision: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    packed = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", revision, "dcmq", "benchmarks", "pyproject.toml"], capture_output=True
    )
    if packed.returncode:
        reason = packed.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DcmqError(f"revision {revision} is not in this checkout's history ({' '.join(reason)}): set DCMQ_BEFORE")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)


def _python(root: Path, words: list[str]) -> tuple[str, float]:
    """What Python says to ``words`` with the package of ``root``, and the seconds of processors that it took."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    before = os.times()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, cwd=root)
    after = os.times()
    if done.returncode:
        raise DcmqError(f"{' '.join(words)[:60]} failed in {root}: {done.stderr.strip()[-500:]}")
    return done.stdout, after.children_user + after.children_system - before.children_user - before.children_system


def comparisons(result: dict) -> list[Comparison]:
    """A row for each kind of work, and what commands cost beside ``import torch``."""
    before, now = result["seconds"]["before"], result["seconds"]["now"]
    rows = [speed(work, now[work], before[work]) for work in now if work != "import torch"]
    torch_alone = median(now["import torch"])
    ratio = median(now["dcmq search query"]) / torch_alone
    text = f"{torch_alone:.2f} s of import torch"
    rows.append(
        Comparison(
            "dcmq search query now, and import torch alone",
            f"{ratio * torch_alone:.2f} s",
            text,
            f"{ratio:.2f} times",
            "≤ 1.3",
            ratio <= 1.3,
        )
    )
    helped = median(now["dcmq --help"])
    rows.append(Comparison("dcmq --help now", f"{helped:.2f} s", "", "", "< 1 s", helped < 1))
    return rows


def figures(result: dict) -> dict[str, plt.Figure]:
    """``time``: the time of each kind of work over the earlier revision's."""
    before, now = result["seconds"]["before"], result["seconds"]["now"]
    works = [work for work in now if work != "import torch"]
    figure, axis = plt.subplots(figsize=(7, 0.35 * len(works) + 1), layout="constrained")
    axis.barh(works, [median(now[work]) / median(before[work]) for work in works], color=plots.colors()[0])
    axis.axvline(1, color="0.4", linestyle=":")
    axis.invert_yaxis()
    axis.set_xlabel(f"time now / time of {result['revision']}")
    return {"time": figure}

"""Ctrl-C in a command that is in the middle of its work: one line, exit code 130, nobody left, nothing half written."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest
from finished_run import write_finished_run
from PIL import Image

from dcmq.search.collection import Collection

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")]
LINE = "interrupted: run the same command again to go on"


@pytest.fixture
def images(tmp_path):
    """More images than one part holds."""
    (tmp_path / "images").mkdir()
    for number in range(1500):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:04}.png")
    return tmp_path / "images"


def descendants(pid):
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(entry.parent.name), *descendants(int(entry.parent.name))]
    return found


def interrupted(words, begun, to_all):
    """What a command says on stderr that is interrupted when ``begun`` returns True; a terminal interrupts all its processes."""
    listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with subprocess.Popen(
        [sys.executable, "-m", "dcmq", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listening,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 120
        while not begun() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()
        family = descendants(process.pid)
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130 and "Traceback" not in told, told
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in family):
        assert time.monotonic() < end, "somebody is left"
        time.sleep(0.05)
    return told


@pytest.mark.parametrize("to_all", [True, False], ids=["by a terminal", "by kill"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_goes_on_where_it_was_interrupted(home, tmp_path, images, workers, to_all):
    words = [
        "search",
        "build",
        tmp_path / "c",
        "--run",
        write_finished_run(home),
        "--images",
        images,
        "--workers",
        workers,
    ]
    told = interrupted(words, lambda: list(tmp_path.glob("c/parts/*.safetensors")), to_all)
    assert [line for line in told.splitlines() if line and "image/s" not in line] == [LINE]
    assert not list(tmp_path.glob("c/images.safetensors")) and not list(tmp_path.glob("c/parts/.*"))
    subprocess.run([sys.executable, "-m", "dcmq", *map(str, words)], check=True, capture_output=True, timeout=120)
    assert len(Collection(tmp_path / "c").load_index("images")) == 1500 and not (tmp_path / "c" / "parts").exists()


def test_an_export_that_is_interrupted_leaves_nothing(home, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    words = ["export", write_finished_run(home), tmp_path / "out" / "student", "--onnx"]
    told = interrupted(words, lambda: list(tmp_path.glob("out/.student.*")), True)
    assert told.splitlines()[-1] == LINE and not os.listdir(tmp_path / "out")


@pytest.mark.parametrize("to_all", [True, False], ids=["by a terminal", "by kill"])
def test_a_notebook_that_is_interrupted_leaves_no_kernel(home, to_all):
    (home / "notebooks").mkdir(parents=True)
    begun = home / "begun"
    parameters = nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    cell = nbformat.v4.new_code_cell(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)")
    kernel = {"kernelspec": {"display_name": "", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, cell], metadata=kernel), home / "notebooks" / "long.ipynb")
    told = interrupted(["reports", "run", "long"], begun.exists, to_all)
    assert told.splitlines()[-1] == LINE and not list(home.glob("reports/long/*"))

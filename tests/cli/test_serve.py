"""``dcmq search serve`` as a process: its address, its token, a hundred clients at once, and its end."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from commands import dcmq, run_command
from finished_run import write_finished_run

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("starlette", reason="starlette is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("python_multipart", reason="python-multipart is not installed: pip install 'dcmq[serve]'")

from serving import Served, write_images  # noqa: E402 (needs the above)

CLIENTS = 100
NEEDING = ("listen", "server", "uploads")  # modules of dcmq.search that import the extra


@pytest.fixture
def collection(tmp_path, home):
    """A collection of four images and three texts."""
    write_finished_run(home)
    texts = tmp_path / "texts.txt"
    texts.write_text("red sea\nblue boat\ngröße\n", encoding="utf-8")
    images = write_images(tmp_path / "images")
    run_command("search", "build", tmp_path / "c", "--run", "npc-32", "--images", images, "--texts", texts)
    return tmp_path / "c"


@contextmanager
def process(*words):
    """``dcmq search serve``, once it has printed its address; it must be ended within the block."""
    command = [sys.executable, "-m", "dcmq", "search", "serve", *map(str, words), "--port", "0"]
    listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=listening) as started:
        try:
            line = started.stdout.readline()
            assert (found := re.fullmatch(r"http://([^/]+):(\d+)/(?:\?token=(\S+))?\n", line)), started.stderr.read()
            yield started, Served(int(found[2])), found
        finally:
            if started.poll() is None:
                started.kill()


def ended(started, number):
    """The exit code after a signal, and what was said on stderr."""
    started.send_signal(number)
    code = started.wait(60)
    return code, started.stderr.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--token", "short"), "8 or more letters, digits, or any of . _ ~ - are needed"),
        (("--token", "with a space in it"), "8 or more letters"),
        (("--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid, port 8000"),
        (("--port", "70000"), "--port"),
    ],
)
def test_a_wrong_call_is_one_line(collection, words, message):
    result = dcmq("search", "serve", collection, *words)
    assert result.exit_code in (1, 2) and message in result.stderr and result.stderr.count("\n") == 1


def test_no_collection_is_one_line(tmp_path):
    result = dcmq("search", "serve", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "") and "is no collection: build one" in result.stderr


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "python_multipart"])
def test_without_the_extra_a_line_says_what_to_install(collection, monkeypatch, name):
    for module in [m for m in sys.modules if m.split(".")[0] == name] + [f"dcmq.search.{m}" for m in NEEDING]:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    result = dcmq("search", "serve", collection)
    assert result.exit_code == 1 and f"needs {name}: pip install 'dcmq[serve]'" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_hundred_clients_at_once_and_an_end_while_they_ask(collection, tmp_path, number):
    image = (tmp_path / "images" / "a.png").read_bytes()
    with process(collection, "--waiting", "8") as (started, server, _):
        expected = {
            "text": server.ask("/api/search?text=red").json["hits"],
            "image": server.upload(image).json["hits"],
        }

        def client(i):
            """Ask until answered, as the page does; returns how often it was told to come again."""
            for refusals in range(200):
                answer = server.ask("/api/search?text=red") if i % 3 else server.upload(image)
                if answer.status == 200:
                    assert answer.json["hits"] == expected["text" if i % 3 else "image"]
                    return refusals
                assert answer.status == 503 and answer.headers["retry-after"] == "1"
                time.sleep(0.05)
            raise AssertionError("never answered")

        with ThreadPoolExecutor(CLIENTS) as pool:
            assert len(list(pool.map(client, range(CLIENTS), timeout=120))) == CLIENTS

        statuses, stop = Counter(), threading.Event()

        def restless(i):
            while not stop.is_set():
                try:
                    answer = server.ask("/api/search?text=red", timeout=30)
                except OSError:  # it listens no more
                    statuses["closed"] += 1
                    return
                assert answer.status in (200, 503) and answer.json  # whole, whatever it is
                statuses[answer.status] += 1

        with ThreadPoolExecutor(20) as pool:
            asking = [pool.submit(restless, i) for i in range(20)]
            time.sleep(1)
            code, said = ended(started, number)
            stop.set()
            for each in asking:
                each.result(30)
        assert (code, said) == (0, "Ctrl-C stops it\n")
        assert statuses[200] > 20 and statuses["closed"] == 20


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_answer_that_is_under_way_is_finished(collection, tmp_path):
    content = (tmp_path / "images" / "a.png").read_bytes()

    def in_two():
        yield content[:50]
        time.sleep(1)  # until the server has the first half
        started.send_signal(signal.SIGTERM)
        time.sleep(1)
        yield content[50:]

    with process(collection) as (started, server, _):
        answer = server.upload(in_two())
        assert answer.status == 200 and len(answer.json["hits"]) == 4
        assert started.wait(60) == 0


@pytest.mark.slow
def test_beyond_loopback_a_token_is_printed_and_needed(collection):
    with process(collection, "--host", "0.0.0.0") as (started, server, found):
        token = found[3]
        assert len(token) >= 20
        assert server.ask("/api/info").status == 401
        assert server.ask(f"/api/info?token={token}", Host="elsewhere.example").status == 200
        assert ended(started, signal.SIGTERM)[0] == 0
    with process(collection, "--token", "own-token") as (started, server, found):
        assert found[3] == "own-token" and server.ask("/api/info").status == 401
        assert server.ask("/api/info", Authorization="Bearer own-token").status == 200
        assert ended(started, signal.SIGINT)[0] == 0

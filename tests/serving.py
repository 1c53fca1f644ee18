"""A search server of a small collection, in a thread of this process, and requests to it without any client's help."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from dcmq.search.listen import config_of, listening_socket


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers by lower-case name, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The line of an error."""
        return self.json["error"]


class Served:
    """A server at ``port`` of loopback; ``server`` is uvicorn's, where it runs in this process."""

    def __init__(self, port: int, server: uvicorn.Server | None = None):
        self.port, self.server = port, server

    def ask(self, address: str, method: str = "GET", body=None, timeout: float = 30, **headers: str) -> Answer:
        """The answer to a request; the address is sent as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, address, body, names)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, content: bytes, query: str = "among=images", kind: str = "image/png", **more) -> Answer:
        """The answer to a search with an image."""
        return self.ask(f"/api/search?{query}", "POST", content, Content_Type=kind, **more)


@contextmanager
def served(app) -> Iterator[Served]:
    """Run an app until the end of the block, as ``dcmq search serve`` does, but without its signals."""
    listening = listening_socket("127.0.0.1", 0)
    server = uvicorn.Server(config_of(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Served(listening.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def write_images(root: Path) -> Path:
    """Four images, in two folders, one turned by its EXIF data, one transparent; returns ``root``."""
    rng = np.random.default_rng(0)
    (root / "in ner").mkdir(parents=True)
    for i, name in enumerate(("a.png", "in ner/größe #1?.png", "c.webp")):
        Image.fromarray(rng.integers(0, 256, (50 + i, 60, 3)).astype(np.uint8)).save(root / name)
    turned = Image.new("RGB", (900, 300), "blue")
    turned.paste("red", (0, 0, 450, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    turned.save(root / "turned.jpg", exif=exif)
    return root

"""The search server: its answers, its limits, and what it never tells; over real connections to loopback."""

import io
import json
import re
import socket
import threading
import time
import zlib

import numpy as np
import pytest
from finished_run import CONFIG, VOCABULARY
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("starlette", reason="starlette is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("python_multipart", reason="python-multipart is not installed: pip install 'dcmq[serve]'")

from serving import Served, served, write_images  # noqa: E402 (needs the above)

from dcmq.search import listen  # noqa: E402
from dcmq.search.held import CollectionInMemory, HeldCollection  # noqa: E402
from dcmq.search.server import LONGEST_TEXT, MOST_HITS, Limits, search_app  # noqa: E402

TEXTS = ["red sea", "blue boat", "größe"]
TOKEN = "a-token_of~20.letters"
FEW = Limits(upload_bytes=50_000, upload_seconds=0.3, waiting=1)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of a collection of four images and three texts, and of its images."""
    folder = tmp_path_factory.mktemp("secret-place")
    student = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    collection = Collection.create(folder / "photos", student)
    collection.update_images(write_images(folder / "images"))
    collection.add_texts(TEXTS)
    return folder / "photos", folder / "images"


@pytest.fixture(scope="module")
def server(places):
    with served(search_app(HeldCollection(places[0]))) as running:
        yield running


@pytest.fixture(scope="module")
def strict(places):
    """A server with a token and small limits."""
    with served(search_app(HeldCollection(places[0]), token=TOKEN, local=False, limits=FEW)) as running:
        yield running


def image_bytes(size=(60, 50), kind="PNG", seed=1):
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content, format=kind)
    return content.getvalue()


def form(content, name="image", file="x.png"):
    """A multipart body with one field, and its content type."""
    as_file = f'; filename="{file}"' if file else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{as_file}\r\n\r\n'
    return head.encode() + content + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def expected(places, kind, k=24, **query):
    hits = Collection(places[0]).search(kind, k=k, **query)
    return [(hit.rank, pytest.approx(hit.score, abs=1e-6), hit.id) for hit in hits]


def ranked(answer):
    assert answer.status == 200, answer.body
    return [(hit["rank"], hit["score"], hit["id"]) for hit in answer.json["hits"]]


def test_answers_are_those_of_the_collection(server, places):
    answer = server.ask("/api/search?text=RED+boat+zzz&k=3")
    assert ranked(answer) == expected(places, "images", 3, text="red boat")
    assert answer.json["unknown_words"] == {"zzz": ""} and answer.json["among"] == "images"
    assert ranked(server.ask("/api/search?text=red&among=texts")) == expected(places, "texts", text="red")
    image = places[1] / "a.png"
    by_file = expected(places, "images", image=image)
    assert ranked(server.upload(image.read_bytes())) == by_file
    body, kind = form(image.read_bytes())
    assert ranked(server.upload(body, kind=kind)) == by_file
    assert ranked(server.ask("/api/search?like=a.png&among=images")) == by_file
    assert ranked(server.upload(image.read_bytes(), "")) == expected(places, "texts", image=image)


def test_hits_are_bounded_by_a_score_and_near_duplicates_folded(tmp_path):
    thresholds = {"t2i": {"value": 0.1, "precision aimed at": 0.8, "precision": 0.7, "recall": 0.1}}
    model = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS, thresholds)
    collection = Collection.create(tmp_path / "c", model)
    images = write_images(tmp_path / "images")
    with Image.open(images / "a.png") as image:
        image.resize((120, 100)).save(images / "again.png")
    collection.update_images(images)
    plain = collection.search("images", text="boat")
    with served(search_app(HeldCollection(tmp_path / "c"))) as server:
        folded = server.ask("/api/search?text=boat&fold=1").json
        assert folded["threshold"] is None and len(folded["hits"]) == 4
        assert [hit["duplicates"] for hit in folded["hits"] if hit["duplicates"]] in ([["again.png"]], [["a.png"]])
        for given, least in ((plain[2].score, plain[2].score), ("chosen", 0.1)):
            found = server.ask(f"/api/search?text=boat&threshold={given}").json
            assert found["threshold"] == pytest.approx(least)
            assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in plain if hit.score >= least]
        assert server.ask("/api/search?like=a.png&threshold=chosen&among=images").json["threshold"] is None
        assert server.ask("/api/info").json["thresholds"]["texts among images"] == thresholds["t2i"]


def test_names_that_are_absolute_paths_are_not_served(tmp_path):
    """A server tells names, and these would tell where a machine keeps its files."""
    model = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    file = write_images(tmp_path / "images") / "a.png"
    (tmp_path / "list.txt").write_text(f"{file}\n", encoding="utf-8")
    Collection.create(tmp_path / "c", model).update_images(tmp_path / "list.txt")
    with pytest.raises(DcmqError, match="names of images are absolute paths, which a server would tell"):
        HeldCollection(tmp_path / "c")


def test_info_says_what_can_be_searched(server):
    info = server.ask("/api/info").json
    assert (info["name"], info["bits"], info["counts"]) == ("photos", 32, {"images": 4, "texts": 3})
    assert info["words"] == list(VOCABULARY) and info["vocabulary"] == 5 and info["thumbnails"] is True
    assert info["limits"]["upload_bytes"] == 20_000_000


def test_every_hit_has_a_thumbnail_upright_and_small(server):
    hits = server.ask("/api/search?text=red").json["hits"]
    assert len(hits) == 4
    shown = {}
    for hit in hits:
        answer = server.ask(hit["thumbnail"])
        assert answer.status == 200 and answer.headers["content-type"] == "image/jpeg"
        shown[hit["id"]] = Image.open(io.BytesIO(answer.body))
    assert shown["turned.jpg"].size == (107, 320)  # 900 x 300, a quarter clockwise
    top, bottom = (shown["turned.jpg"].getpixel((50, y)) for y in (40, 280))
    assert top[0] > 200 > 60 > top[2] and bottom[2] > 200 > 60 > bottom[0]
    assert shown["in ner/größe #1?.png"].size == (60, 51)
    assert server.ask("/api/search?text=red&among=texts").json["hits"][0]["thumbnail"] is None


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("/api/search", 400, "exactly one is needed"),
        ("/api/search?text=+", 400, "exactly one is needed"),
        ("/api/search?text=red&like=a.png", 400, "exactly one is needed"),
        ("/api/search?text=red&among=sounds", 400, "among=sounds: give one of images, texts"),
        ("/api/search?text=red&k=0", 400, f"k=0: give a whole number from 1 to {MOST_HITS}"),
        (f"/api/search?text=red&k={MOST_HITS + 1}", 400, "give a whole number"),
        ("/api/search?text=red&k=%C2%B2", 400, "give a whole number"),
        ("/api/search?text=red&k=" + "9" * 5000, 400, "give a whole number"),
        ("/api/search?text=red+" + "x" * LONGEST_TEXT, 400, f"has {LONGEST_TEXT + 4} letters: give at most"),
        ("/api/search?text=red&fold=yes", 400, "fold=yes: give 1 to count near duplicates"),
        ("/api/search?text=red&threshold=nan", 400, "threshold=nan: give a score from -1 to 1, or chosen"),
        ("/api/search?text=red&threshold=2", 400, "threshold=2: give a score from -1 to 1, or chosen"),
        ("/api/search?text=green", 400, "'green' has no word that the student knows, such as red"),
        ("/api/search?like=b.png", 404, "there is no image 'b.png', or its file is gone"),
        ("/thumbnail/b.png", 404, "there is no image 'b.png'"),
        ("/thumbnail/", 404, "there is no image ''"),
        ("/nothing", 404, "Not Found"),
        ("/api/nothing", 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_answered_by_a_line(server, address, status, message):
    answer = server.ask(address)
    assert (answer.status, "\n" in answer.error) == (status, False) and message in answer.error


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"x", "application/x-www-form-urlencoded", 415, "send an image, as a file in multipart/form-data, or alone"),
        (b"x", "", 415, "this is of no named type"),
        (b"no image", "image/png", 415, "no image that can be read: send one of JPEG, PNG"),
        (b"", "image/png", 415, "no image that can be read"),
        (image_bytes()[:-200], "image/png", 415, "no image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/png", 415, "no image that can be read"),
        (*form(b"x", file=""), 400, "the form holds no file"),
        (b"--edge--", "multipart/form-data", 400, "the form cannot be read: Missing boundary"),
        (b"nonsense", "multipart/form-data; boundary=edge", 400, "the form"),
    ],
)
def test_an_upload_that_is_no_image_is_refused(server, content, kind, status, message):
    answer = server.upload(content, kind=kind)
    assert answer.status == status and message in answer.error


def huge_png(side):
    """A PNG of a few bytes whose header promises ``side`` pixels a side."""

    def chunk(name, data):
        return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)

    head = side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 14_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(server, side):
    answer = server.upload(huge_png(side))
    assert answer.status == 413 and answer.error == "more than 64 million pixels: send a smaller image"


def in_pieces(content, number, wait=0.0):
    step = -(-len(content) // number)
    for start in range(0, len(content), step):
        time.sleep(wait)
        yield content[start : start + step]


def test_an_upload_is_bounded_in_bytes_whether_or_not_it_says_how_many(strict):
    for body in (bytes(50_001), in_pieces(bytes(2_000_000), 40)):
        answer = strict.upload(body, Authorization=f"Bearer {TOKEN}")
        assert answer.status == 413 and answer.error == "more than 0.05 MB: send a smaller image"
    answer = strict.upload(image_bytes(), Authorization=f"Bearer {TOKEN}")
    assert answer.status == 200


def test_an_upload_is_bounded_in_time(strict):
    content = image_bytes()
    pieces = in_pieces(content, 4, 0.5)
    head = {"Authorization": f"Bearer {TOKEN}", "Content_Length": str(len(content))}
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", strict.port), 10) as client:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in head.items()]
        request = ["POST /api/search HTTP/1.1", "Host: x", "Content-Type: image/png", *lines, "", ""]
        client.sendall("\r\n".join(request).encode() + next(pieces))
        answer = client.makefile("rb").read()
    assert b" 408 " in answer and b"not all of it came within 0.3 seconds" in answer
    assert time.monotonic() - start < 5


def test_a_head_that_does_not_come_is_not_waited_for(places, monkeypatch):
    monkeypatch.setattr(listen, "REQUEST_SECONDS", 0.3)
    with served(search_app(HeldCollection(places[0]))) as running:
        for first in (b"", b"GET /api/info HTTP/1.1\r\nHost: localhost\r\n"):
            with socket.create_connection(("127.0.0.1", running.port), 10) as client:
                client.sendall(first)
                assert client.recv(100) == b""  # closed
        assert running.ask("/api/info").status == 200


def test_a_kept_connection_is_answered_without_delay(server):
    """Every packet is sent at once, so that no body waits for the acknowledgement of its head."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        for _ in range(3):
            client.sendall(b"HEAD /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(10_000).startswith(b"HTTP/1.1 200")
        sockets = [
            connection.transport.get_extra_info("socket") for connection in server.server.server_state.connections
        ]
        assert sockets and all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets)


def test_a_client_that_leaves_disturbs_nobody(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx"
        )
    assert server.ask("/api/info").status == 200


def test_a_token_is_asked_for_in_every_answer_but_the_page(strict):
    for address in (
        "/api/info",
        "/api/search?text=red",
        "/thumbnail/a.png",
        "/api/info?token=wrong",
        "/api/info?token=",
    ):
        answer = strict.ask(address)
        assert answer.status == 401 and "token is needed" in answer.error
        assert answer.headers["www-authenticate"] == "Bearer"
    assert strict.ask("/api/info", Authorization="Bearer größe".encode().decode("latin-1")).status == 401
    assert strict.ask("/api/info", Authorization=f"Basic {TOKEN}").status == 401
    assert strict.upload(image_bytes()).status == 401
    for host in ("x?", "x/page.js?", "x#", "x/#", "x\\", "x:80/?"):  # it decides about nothing
        assert strict.ask("/api/info", Host=host).status == 401
    for address in ("//api/info", "/api//info", "/api/info/", "/./api/info", "/%61pi/info", "/api/info;x", "/nothing"):
        assert strict.ask(address).status == 401
    for address in ("/", "/page.js", "/page.css", f"/api/info?token={TOKEN}", f"/thumbnail/a.png?token={TOKEN}"):
        assert strict.ask(address).status == 200
    assert strict.ask("/thumbnail/a.png", Authorization=f"Bearer {TOKEN}").status == 200


def test_on_loopback_only_its_own_names_are_answered(server, strict):
    for host in (
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
    ):
        for address in ("/", "/api/info", "/thumbnail/a.png"):
            assert server.ask(address, Host=host).status == 403
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert server.ask("/api/info", Host=host).status == 200
    assert strict.ask(f"/api/info?token={TOKEN}", Host="photos.example").status == 200


def test_browsers_are_told_to_be_careful(server):
    for address in ("/", "/api/info", "/nothing", "/thumbnail/a.png"):
        headers = server.ask(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin" and "server" not in headers
    page = server.ask("/").body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page + server.ask("/page.js").body.decode())


TRAVERSALS = [
    "/thumbnail/../images/a.png",
    "/thumbnail/..%2f..%2f..%2fetc%2fpasswd",
    "/thumbnail/%2e%2e/photos/root.txt",
    "/thumbnail//etc/passwd",
    "/thumbnail/in%20ner/../a.png",
    "/thumbnail/a.png%00.jpg",
    "/thumbnail/%ff%fe",
    "/../../../../../../etc/passwd",
    "/..%2f..%2fserver.py",
    "/%2e%2e/server.py",
    "/api/search?like=../images/a.png",
    "/api/search?like=/etc/passwd",
    "/api/search?like=a.png%00",
]


@pytest.mark.parametrize("address", TRAVERSALS)
def test_no_address_leads_out_of_the_collection(server, address):
    answer = server.ask(address)
    assert answer.status == 404 and b"root:" not in answer.body


def test_a_link_out_of_the_images_is_not_followed(places, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "inner.png").write_bytes(image_bytes())
    (tmp_path / "outer.png").write_bytes(image_bytes(seed=2))
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "outer.png")
    (tmp_path / "images" / "near.png").symlink_to(tmp_path / "images" / "inner.png")
    collection = Collection.create(tmp_path / "c", Collection(places[0]).model)
    collection.update_images(tmp_path / "images")
    with served(search_app(HeldCollection(tmp_path / "c"))) as running:
        status = {name: running.ask(f"/thumbnail/{name}.png").status for name in ("inner", "near", "link")}
        assert status == {"inner": 200, "near": 200, "link": 404}
        assert running.ask("/api/search?like=link.png&among=images").status == 404


def test_no_answer_names_a_folder_of_the_machine(server, places, tmp_path):
    """Swept over all answers there are, damaged collections included."""
    addresses = ["/", "/page.js", "/page.css", "/api/info", "/nothing", "/api/search", "/api/search?text=green"]
    addresses += ["/api/search?text=red", "/api/search?text=red&among=texts", "/api/search?like=a.png", *TRAVERSALS]
    answers = [server.ask(address) for address in addresses]
    answers += [server.upload(content) for content in (b"", image_bytes()[:-200], huge_png(9_500))]
    answers += [
        server.ask("/api/info", "DELETE"),
        server.ask("/api/search", "PUT"),
        server.upload(b"", kind="text/plain"),
    ]

    held = HeldCollection(copied(places[0], tmp_path / "secret-place" / "photos"))
    with served(search_app(held)) as running:
        for name in ("images.safetensors", "files.safetensors", "model.safetensors"):
            file = held.folder / name
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
            damaged = running.ask("/api/search?text=red")
            assert damaged.status == 500 and name in damaged.error
            answers.append(damaged)
            file.write_bytes(whole)
            assert running.ask("/api/search?text=red").status == 200
        for file in held.folder.glob("*.safetensors"):
            file.unlink()
        answers.append(running.ask("/api/search?text=red"))
        assert answers[-1].status == 500
    for answer in answers:
        told = answer.body + json.dumps(answer.headers).encode()
        assert b"secret-place" not in told and str(places[0].parent).encode() not in told
        assert b"Traceback" not in told and b"site-packages" not in told
    assert len({answer.status for answer in answers}) >= 7


def copied(folder, target):
    target.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_mistake_of_ours_is_told_without_its_trace(places, monkeypatch, capfd):
    def broken(*_, **__):
        raise RuntimeError(f"at {places[0]}")

    monkeypatch.setattr(CollectionInMemory, "search", broken)
    with served(search_app(HeldCollection(places[0]))) as running:
        answer = running.ask("/api/search?text=red")
    assert (answer.status, answer.error) == (500, "the server failed: its terminal says how")
    assert "RuntimeError" in capfd.readouterr().err


def test_a_build_beside_it_is_seen(places, tmp_path, monkeypatch):
    images = write_images(tmp_path / "images")
    collection = Collection.create(tmp_path / "c", Collection(places[0]).model)
    collection.update_images(images)
    loads = []
    load = CollectionInMemory.__init__
    monkeypatch.setattr(CollectionInMemory, "__init__", lambda *args: loads.append(1) or load(*args))
    with served(search_app(HeldCollection(tmp_path / "c"))) as running:
        assert running.ask("/api/search?text=red&among=texts").error == "this collection holds no texts"
        for _ in range(3):
            assert len(running.ask("/api/search?text=red").json["hits"]) == 4
        assert len(loads) == 1  # not read for each search
        (images / "new.png").write_bytes(image_bytes())
        (images / "a.png").unlink()
        collection.update_images(images)
        collection.add_texts(TEXTS)
        found = {hit["id"] for hit in running.ask("/api/search?text=red").json["hits"]}
        assert "new.png" in found and "a.png" not in found
        assert running.ask("/thumbnail/new.png").status == 200 and running.ask("/thumbnail/a.png").status == 404
        assert len(running.ask("/api/search?text=red&among=texts").json["hits"]) == 3


def test_what_is_gone_or_was_never_a_file_has_no_thumbnail(places, tmp_path):
    images = write_images(tmp_path / "images")
    collection = Collection.create(tmp_path / "c", Collection(places[0]).model)
    collection.update_images(images)
    (images / "a.png").unlink()
    (images / "c.webp").write_bytes(b"no image any more")
    with served(search_app(HeldCollection(tmp_path / "c"))) as running:
        assert [running.ask(f"/thumbnail/{name}").status for name in ("a.png", "c.webp", "turned.jpg")] == [
            404,
            404,
            200,
        ]
    numbers = Collection.create(tmp_path / "numbers", collection.model)
    index = numbers.load_index("images")
    index.add(collection.load_index("images").codes, np.arange(4))
    numbers.save_index("images", index)
    with served(search_app(HeldCollection(tmp_path / "numbers"))) as running:
        assert running.ask("/api/info").json["thumbnails"] is False
        hits = running.ask("/api/search?text=red").json["hits"]
        assert {hit["id"] for hit in hits} == {"0", "1", "2", "3"} and {hit["thumbnail"] for hit in hits} == {None}


def test_the_queue_is_bounded(places, monkeypatch):
    """One search runs, one of the next five waits, and the others are refused while nothing is answered yet."""
    go_on, began, search = threading.Event(), threading.Event(), CollectionInMemory.search

    def slow(*args, **kwargs):
        began.set()
        assert go_on.wait(20)
        return search(*args, **kwargs)

    monkeypatch.setattr(CollectionInMemory, "search", slow)
    with served(search_app(HeldCollection(places[0]), limits=Limits(waiting=1))) as running:
        answers = []
        ask = [threading.Thread(target=lambda: answers.append(running.ask("/api/search?text=red"))) for _ in range(6)]
        ask[0].start()
        assert began.wait(20)
        for thread in ask[1:]:
            thread.start()
        end = time.monotonic() + 15
        while len(answers) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert [answer.status for answer in answers] == [503] * 4
        assert {answer.headers["retry-after"] for answer in answers} == {"1"} and "too many" in answers[0].error
        assert running.ask("/thumbnail/a.png").status == 200 and running.ask("/").status == 200
        go_on.set()
        for thread in ask:
            thread.join(20)
    assert [answer.status for answer in answers[4:]] == [200, 200]


def test_an_upload_that_comes_slowly_holds_up_no_search(server):
    content = image_bytes()
    head = (
        f"POST /api/search?k=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(content)}"
    )
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        client.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n" + content[:100])
        assert server.ask("/api/search?text=red", timeout=5).status == 200
        client.sendall(content[100:])
        assert b" 200 " in client.makefile("rb").readline()


def until(running: Served, ask, status, seconds=10):
    """The first answer with that status. Another request may have come before the one that is waited for."""
    end = time.monotonic() + seconds
    while (answer := ask()).status != status:
        assert time.monotonic() < end
    return answer


def test_only_so_many_uploads_are_in_memory_at_a_time(places, monkeypatch):
    monkeypatch.setattr("dcmq.search.server._UPLOADS", 1)
    with (
        served(search_app(HeldCollection(places[0]))) as running,
        socket.create_connection(("127.0.0.1", running.port), 10) as client,
    ):
        client.sendall(
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx"
        )
        until(running, lambda: running.upload(image_bytes()), 503)
        client.close()
        until(running, lambda: running.upload(image_bytes()), 200)


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
                        ("::", False), ("192.168.1.7", False), ("", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_loopback_is_known_from_the_rest(host, local):
    assert listen.is_local(host) is local


def test_a_port_that_is_taken_is_one_line():
    with listen.listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert listen.address("127.0.0.1", taken) == f"http://127.0.0.1:{port}/"
        assert listen.address("::1", taken) == f"http://[::1]:{port}/"
        assert listen.address("0.0.0.0", taken) == f"http://{socket.gethostname()}:{port}/"
        with pytest.raises(DcmqError, match=f"cannot listen on 127.0.0.1, port {port}: .*choose another --port"):
            listen.listening_socket("127.0.0.1", port)
    with pytest.raises(DcmqError, match="cannot listen on no.such.host.invalid"):
        listen.listening_socket("no.such.host.invalid", 0)

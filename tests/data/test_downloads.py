"""Downloads from a server on this machine that breaks off, lies, or has nothing."""

import errno
import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import miniature
import pytest

from dcmq.core.errors import DcmqError
from dcmq.data import downloads
from dcmq.data.datasets import DATASETS, download
from dcmq.data.downloads import Archive, download_all, fetch, unpack


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        content = server.files.get(self.path.lstrip("/"))
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.failures:
            return self.send_error(server.failures.pop())
        if content is None:
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        sent = content[start:]
        if server.cuts:
            sent = sent[: server.cuts.pop()]
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.cuts, server.failures, server.ranges = {}, [], [], [], True
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


CONTENT = zipped({"a/b.txt": bytes(range(256)) * 2000, "größe.txt": b"x"})
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def archive(server):
    server.files["data.zip"] = CONTENT
    return Archive(f"{server.url}/data.zip", len(CONTENT), MD5, into="unpacked")


def test_cut_in_the_middle_and_resumed(server, archive, tmp_path):
    server.cuts = [1000, 300_000]
    download_all((archive,), tmp_path)
    assert server.asked == [None, "bytes=300000-", "bytes=301000-"]
    assert (tmp_path / "downloads" / "data.zip").read_bytes() == CONTENT
    assert (tmp_path / "unpacked" / "a" / "b.txt").stat().st_size == 512_000 and (
        tmp_path / "unpacked" / "größe.txt"
    ).is_file()
    (tmp_path / "downloads" / "data.zip").unlink()
    download_all((archive,), tmp_path)
    assert len(server.asked) == 3  # unpacked before: not fetched again


def test_given_up_and_gone_on_with_another_day(server, archive, tmp_path):
    server.cuts = [10] * downloads.ATTEMPTS
    with pytest.raises(DcmqError, match="closed early, 5 attempts.*run again"):
        fetch(archive, tmp_path)
    assert (tmp_path / "downloads" / "data.zip.part").stat().st_size == 50
    assert fetch(archive, tmp_path).read_bytes() == CONTENT and server.asked[-1] == "bytes=50-"


@pytest.mark.parametrize("sized", [True, False])
def test_complete_part_and_server_without_ranges(server, archive, tmp_path, sized):
    archive = archive if sized else Archive(archive.url)
    (tmp_path / "downloads").mkdir()
    part = tmp_path / "downloads" / "data.zip.part"
    part.write_bytes(CONTENT)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT and not part.exists()
    (tmp_path / "downloads" / "data.zip").unlink()
    part.write_bytes(b"?" * 1000)
    server.ranges = False
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_again(server, archive, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "data.zip.part").write_bytes(b"?" * (len(CONTENT) + 1))
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_wrong_checksum_and_wrong_size(server, archive, tmp_path):
    with pytest.raises(DcmqError, match=f"data.zip has MD5 {MD5}, not 0123: it was deleted"):
        fetch(Archive(archive.url, len(CONTENT), "0123"), tmp_path)
    with pytest.raises(DcmqError, match="bytes long, not 7: it was deleted"):
        fetch(Archive(archive.url, 7), tmp_path)
    assert not list((tmp_path / "downloads").glob("*.part"))


def test_not_found_busy_and_nobody_there(server, archive, tmp_path):
    with pytest.raises(DcmqError, match="no.zip answers 404 Not Found: fetch no.zip elsewhere"):
        fetch(Archive(f"{server.url}/no.zip"), tmp_path)
    server.failures = [503, 429]
    assert fetch(archive, tmp_path).is_file()
    with pytest.raises(DcmqError, match="cannot be fetched .*refused.*, 5 attempts"):
        fetch(Archive("http://127.0.0.1:9/x.zip"), tmp_path)


def test_files_that_a_user_fetched_are_taken(server, archive, tmp_path):
    (tmp_path / "data.zip").write_bytes(CONTENT)
    download_all((archive,), tmp_path)
    assert not server.asked and (tmp_path / "unpacked" / "a" / "b.txt").is_file()


def test_truncated_and_climbing_archives(tmp_path):
    path, folder = tmp_path / "x.zip", tmp_path / "folder"
    path.write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(DcmqError, match="x.zip is no whole ZIP file"):
        unpack(path, folder)
    path.write_bytes(CONTENT[:1000] + b"????" + CONTENT[1004:])
    with pytest.raises(DcmqError, match="x.zip is no whole ZIP file .*CRC"):
        unpack(path, folder)
    for name in ("../out.txt", "/tmp/dcmq-out.txt", "a/../../out.txt"):
        path.write_bytes(zipped({"good.txt": b"1", name: b"2"}))
        with pytest.raises(DcmqError, match="points outside its folder"):
            unpack(path, folder)
    assert not (tmp_path / "out.txt").exists() and not (folder / "good.txt").exists()


def test_unpacking_goes_on_where_it_stopped(tmp_path):
    path, folder = tmp_path / "x.zip", tmp_path / "folder"
    path.write_bytes(CONTENT)
    unpack(path, folder)
    kept = (folder / "a" / "b.txt").stat().st_mtime_ns
    (folder / "größe.txt").unlink()
    unpack(path, folder)
    assert (folder / "größe.txt").is_file() and (folder / "a" / "b.txt").stat().st_mtime_ns == kept


def test_disk_full(server, archive, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    with monkeypatch.context() as patch:
        patch.setattr("dcmq.core.storage.shutil.disk_usage", lambda _: Usage)
        with pytest.raises(DcmqError, match="downloading 1 archives needs"):
            download_all((archive,), tmp_path)
        (tmp_path / "data.zip").write_bytes(CONTENT)
        with pytest.raises(DcmqError, match="unpacking data.zip needs"):
            download_all((archive,), tmp_path)
        (tmp_path / "data.zip").unlink()
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, *_):
            pass

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(self, mode="r", *words, **named):
        file = real(self, mode, *words, **named)
        return Full(file) if self.name.endswith(".part") and mode == "wb" else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(DcmqError, match="cannot write .*data.zip.part .No space left.*run again to go on"):
        fetch(archive, tmp_path)
    (tmp_path / "data.zip").write_bytes(CONTENT)
    with pytest.raises(DcmqError, match="cannot unpack .*No space left"):
        unpack(tmp_path / "data.zip", tmp_path / "folder")


def test_from_nothing_to_a_data_set(server, tmp_path, monkeypatch):
    source = miniature.mirflickr(tmp_path / "mir")
    for name in ("mirflickr", "mirflickr25k_annotations_v080"):
        base = source if name == "mirflickr" else source / name
        files = [p for p in (source / name).rglob("*") if p.is_file()]
        server.files[f"{name}.zip"] = zipped({p.relative_to(base).as_posix(): p.read_bytes() for p in files})
    archives = tuple(
        Archive(f"{server.url}/{name}.zip", into="" if name == "mirflickr" else name)
        for name in ("mirflickr", "mirflickr25k_annotations_v080")
    )
    monkeypatch.setitem(DATASETS._entries, "mirflickr", replace(DATASETS["mirflickr"], archives=archives))
    root = tmp_path / "new" / "root"
    download("mirflickr:20015", root)
    assert len(miniature.prepared("mirflickr", root, query=5, train=20).ids) == 37
    with pytest.raises(DcmqError, match="folder has nothing to download"):
        download("folder", root)

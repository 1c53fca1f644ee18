"""Folders and disks that cannot be written: each command says so in one line, and leaves nothing that is half written."""

import errno
import io
import os
from pathlib import Path

import miniature
import pytest
from commands import dcmq
from whole_run import write_whole_run

SMALL = ["--expect", "none", "--image-size", "8", "--query", "5", "--train", "12"]
CODES = [errno.EROFS, errno.EACCES, errno.ENOSPC]
COMMANDS = ["prepare", "build", "push", "export"]


@pytest.fixture
def run(home):
    return write_whole_run(home)


@pytest.fixture
def images(tmp_path):
    return miniature.coco(tmp_path / "coco") / "train2014"


def refuse(monkeypatch, place, code):
    """Let nothing be made under ``place``, as on a disk that is full or only to be read. Root may write all others."""

    def refused(path):
        return isinstance(path, str | os.PathLike) and f"{os.fspath(path)}/".startswith(f"{place}/")

    mkdir, low, high = os.mkdir, os.open, io.open

    def no_mkdir(path, *rest, **options):
        if refused(path):
            raise OSError(code, os.strerror(code), str(path))
        return mkdir(path, *rest, **options)

    def no_low(path, flags, *rest, **options):
        if refused(path) and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(code, os.strerror(code), str(path))
        return low(path, flags, *rest, **options)

    def no_high(path, mode="r", *rest, **options):
        if refused(path) and set(mode) & set("wax+"):
            raise OSError(code, os.strerror(code), str(path))
        return high(path, mode, *rest, **options)

    for module, name, instead in ((os, "mkdir", no_mkdir), (os, "open", no_low), (io, "open", no_high)):
        monkeypatch.setattr(module, name, instead)


def words_of(name, run, images, place):
    if name == "export":
        pytest.importorskip("onnx", reason="needs the extra onnx")
    return {
        "prepare": ["data", "prepare", "coco", "--root", images.parent, "--out", place / "x", *SMALL],
        "build": ["search", "build", place / "x", "--run", run, "--images", images],
        "push": ["push", run, place / "x"],
        "export": ["export", run, place / "x", "--onnx"],
    }[name]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_cannot_be_written_is_one_line_and_nothing_is_left(run, images, tmp_path, monkeypatch, name, code):
    place = tmp_path / "disk"
    place.mkdir()
    words = words_of(name, run, images, place)
    refuse(monkeypatch, place, code)
    result = dcmq(*words)
    (line,) = [line for line in result.stderr.replace("\r", "\n").splitlines() if str(place) in line]
    assert result.exit_code == 1 and not result.stdout and "Traceback" not in result.stderr
    assert "no space left" in line.lower() if code == errno.ENOSPC else os.strerror(code) in line
    assert list(place.rglob("*")) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_in_the_place_of_a_folder_is_one_line_and_stays(run, images, tmp_path, name):
    place = tmp_path / "file"
    place.write_text("mine")
    result = dcmq(*words_of(name, run, images, place))
    assert result.exit_code == 1 and str(place) in result.stderr and "Traceback" not in result.stderr
    assert sum(str(place) in line for line in result.stderr.splitlines()) == 1 and place.read_text() == "mine"


def test_a_data_set_is_prepared_where_no_run_can_be_kept(images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "no folder"))
    result = dcmq("data", "prepare", "coco", "--root", images.parent, "--out", out, *SMALL)
    assert result.exit_code == 0 and (out / "dataset.json").is_file(), result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["runs", "list"], ["runs", "clean"], ["reports", "page"], ["reports", "run", "quickstart"]])
def test_a_home_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, words):
    home = tmp_path / "home"
    home.mkdir()
    (home / "notebooks").symlink_to(Path(__file__).parents[2] / "notebooks")
    for name in ("runs", "reports"):
        (home / name).touch()
    monkeypatch.setenv("DCMQ_HOME", str(home))
    monkeypatch.setenv("DCMQ_REPORTS", str(home / "reports"))
    result = dcmq(*words)
    last = result.stderr.splitlines()[-1]
    assert result.exit_code == 1 and "cannot make the folder" in last and "set DCMQ_HOME to one you can write" in last
    assert "Traceback" not in result.stderr

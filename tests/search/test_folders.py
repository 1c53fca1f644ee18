"""A folder searched through: what is an image, and what is passed over, named by its reason."""

import os
import stat
import time

import pytest

from dcmq.search.folders import (
    BESIDE_IMAGES,
    HIDDEN,
    LINKED_FOLDER,
    NO_FILE,
    NOT_UTF8,
    OTHER_FORMAT,
    SUFFIXES,
    reason_to_pass_over,
    search_folder,
    shown,
    stamp,
)

CAFE = b"caf\xe9.png"


def put(root, *names):
    for name in names:
        file = os.path.join(os.fsencode(root), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as opened:
            opened.write(b"x" * 3)


def names_in(root):
    return [name.decode() for name, _, _ in search_folder(root).images]


def test_images_of_every_suffix_are_found_in_the_order_of_their_names(tmp_path):
    put(
        tmp_path,
        "b.PNG",
        "in ner/größe.Jpg",
        "a.jfif",
        "in ner/हर.webp",
        "notes.md",
        "table.csv",
        "Z.tiff",
        "new\nline.png",
    )
    assert names_in(tmp_path) == ["Z.tiff", "a.jfif", "b.PNG", "in ner/größe.Jpg", "in ner/हर.webp", "new\nline.png"]
    assert not search_folder(tmp_path).passed_over


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_that_is_listed_is_one_that_pillow_reads(suffix):
    from PIL import Image

    assert Image.registered_extensions()[suffix] in Image.OPEN


def test_what_is_passed_over_is_named_by_its_reason(tmp_path):
    put(
        tmp_path,
        "a.png",
        "._a.png",
        ".hidden/b.png",
        "x/@eaDir/a.jpg/SYNO.jpg",
        "__MACOSX/._c.png",
        "$RECYCLE.BIN/d.gif",
    )
    put(tmp_path, "photo.HEIC", CAFE, b"d\xfcr/e.png", "shard.tar", ".hidden/more.tar", ".git/notes.txt")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "x" / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "linked").symlink_to(tmp_path / "x")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    found = search_folder(tmp_path)
    assert [name for name, _, _ in found.images] == [b"a.png", b"x/link.png"]
    assert {reason: sorted(names) for reason, names in found.passed_over.items()} == {
        HIDDEN: ["$RECYCLE.BIN/d.gif", "._a.png", ".hidden/b.png", "__MACOSX/._c.png", "x/@eaDir/a.jpg/SYNO.jpg"],
        OTHER_FORMAT: ["photo.HEIC"],
        NOT_UTF8: [r"caf\xe9.png", r"d\xfcr/e.png"],
        NO_FILE: ["gone.png", "pipe.png"],
        LINKED_FOLDER: ["linked", "loop"],
        BESIDE_IMAGES: ["shard.tar"],
    }


def test_a_folder_that_is_hidden_itself_is_searched(tmp_path):
    put(tmp_path / ".photos" / "@eaDir", "a.png")
    assert names_in(tmp_path / ".photos" / "@eaDir") == ["a.png"]


@pytest.mark.parametrize("name", [b"./a.png", b"../a.png", b"a..b/c.png"])
def test_a_path_through_the_same_folder_is_not_hidden(name):
    assert reason_to_pass_over(name) == ""


def test_a_folder_that_cannot_be_read_is_noted(tmp_path, monkeypatch):
    """As root may read everything, scandir refuses here."""
    put(tmp_path, "a.png", "closed/b.png")
    scandir = os.scandir

    def refusing(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = search_folder(tmp_path)
    assert found.closed == {"closed": "Permission denied"} and [name for name, _, _ in found.images] == [b"a.png"]


def test_a_stamp_cannot_be_set_back(tmp_path):
    put(tmp_path, "a.bmp")
    file = tmp_path / "a.bmp"
    before = file.stat()
    time.sleep(0.05)  # longer than a tick of the file system's clock
    file.write_bytes(b"y" * 3)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert stamp(after) != stamp(before) and stat.S_ISREG(after.st_mode)


def test_bytes_that_are_no_text_are_shown_as_escapes():
    assert shown(b"caf\xe9 \xe2\x82\xac") == r"caf\xe9 €"

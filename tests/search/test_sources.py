"""Where images come from: folders, lists, tar and parquet files."""

import io
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.search.sources import absolute_source, base_of, content_hash, list_images, read_images, source_exists


def png(number):
    """The bytes of an image that no other ``number`` gives."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write_tar(path, names):
    """A tar file as of webdataset: a text beside each image."""
    with tarfile.open(path, "w") as tar:
        for number, name in names.items():
            for suffix, content in ((".png", png(number)), (".txt", b"a red boat")):
                member = tarfile.TarInfo(f"{name}{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def contents(source):
    listing = list_images(absolute_source(source))
    return dict(zip(np.char.decode(listing.ids, "utf-8").tolist(), read_images(listing), strict=True))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in ner").mkdir()
    for number, name in enumerate(["b.PNG", "in ner/größe.png", "a.jpeg"]):
        (tmp_path / name).write_bytes(png(number))
    (tmp_path / "notes.md").write_text("no image")
    return tmp_path


def test_a_folder_is_listed_by_names_with_all_its_folders(folder):
    assert list(contents(folder).items()) == [("a.jpeg", png(2)), ("b.PNG", png(0)), ("in ner/größe.png", png(1))]


def test_a_list_keeps_its_order_and_is_relative_to_itself(folder, tmp_path):
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    (elsewhere / "some.txt").write_text(f"../in ner/größe.png\n\n{folder / 'a.jpeg'}\n", encoding="utf-8")
    assert list(contents(elsewhere / "some.txt").values()) == [png(1), png(2)]
    (elsewhere / "some.txt").write_text("../a.jpeg\n../c.png\n../d.png\n")
    with pytest.raises(DcmqError, match=r"some.txt: 2 of 3 lines name no file \(first: ../c.png\)"):
        contents(elsewhere / "some.txt")


def test_tar_files_are_read_where_the_bytes_lie(tmp_path):
    write_tar(tmp_path / "0.tar", {1: "000", 2: "001"})
    write_tar(tmp_path / "1.tar", {3: "000"})
    three = {"0.tar/000.png": png(1), "0.tar/001.png": png(2), "1.tar/000.png": png(3)}
    assert contents(tmp_path / "*.tar") == contents(tmp_path) == three
    assert contents(tmp_path / "1.tar") == {"1.tar/000.png": png(3)}
    listing = list_images(tmp_path)
    assert list(read_images(listing.rows(np.array([2, 0])))) == [png(3), png(1)]
    assert base_of(tmp_path / "*.tar") == base_of(tmp_path / "0.tar") == base_of(tmp_path) == tmp_path


@pytest.mark.parametrize("wrapped", [False, True], ids=["bytes", "struct"])
def test_parquet_files_are_read_by_rows(tmp_path, wrapped):
    """Bytes as they are, or in the struct that the Hugging Face hub's data sets have."""
    images = [png(number) for number in range(7)]
    column = [{"bytes": image, "path": None} for image in images] if wrapped else images
    table = pa.table({"id": [f"n{i}" for i in range(7)], "image": column, "text": [""] * 7})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    assert contents(tmp_path / "a.parquet") == {f"a.parquet/n{i}": images[i] for i in range(7)}
    listing = list_images(tmp_path / "a.parquet")
    assert list(read_images(listing.rows(np.array([1, 2, 5])))) == [images[1], images[2], images[5]]
    pq.write_table(table.drop(["id"]), tmp_path / "a.parquet")
    assert set(contents(tmp_path / "a.parquet")) == {f"a.parquet/{i}" for i in range(7)}
    pq.write_table(table.drop(["image"]), tmp_path / "a.parquet")
    with pytest.raises(DcmqError, match="a.parquet: has no column of images: name the one with their bytes image"):
        contents(tmp_path / "a.parquet")


def test_a_damaged_volume_is_noted_and_the_others_are_listed(tmp_path):
    write_tar(tmp_path / "0.tar", {1: "000"})
    write_tar(tmp_path / "1.tar", {number: f"{number:03}" for number in range(20)})
    whole = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[: 13 * 1024 + 700])  # within an image
    write_tar(tmp_path / "3.tar", {number: f"{number:03}" for number in range(20)})
    (tmp_path / "3.tar").write_bytes(whole[: 13 * 2048])  # between two files
    (tmp_path / "2.parquet").write_bytes(b"no parquet")
    listing = list_images(tmp_path)
    assert listing.ids.tolist() == [b"0.tar/000.png"]
    assert set(listing.damaged) == {"1.tar", "2.parquet", "3.tar"}
    with pytest.raises(DcmqError, match=r"1.tar: .*unexpected end of data"):
        list_images(tmp_path / "1.tar")
    with pytest.raises(DcmqError, match=r"3.tar: is cut short"):
        list_images(tmp_path / "3.tar")


def test_a_volume_that_changes_between_listing_and_reading_is_refused(tmp_path):
    listing = list_images(write_tar(tmp_path / "0.tar", {1: "000"}))
    write_tar(tmp_path / "0.tar", {2: "000"})
    os.utime(tmp_path / "0.tar", (1, 1))
    with pytest.raises(DcmqError, match="0.tar was changed while it was read: build again"):
        list(read_images(listing))
    (tmp_path / "0.tar").unlink()
    with pytest.raises(DcmqError, match="0.tar: No such file"):
        list(read_images(listing))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing", "there is no folder or file"),
        ("*.tar", "no file fits"),
        ("notes.md", "is no image source: .txt, .tar .* and .parquet files are, and folders"),
        ("empty", "holds no image"),
        ("twice.txt", r"1 names are there more than once \(first: 'a.jpeg'\)"),
        ("binary.txt", "is not UTF-8 text"),
    ],
)
def test_other_sources_are_refused_in_a_line(folder, source, message):
    (folder / "empty").mkdir()
    (folder / "twice.txt").write_text("a.jpeg\na.jpeg\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DcmqError, match=message) as error:
        list_images(absolute_source(folder / source))
    assert "\n" not in str(error.value)


def test_a_file_that_is_gone_reads_as_nothing(folder):
    listing = list_images(folder)
    (folder / "b.PNG").unlink()
    assert list(read_images(listing)) == [png(2), None, png(1)]
    assert source_exists(folder) and source_exists(folder / "*.jpeg") and not source_exists(folder / "*.tar")


def test_an_unchanged_image_is_told_by_size_and_time_and_place(folder):
    before = list_images(folder)
    (folder / "b.PNG").write_bytes(png(9) + b" ")
    os.utime(folder / "a.jpeg", (1, 1))
    assert list_images(folder).unchanged(before, np.arange(3)).tolist() == [False, False, True]
    assert content_hash(b"a") == content_hash(b"a") != content_hash(b"b")

"""Where images come from: folders, lists, tar and parquet files."""

import bz2
import gzip
import io
import lzma
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.search.folders import NO_FILE, NOT_UTF8
from dcmq.search.parquet_images import NO_ID
from dcmq.search.sources import (
    LINK_IN_TAR,
    absolute_source,
    base_of,
    content_hash,
    list_images,
    read_images,
    source_exists,
)


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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_the_ends_of_lines_end_a_line_of_a_list(tmp_path, end):
    names = ["a\u2028b.png", "c\x85d.png", "e\x0cf.png", "g\x1ch.png", "\u2029i\x0b.png"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(png(number))
    (tmp_path / "some.txt").write_bytes(end.join(names).encode())
    assert contents(tmp_path / "some.txt") == {name: png(number) for number, name in enumerate(names)}


def write_parquet(path, *columns, names=("image", "id")):
    pq.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], names=list(names)), path)
    return path


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("image", "image", "id"), "a.parquet: has 2 columns named image: leave one of them"),
        (("image", "id", "id"), "a.parquet: has 2 columns named id: leave one of them"),
        (("photo", "photo", "id"), "a.parquet: has 2 columns named photo: leave one of them"),
    ],
)
def test_columns_of_one_name_are_refused_where_one_is_meant(tmp_path, names, message):
    kinds = {"image": [png(1)], "photo": [png(1)], "id": ["a"]}
    write_parquet(tmp_path / "a.parquet", *(kinds[name] for name in names), names=names)
    with pytest.raises(DcmqError, match=message):
        contents(tmp_path / "a.parquet")


def test_columns_of_one_name_that_are_not_asked_for_do_not_matter(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["x"], [png(1)], ["y"], ["a"], names=("note", "image", "note", "id"))
    assert contents(tmp_path / "a.parquet") == {"a.parquet/a": png(1)}


def test_of_a_column_with_several_fields_the_bytes_are_read(tmp_path):
    fields = [pa.array([png(1), None, None]), pa.array(["x", "y", "z"]), pa.array([1, 2, 3])]
    images = pa.StructArray.from_arrays(fields, ["bytes", "path", "path"], mask=pa.array([False, False, True]))
    write_parquet(tmp_path / "a.parquet", images, ["a", "b", "c"])
    assert contents(tmp_path / "a.parquet") == {"a.parquet/a": png(1), "a.parquet/b": None, "a.parquet/c": None}


@pytest.mark.parametrize("value", [{"bytes": {"bytes": b"x"}}, {"bytes": "x"}, {"path": b"x"}, [b"x"]])
def test_a_column_whose_bytes_lie_deeper_is_no_column_of_images(tmp_path, value):
    write_parquet(tmp_path / "a.parquet", [value], ["a"])
    with pytest.raises(DcmqError, match="a.parquet: has no column of images"):
        contents(tmp_path / "a.parquet")


@pytest.mark.parametrize("ids", [[1.0, float("nan")], [b"a", b"b"], [True, False], [["a"], ["b"]], [None, None]])
def test_ids_that_are_no_texts_or_integers_are_refused(tmp_path, ids):
    write_parquet(tmp_path / "a.parquet", [png(1), png(2)], ids)
    with pytest.raises(DcmqError, match=r"a.parquet: has ids of type .* in its column id: make them text or integers"):
        contents(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["7", None, "", "8"]),
        pa.array(["7", None, "", "8"], pa.large_string()),
        pa.array(["7", None, "", "8"]).dictionary_encode(),
        pa.array([7, None, None, 8]),
        pa.array([7, None, None, 8], pa.uint8()),
    ],
)
def test_rows_without_an_id_are_named_and_left_out(tmp_path, ids):
    write_parquet(tmp_path / "a.parquet", [png(i) for i in range(4)], ids)
    assert contents(tmp_path / "a.parquet") == {"a.parquet/7": png(0), "a.parquet/8": png(3)}
    assert list_images(tmp_path / "a.parquet").passed_over == {NO_ID: ["a.parquet, row 1", "a.parquet, row 2"]}


def test_ids_that_are_no_utf8_are_named_and_left_out(tmp_path):
    ids = pa.StringArray.from_buffers(2, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"a\xe9"))
    write_parquet(tmp_path / "a.parquet", [png(0), png(1)], ids)
    assert contents(tmp_path / "a.parquet") == {"a.parquet/a": png(0)}
    assert list_images(tmp_path / "a.parquet").passed_over == {NOT_UTF8: ["a.parquet/\\xe9"]}


def test_links_in_a_tar_file_are_named(tmp_path):
    write_tar(tmp_path / "0.tar", {1: "000"})
    with tarfile.open(tmp_path / "0.tar", "a") as tar:
        for name, kind in (
            ("soft.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("fifo.png", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "000.png"
            tar.addfile(member)
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert contents(tmp_path / "0.tar") == {"0.tar/000.png": png(1)}
    passed_over = {LINK_IN_TAR: ["0.tar/soft.png", "0.tar/hard.png"], NO_FILE: ["0.tar/fifo.png"]}
    assert list_images(tmp_path / "0.tar").passed_over == passed_over


@pytest.mark.parametrize(
    ("packed", "program"),
    [
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (lambda content: pa.compress(content, "zstd", asbytes=True), "zstd"),
    ],
)
def test_a_compressed_tar_file_says_what_to_do(tmp_path, packed, program):
    whole = write_tar(tmp_path / "0.tar", {1: "000"}).read_bytes()
    (tmp_path / "0.tar").write_bytes(packed(whole))
    with pytest.raises(DcmqError, match=f"0.tar: is compressed: unpack it with {program} -d < IT > NEW.tar"):
        contents(tmp_path / "0.tar")


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

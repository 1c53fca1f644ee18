"""Image files opened within bounds: how many pixels, which formats, and whatever a decoder raises."""

import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data import decode, open_images
from dcmq.data.decode import decoded, image_key
from dcmq.data.open_images import TooLarge, open_image, reason_unread, too_large
from dcmq.data.resize import image_array


def drawn(path, size=(40, 30), **options):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(
        path, **options
    )
    return path


def test_a_large_png_is_refused_before_it_is_decoded_and_says_how_large(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (9000, 9000)).save(path)
    assert path.stat().st_size < 50_000
    with pytest.raises(TooLarge, match="^81 million pixels, more than 64 million$"):
        open_image(path)
    assert too_large(path) == "81 million pixels, more than 64 million"
    assert too_large(drawn(tmp_path / "small.png")) == too_large(tmp_path / "none.png") == ""


def test_beyond_pillows_own_limit_too(tmp_path, monkeypatch):
    path = drawn(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow refuses twice that
    assert too_large(path) == "1,200 pixels, more than 64 million"


def test_pillows_notes_without_a_file_are_not_shown_in_any_thread(tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "bomb.png")
    damaged = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40
    Image.new("RGB", (16, 16)).save(tmp_path / "exif.jpg", exif=damaged)

    def read(_):
        with open_image(tmp_path / "exif.jpg") as image:
            image_array(image, 8)
        return too_large(tmp_path / "bomb.png")

    with warnings.catch_warnings(record=True) as shown:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(read, range(20))) == {"100 million pixels, more than 64 million"}
        warnings.warn("of others", UserWarning, stacklevel=1)
        filters = list(warnings.filters)
        read(0)
        assert filters == warnings.filters
    assert [str(one.message) for one in shown] == ["of others"]


def test_the_reason_for_which_a_file_gives_no_pixels(tmp_path, monkeypatch):
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert reason_unread(tmp_path / "broken.png") == reason_unread(io.BytesIO(b"")) == "is no image that can be read"
    assert reason_unread(tmp_path / "none.png") == reason_unread(tmp_path / "none" / "a.png") == "is not there"
    assert reason_unread(tmp_path) == "is no image that can be read: Is a directory"
    assert reason_unread(tmp_path / ("x" * 5000)) == "is no image that can be read: File name too long"
    path = drawn(tmp_path / "a.png")
    monkeypatch.setattr(open_images, "MOST_PIXELS", 1199)
    assert reason_unread(io.BytesIO(path.read_bytes())) == "is too large: 1,200 pixels, more than 1,199"


@pytest.mark.parametrize(("most", "size"), [(1200, (40, 30)), (1199, (20, 15)), (299, (10, 8)), (79, (5, 4))])
def test_a_large_jpeg_is_read_in_a_part_of_its_size(tmp_path, monkeypatch, most, size):
    path = drawn(tmp_path / "a.jpg")
    monkeypatch.setattr(open_images, "MOST_PIXELS", most)
    with open_image(path) as image:
        assert image.size == size and image_array(image, 8).shape == (8, 8, 3)
    monkeypatch.setattr(open_images, "MOST_PIXELS", 19)  # an eighth is the least
    with pytest.raises(TooLarge, match="1,200 pixels, more than 19"):
        open_image(path)


def test_an_image_within_the_limit_is_decoded_as_ever(tmp_path):
    for name in ("a.jpg", "a.png"):
        path = drawn(tmp_path / name)
        with open_image(path) as ours, Image.open(path) as plain:
            assert (image_array(ours, 8) == image_array(plain, 8)).all()


def test_too_large_an_image_is_left_out_and_named_with_its_pixels(tmp_path, monkeypatch):
    paths = [drawn(tmp_path / f"{i}.png", (40, 30) if i != 3 else (41, 30)) for i in range(9)]
    monkeypatch.setattr(open_images, "MOST_PIXELS", 1200)
    with pytest.warns(UserWarning, match="left out, .*3.png: 1,230 pixels, more than 1,200"):
        images, broken = decoded(tmp_path / "out", "key", paths, 8, "data")
    assert len(images) == 8 and broken == {3: str(paths[3])}


def test_no_file_is_given_to_another_program(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"  # whatever it is called
    Image.new("RGB", (20, 20)).save(path, "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    with pytest.raises(OSError, match="cannot identify"):
        open_image(path)


@pytest.mark.parametrize(
    "error",
    [RuntimeError, IndexError, KeyError, TypeError, ZeroDivisionError, MemoryError, NotImplementedError, EOFError],
)
def test_whatever_a_decoder_raises_leaves_the_image_out(tmp_path, monkeypatch, error):
    paths = [drawn(tmp_path / f"{i}.png") for i in range(5)]
    whole = decode.image_array

    def fails(image, size):
        if image.filename.endswith("2.png"):
            raise error("damaged")
        return whole(image, size)

    monkeypatch.setattr(decode, "image_array", fails)
    with pytest.warns(UserWarning, match="cannot be decoded: .*2.png"):
        assert decoded(tmp_path / "out", "key", paths, 8, "data")[1] == {2: str(paths[2])}


def test_a_damaged_avif_under_any_name_is_unreadable(tmp_path):
    drawn(tmp_path / "whole.avif", (64, 64))
    content = (tmp_path / "whole.avif").read_bytes()[:-50]
    paths = [drawn(tmp_path / f"{i}.png") for i in range(5)]
    paths[1].write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be decoded: .*1.png"):
        assert decoded(tmp_path / "out", "key", paths, 8, "data")[1] == {1: str(paths[1])}


def test_images_that_are_gone_are_not_on_disk(tmp_path):
    paths = [drawn(tmp_path / f"{i}.png") for i in range(5)]
    for path in paths[:3]:
        path.unlink()
    with pytest.raises(DcmqError, match="3 of 5 images are not on disk .first: .*0.png"):
        decoded(tmp_path / "out", "key", paths, 8, "data")
    paths[3].write_bytes(b"")
    with pytest.raises(DcmqError, match="4 of 5 images cannot be decoded .*; 3 of them are not on disk"):
        decoded(tmp_path / "out", "other key", paths, 8, "data")


def test_the_key_of_images_knows_that_one_was_replaced(tmp_path):
    path = drawn(tmp_path / "a.bmp")
    keys = [image_key(tmp_path, [path], 8)]
    assert image_key(tmp_path, [path], 8) == keys[0] != image_key(tmp_path, [path], 16)
    size = path.stat().st_size
    Image.new("RGB", (40, 30)).save(path)
    os.utime(path, ns=(1, 1))
    keys.append(image_key(tmp_path, [path], 8))
    path.unlink()
    keys.append(image_key(tmp_path, [path], 8))
    long = tmp_path / ("x" * 5000)
    assert size and len(set(keys)) == 3 and image_key(tmp_path, [long], 8)


def test_a_jpeg_is_not_offered_to_readers_that_read_on_in_anything(tmp_path, monkeypatch):
    path = drawn(tmp_path / "a.jpg")
    Image.init()
    for name in Image.OPEN.keys() - {"JPEG"}:
        monkeypatch.setitem(Image.OPEN, name, (lambda *arguments: pytest.fail("read a JPEG"), None))
    with open_image(path) as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize("root", ["data", "data/", ".", "data/../data", "{tmp}/data", "/"])
@pytest.mark.parametrize("name", ["a.jpg", "sub/ä.jpg", "../out.jpg", "x..y/b.jpg"])
def test_names_of_images_are_relative_as_the_system_has_them(tmp_path, monkeypatch, root, name):
    monkeypatch.chdir(tmp_path)
    root = Path(root.format(tmp=tmp_path))
    paths = [tmp_path / "data" / name, Path("data") / name]
    assert decode._names(root, paths) == [os.path.relpath(path, root) for path in paths]

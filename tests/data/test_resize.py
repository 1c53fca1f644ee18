"""Image files are read as any viewer shows them, whoever reads them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dcmq.data.resize import eight_bits, image_array, rgb_image

SIDE = 24


def drawing(mode="RGB", ground="white", size=(96, 64)):
    """A dark arrow near the upper left corner."""
    image = Image.new(mode, size, ground)
    ImageDraw.Draw(image).polygon([(8, 8), (60, 12), (20, 50)], fill="black")
    return image


def opened(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return Image.open(io.BytesIO(content.getvalue()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_read_upright(orientation):
    upright = drawing()
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    turned = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(image_array(opened(turned, exif=exif), SIDE), image_array(upright, SIDE))


def test_an_exif_block_that_cannot_be_read_does_not_hide_the_image():
    image = opened(drawing(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage", quality=95)
    assert abs(image_array(image, SIDE).astype(int) - image_array(drawing(), SIDE)).mean() < 3


def transparent(mode):
    image = drawing("RGBA", (0, 0, 0, 0))
    if mode == "P":
        image = image.convert("P")
        image.info["transparency"] = image.getpixel((95, 63))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode):
    np.testing.assert_array_equal(image_array(opened(transparent(mode)), SIDE), image_array(drawing(), SIDE))


def test_half_transparent_is_half_white():
    assert rgb_image(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_other_modes_are_converted_as_pillow_does(mode):
    image = drawing().convert("RGB").convert(mode) if mode != "LAB" else Image.new("LAB", (9, 9), (128, 0, 0))
    expected = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(image_array(image, SIDE), expected)


RAMP = np.linspace(0, 255, 64 * 96).round().astype(np.uint8).reshape(64, 96)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (RAMP.astype(np.uint16) * 257, "PNG"),
        (RAMP.astype(np.uint16) * 257, "TIFF"),
        (RAMP.astype(np.int32), "TIFF"),
        (RAMP.astype(np.int32) * 257, "TIFF"),
        (RAMP.astype(np.int32) * 1000 - 5000, "TIFF"),
        (RAMP.astype(np.float32) / 255, "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        (RAMP.astype(np.float32) * 1e4 - 3, "TIFF"),
    ],
)
def test_grey_of_more_bits_looks_as_its_eight_bits_do(array, kind):
    assert np.abs(image_array(opened(Image.fromarray(array), kind), 64).astype(int) - image_array(Image.fromarray(RAMP), 64)).max() <= 1


def test_grey_values_go_by_their_range_and_what_is_not_finite_is_black():
    assert eight_bits(np.array([[0.0, np.nan, np.inf, 1.0]])).tolist() == [[0, 0, 0, 255]]
    assert eight_bits(np.array([[7, 7]], np.int32) * 10**6).tolist() == [[0, 0]]
    assert eight_bits(np.array([[255]], np.uint16)).tolist() == [[1]]  # nearly black, as in any viewer


def test_what_a_resampled_image_of_0_to_1_has_beyond_is_clipped():
    assert eight_bits(np.array([[-0.01, 0.5, 1.0001]])).tolist() == [[0, 128, 255]]
    assert eight_bits(np.array([[0.0, 1.3]])).tolist() == [[0, 1]]  # of 255


def tiff(path, array, sample_format, photometric=1):
    """A TIFF file of grey with the tags that say how its numbers are meant, which Pillow does not write."""
    height, width = array.shape
    kinds = {"H": 3, "I": 4}
    entries = [
        (256, "I", width), (257, "I", height), (258, "H", 8 * array.itemsize), (259, "H", 1), (262, "H", photometric),
        (273, "I", 8 + 2 + 12 * 10 + 4), (277, "H", 1), (278, "I", height), (279, "I", array.nbytes), (339, "H", sample_format),
    ]  # fmt: skip
    content = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, value in entries:
        content += struct.pack("<HHI", tag, kinds[kind], 1) + struct.pack(f"<{kind}", value).ljust(4, b"\0")
    path.write_bytes(content + struct.pack("<I", 0) + array.astype(array.dtype.newbyteorder("<")).tobytes())
    return Image.open(path)


@pytest.mark.parametrize(
    ("array", "sample_format", "photometric"),
    [
        (RAMP.astype(np.uint32) * 0x1010101, 1, 1),
        ((RAMP.astype(np.int16) - 128).astype(np.int8), 2, 1),
        (255 - RAMP, 1, 0),
        (65535 - RAMP.astype(np.uint16) * 257, 1, 0),
        (RAMP.astype(np.uint16) * 257, 1, 1),
    ],
)
def test_a_tiff_file_says_what_its_numbers_mean(tmp_path, array, sample_format, photometric):
    read = image_array(tiff(tmp_path / "a.tif", array, sample_format, photometric), 64).astype(int)
    assert np.abs(read - image_array(Image.fromarray(RAMP), 64)).max() <= 1


def png_of_16_bits(pixels, transparent):
    """A PNG of 16-bit grey (H, W) or RGB (H, W, 3) with a transparent value, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", header), (b"tRNS", np.array(transparent, ">u2").tobytes()), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_value_of_16_bits_lies_on_white(channels):
    shape = (8, 8) if channels == 1 else (8, 8, 3)
    pixels = np.full(shape, 40 * 257, np.uint16)
    pixels[2:6] = 1300
    read = rgb_image(png_of_16_bits(pixels, [1300] * channels))
    assert read.getpixel((3, 3)) == (255, 255, 255) and read.getpixel((0, 0)) == (40, 40, 40)

"""Near duplicates: what looks the same, and how a ranking is folded."""

import io

import numpy as np
import pytest
from PIL import Image

from dcmq.search.duplicates import SAME_LOOK, folded, look, same_codes


def photo(seed=0, size=(120, 90)):
    """An image of soft blobs, as photos have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def differing(one, other):
    return (look(saved(one)) ^ look(other)).bit_count()


def test_a_look_is_whether_each_cell_is_brighter_than_the_one_to_its_left():
    grey = np.random.default_rng(0).integers(0, 256, (8, 9)).astype(np.uint8)
    bits = "".join("1" if grey[y, x + 1] > grey[y, x] else "0" for y in range(8) for x in range(8))
    expected = int.from_bytes(int(bits, 2).to_bytes(8, "big"), "little")
    assert look(saved(Image.fromarray(grey))) == expected != 0


@pytest.mark.parametrize("seed", range(5))
def test_resizing_and_saving_anew_keep_the_look_and_other_images_have_another(seed):
    image = photo(seed)
    assert differing(image, saved(image.resize((60, 45)), "JPEG", quality=60)) <= SAME_LOOK
    assert differing(image, saved(image.convert("L"), "WEBP")) <= SAME_LOOK
    assert differing(image, saved(photo(seed + 100))) > SAME_LOOK


def test_an_image_that_only_its_exif_data_turns_looks_as_shown():
    turned = photo().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert differing(photo(), saved(turned, "JPEG", exif=exif, quality=95)) <= SAME_LOOK


def test_what_looks_like_nothing_has_no_look():
    assert look(b"no image") == look(saved(Image.new("RGB", (50, 50), "red"))) == 0


def test_a_ranking_is_folded_at_its_first_of_a_kind():
    looks = np.array([7, 0xFF << 40, 7 ^ 1, 0, 0, 7], np.uint64)
    codes = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4], [1, 2, 3, 4], [9, 9, 3, 4]])
    # 2 looks like 0 and has another codeword of four; 3 and 4 look like nothing; 5 looks like 0 and has two other codewords.
    assert folded(looks, codes, 9) == [[0, 2], [1], [3], [4], [5]]
    assert folded(looks, codes, 2) == [[0, 2], [1]]
    assert folded(looks[:0], codes[:0], 2) == []
    assert same_codes(codes, 9) == [[0, 1, 3, 4], [2], [5]]

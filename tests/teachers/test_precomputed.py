"""Files of embeddings made elsewhere: types, shapes, ids and lengths that can be read, and those that cannot, in one line."""

import io
import unicodedata
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dcmq.core.errors import DcmqError
from dcmq.teachers.precomputed import Precomputed
from dcmq.teachers.registry import resolve_teacher

N, D = 6, 4
RNG = np.random.default_rng(0)
IMAGE, TEXT = RNG.normal(size=(2, N, D)).astype(np.float32)


def written(folder, **changes):
    arrays = dict(image_id=np.arange(N), image=IMAGE, text=TEXT) | changes
    np.savez(folder / "t.npz", **{name: value for name, value in arrays.items() if value is not None})
    return str(folder / "t.npz")


def unit(vectors):
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_precision_of_safetensors(tmp_path, dtype):
    image, text = torch.from_numpy(IMAGE).to(dtype), torch.from_numpy(TEXT).to(dtype)
    save_file({"image_id": torch.arange(N), "image": image, "text": text}, tmp_path / "t.safetensors")
    teacher = Precomputed(str(tmp_path / "t.safetensors"))
    np.testing.assert_allclose(teacher.image.numpy(), unit(image.double().numpy()), atol=1e-6)
    assert teacher.image.dtype == torch.float32 and teacher.ids.tolist() == list(range(N))


@pytest.mark.parametrize("factor", [1e-40, 1e-30, 1e-20, 1e25, 1e37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_of_any_length_keep_their_direction(tmp_path, factor, dtype):
    scaled = np.clip(IMAGE, -9, 9).astype(dtype) * dtype(factor)
    teacher = Precomputed(written(tmp_path, image=scaled))
    tolerance = 1e-6 if factor > 1e-38 or dtype is np.float64 else 1e-3  # below it float32 has few digits
    np.testing.assert_allclose(teacher.image.numpy(), unit(scaled), atol=tolerance)


@settings(deadline=None, max_examples=50)
@given(st.integers(-100, 100), st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_power_of_two_changes_no_bit(tmp_path_factory, exponent, dtype):
    folder, image = tmp_path_factory.mktemp("t"), IMAGE.astype(dtype)
    plain = Precomputed(written(folder, image=image))
    if dtype is np.float16:
        exponent = exponent % 3  # it reaches no farther
    scaled = Precomputed(written(folder, image=np.ldexp(image, exponent)))
    assert torch.equal(plain.image, scaled.image) and plain.fingerprint == scaled.fingerprint
    expected = torch.nn.functional.normalize(torch.from_numpy(image).float(), dim=-1)
    assert torch.equal(plain.image, expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(image_id=np.array(3)), r"image_id is int64 \(\), not \(n,\)"),
        (dict(image_id=np.arange(N)[:, None]), r"image_id is int64 \(6, 1\)"),
        (dict(image_id=np.array([0, 1, 2, np.nan, 4, 5])), "numbers that are not whole"),
        (dict(image_id=np.arange(N) + 0.5), "numbers that are not whole"),
        (dict(image_id=np.arange(N) * 1e17), "too large for float64"),
        (dict(image_id=(2**24 + np.arange(N)).astype(np.float32)), "too large for float32"),
        (dict(image_id=(2**11 + np.arange(N)).astype(np.float16)), "too large for float16"),
        (dict(image_id=np.arange(N) > 2), "image_id is bool"),
        (dict(image_id=np.arange(N) * 1j), "image_id is complex128"),
        (dict(image=IMAGE.astype("U9")), "image holds <U9, not floating-point numbers"),
        (dict(image=IMAGE * 1j), "image holds complex64"),
        (dict(text=(TEXT * 99).astype(int)), "text holds int64"),
        (dict(image=IMAGE > 0), "image holds bool"),
        (dict(image=IMAGE[:, :0], text=TEXT[:, :0]), "disagree"),
        (dict(image_id=np.arange(0), image=IMAGE[:0], text=TEXT[:0]), "disagree"),
        (dict(image=IMAGE[0], text=TEXT[0]), "disagree"),
        (dict(image=np.float32(1)), "disagree"),
        (dict(image=IMAGE.astype(np.float64) * np.inf), "6 rows of image are NaN or zero"),
        (dict(text=None), "no array 'label_text'"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_other_types_and_shapes_are_one_line(tmp_path, changes, words):
    with pytest.raises(DcmqError, match=words) as caught:
        Precomputed(written(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_names_are_the_same_in_bytes_text_and_either_normal_form(tmp_path):
    class Data:
        ids = np.array([f"größe {i}" for i in range(N)])

    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in Data.ids.tolist()]
    for names in (np.array(forms[:N]), np.array(forms[N:]), np.array([name.encode() for name in forms[:N]])):
        image, _ = Precomputed(written(tmp_path, image_id=names)).embed_dataset(Data)
        np.testing.assert_allclose(image.numpy(), unit(IMAGE), atol=1e-6)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody/t.npz", ".", "none.npz"])
@pytest.mark.parametrize("kind", ["precomputed", "declip-rn50"])
def test_names_that_no_disk_can_hold_are_no_file(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DcmqError, match="no (checkpoint )?file"):
        resolve_teacher(f"{kind}:{name}", "coco")


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([".npz", ".safetensors", ".npy", ""]))
def test_any_bytes_are_one_line(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(DcmqError) as caught:
        Precomputed(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_read_as_it_was_or_refused(tmp_path, compressed, seed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "t.npz", image_id=np.arange(N), image=IMAGE, text=TEXT)
    content = bytearray((tmp_path / "t.npz").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 3):
        content[place] ^= 1 << int(rng.integers(8))
    (tmp_path / "t.npz").write_bytes(content)
    try:
        teacher = Precomputed(str(tmp_path / "t.npz"))
    except DcmqError as error:
        assert "\n" not in str(error)
    else:  # a byte that says nothing was hit, such as a time
        np.testing.assert_allclose(teacher.image.numpy(), unit(IMAGE), atol=1e-6)


def test_a_header_that_claims_an_array_beyond_memory_is_one_line(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**60, 8)})
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        file.writestr("image_id.npy", header.getvalue())
    with pytest.raises(DcmqError, match="no readable npz"):
        Precomputed(str(tmp_path / "t.npz"))


def test_float_ids_up_to_what_their_type_holds(tmp_path):
    for dtype, top in ((np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53), (np.longdouble, 2**53)):
        ids = top - 1 - np.arange(N)
        assert Precomputed(written(tmp_path, image_id=ids.astype(dtype))).ids.tolist() == ids.tolist()
    arrays = {"image": torch.from_numpy(IMAGE), "text": torch.from_numpy(TEXT)}
    for dtype, first, words in ((torch.bfloat16, 0, "image_id is torch.bfloat16"), (torch.float16, 2050, "too large")):
        save_file({"image_id": (first + torch.arange(N)).to(dtype)} | arrays, tmp_path / "t.safetensors")
        with pytest.raises(DcmqError, match=words):
            Precomputed(str(tmp_path / "t.safetensors"))


def test_long_double_is_read_and_members_that_are_no_arrays_are_absent(tmp_path):
    teacher = Precomputed(written(tmp_path, image=IMAGE.astype(np.longdouble)))
    np.testing.assert_allclose(teacher.image.numpy(), unit(IMAGE), atol=1e-6)
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        for name in ("image_id", "image", "text"):
            file.writestr(name, b"abc")
    with pytest.raises(DcmqError, match="no array 'image_id' .it has none."):
        Precomputed(str(tmp_path / "t.npz"))

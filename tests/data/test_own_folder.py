"""Folders to prepare a data set into: a user's own files there stay, and what was begun goes on."""

from functools import partial

import miniature
import pytest
from kills import assert_goes_on

from dcmq.core.errors import DcmqError
from dcmq.data.own_folder import require_own

pytestmark = pytest.mark.usefixtures("home")

prepared = partial(miniature.prepared, "folder")


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "names",
    [
        ["images-001.png"],
        ["manifest.parquet", "classes.txt"],
        ["dataset.json", "splits/karpathy.json"],
        ["slabs-of-stone/a.jpg"],
        ["complete.json"],
        ["images.npy"],
    ],
)
@pytest.mark.parametrize("text", ["mine", "{}"])
def test_a_folder_of_other_files_is_refused_and_stays(own, tmp_path, names, text):
    out = tmp_path / "theirs"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    before = content(out)
    with pytest.raises(DcmqError, match="holds files that dcmq did not write .*--out") as caught:
        prepared(own, out=out)
    assert "\n" not in str(caught.value) and content(out) == before


def test_the_root_itself_and_a_file_are_refused(own):
    before = content(own)
    with pytest.raises(DcmqError, match="holds files that dcmq did not write"):
        prepared(own, out=own)
    with pytest.raises(DcmqError, match="is a file"):
        require_own(own / "table.csv")
    assert content(own) == before


def test_only_our_names_are_deleted_when_a_folder_is_prepared_again(own, tmp_path):
    out = tmp_path / "out"
    prepared(own, out=out)
    theirs = ["images-holiday.png", "images-1.png", "splits/karpathy.json"]
    ours = ["images-8-0123456789abcdef.npy", "images-8-0123456789abcdef.proof.json"]
    for name in theirs + ours:
        (out / name).write_text("{}")
    prepared(own, out=out, image_size=10)
    assert all((out / name).is_file() for name in theirs) and not any((out / name).exists() for name in ours)


@pytest.mark.parametrize(
    "left",
    [
        [],
        [".lock", "images.part"],
        ["dataset.json", "images.npy"],
        ["complete.json", "classes.txt"],
        ["images.proof.json", "images.npy", "bow.npz"],
    ],
)
def test_a_folder_that_was_begun_goes_on(own, tmp_path, left):
    out = tmp_path / "out"
    whole = prepared(own, out=out)
    (out / "images.part").write_bytes(b"begun")
    for path in out.iterdir():
        if path.is_file() and path.name not in left:
            path.unlink()
    if "complete.json" not in left and "dataset.json" not in left and "images.npy" not in left:
        for path in (out / "splits").iterdir():
            path.unlink()
        (out / "splits").rmdir()
    assert prepared(own, out=out).fingerprint == whole.fingerprint


def test_slabs_tell_that_a_folder_was_begun(tmp_path):
    (tmp_path / "images.part").touch()
    (tmp_path / "manifest.parquet").touch()
    with pytest.raises(DcmqError):
        require_own(tmp_path)
    (tmp_path / "slabs-0123456789abcdef").mkdir()
    (tmp_path / "slabs-0123456789abcdef" / "0-64.json").touch()
    require_own(tmp_path)
    (tmp_path / "slabs-0123456789abcdef" / ".64-128.json.ab12_cd3").touch()  # of a writer that was killed
    require_own(tmp_path)
    (tmp_path / "slabs-0123456789abcdef" / "notes.json").touch()
    with pytest.raises(DcmqError):
        require_own(tmp_path)


def test_preparing_that_was_killed_at_any_file_goes_on(own, tmp_path):
    assert_goes_on(lambda place: prepared(own, out=place / "out"), tmp_path / "places")


def test_what_was_left_when_all_was_decoded_goes_with_the_next_look(own, tmp_path):
    whole = prepared(own, out=tmp_path / "out")
    left = tmp_path / "out" / "slabs-0123456789abcdef"
    left.mkdir()
    (left / "0-64.json").touch()
    assert prepared(own, out=tmp_path / "out").fingerprint == whole.fingerprint and not left.exists()

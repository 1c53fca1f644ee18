"""MIRFlickr and NUS-WIDE in miniature, with the traps of the real ones."""

import os
from pathlib import Path

import miniature
import numpy as np
import pytest

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import find_prepared, load_dataset
from dcmq.data.prepare import verify
from dcmq.data.readers.mirflickr import read_mirflickr
from dcmq.data.readers.nuswide import read_nuswide

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def mir(tmp_path):
    return miniature.mirflickr(tmp_path / "mir")


@pytest.fixture
def nus(tmp_path):
    return miniature.nuswide(tmp_path / "nus")


def test_mirflickr_rows_labels_and_tags(mir):
    source = read_mirflickr(mir)
    assert source.classes == tuple(miniature.MIR_CLASSES) and source.vocabulary == (
        "sky",
        "água",
        "explore",
        "blue",
        "neverused",
    )
    assert source.ids.tolist() == [i for i in range(1, 41) if i not in (5, 6, 7)]
    assert source.dropped == {"without label": 1, "without common tag": 2}
    row = source.ids.tolist().index(10)  # by number, not as text
    assert source.files[row].name == "im10.jpg" and source.tags[row] == ("explore", "água", "rare\x8510")
    assert source.bow[row].toarray().tolist() == [[0, 1, 1, 0, 0]]
    assert np.flatnonzero(source.labels[row]).tolist() == [5, 10]  # 10 % 24 and 17 % 12
    assert source.counts["label ones"] == source.labels.sum() + read_mirflickr(mir, "24581").labels[[4, 5]].sum()
    assert len(read_mirflickr(mir, "24581").ids) == 39


def test_mirflickr_populations_prepared_side_by_side(mir):
    for name in ("mirflickr", "mirflickr:24581"):
        miniature.prepared(name, mir, query=5, train=20)
    data, other = load_dataset("mirflickr", str(mir)), load_dataset("mirflickr:24581", str(mir))
    assert len(data.ids) == 37 and len(other.ids) == 39 and data.choices["population"] == "20015"
    assert len(data.split.query) == 5 and len(data.split.gallery) == 32 and len(data.split.train) == 20
    assert data.label_sentences(np.array([0])) == ["baby food"]
    rows = {int(i): row for row, i in enumerate(data.ids)}
    channels = {i: np.ptp(data.images[rows[i]].astype(int), axis=-1).max() for i in (12, 13)}
    assert channels[12] == 0 < channels[13]  # 12 is a grey JPEG
    again = load_dataset("mirflickr", str(mir / "prepared" / "mirflickr-20015"))
    assert again.fingerprint == data.fingerprint != other.fingerprint
    assert find_prepared("mirflickr", mir) == mir / "prepared" / "mirflickr-20015"
    with pytest.raises(DcmqError, match="holds mirflickr:20015, not mirflickr:24581"):
        load_dataset("mirflickr:24581", str(mir / "prepared" / "mirflickr-20015"))


def test_mirflickr_counts_are_those_of_the_official_files(mir):
    with pytest.raises(DcmqError, match=r"images .* is 40, not 25,000.*vocabulary \(the tag list\) is 5, not 1,386"):
        miniature.prepared("mirflickr", mir, official=True)


def test_mirflickr_says_what_is_missing(mir):
    (mir / "mirflickr25k_annotations_v080" / "sky.txt").write_text("3\n41\n")
    with pytest.raises(DcmqError, match=r"sky.txt, entry 2: '41' is no image \(IDs 1 to 40\)"):
        read_mirflickr(mir)
    (mir / "mirflickr25k_annotations_v080").rename(mir / "elsewhere")
    (mir / "elsewhere" / "water.txt").unlink()
    (mir / "mirflickr" / "doc" / "common_tags.txt").unlink()
    with pytest.raises(
        DcmqError, match=r"common_tags.txt \(of mirflickr25k.zip\), water.txt \(of .*v080.zip\).*--download"
    ):
        read_mirflickr(mir)


@pytest.mark.parametrize(("population", "classes"), [("tc21", 21), ("tc10", 10)])
def test_nuswide_keeps_the_largest_concepts(nus, population, classes):
    source = read_nuswide(nus, population)
    flags = {
        path.stem.removeprefix("Labels_"): np.array(path.read_text().split(), int)
        for path in (nus / "Groundtruth" / "AllLabels").iterdir()
    }
    largest = sorted(sorted(flags, key=lambda c: (-flags[c].sum(), c))[:classes])
    assert list(source.classes) == largest
    tags = np.loadtxt(nus / "NUS_WID_Tags" / "AllTags1k.txt", dtype=int)
    labels = np.stack([flags[c] for c in largest], 1)
    kept = np.flatnonzero(labels.any(1) & tags.any(1))
    assert 20 < len(kept) < 120 and np.array_equal(source.labels, labels[kept])
    assert np.array_equal(source.bow.toarray(), tags[kept]) and source.counts["with label"] == labels.any(1).sum()
    assert source.counts["photo ids that stand twice"] == 1
    assert (
        source.files[0].is_file()
        and source.ids[0] == f"actor/{kept[0]:04d}_{21244 + kept[0] if kept[0] != 1 else 21244}"
    )
    row = next(r for r, i in enumerate(kept) if tags[i, 3])
    assert "köln" in source.tags[row]


def test_nuswide_prepared(nus):
    data = miniature.prepared("nuswide:tc10", nus, query=20, train=30)
    assert load_dataset("nuswide", str(nus)).fingerprint == data.fingerprint  # the only one there
    assert (
        (data.labels[data.split.query].sum(0) >= 2).all()
        and len(data.split.query) == 20
        and len(data.split.train) == 30
    )
    assert verify(nus / "prepared" / "nuswide-tc10")["population"] == "tc10"


def test_nuswide_broken_and_short_files_are_named(nus):
    path = nus / "Groundtruth" / "AllLabels" / "Labels_concept07.txt"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0\r\n", b"-1130179\r\n", 1))
    with pytest.raises(DcmqError, match=r"Labels_concept07.txt, line \d+: '-1130179' is neither 0 nor 1"):
        read_nuswide(nus)
    path.write_bytes(whole[:-3])
    with pytest.raises(DcmqError, match=r"has 119 lines, Imagelist.txt 120"):
        read_nuswide(nus)
    path.unlink()
    with pytest.raises(DcmqError, match=r"Labels_concept07.txt cannot be read .*Groundtruth.zip"):
        read_nuswide(nus)
    path.write_bytes(whole)
    tags = nus / "NUS_WID_Tags" / "AllTags1k.txt"
    rows = tags.read_bytes().split(b"\n")
    tags.write_bytes(b"\n".join([rows[0], rows[1][:-3], *rows[2:]]))
    with pytest.raises(DcmqError, match=r"AllTags1k.txt, line 2: not 12 times"):
        read_nuswide(nus)
    tags.write_bytes(b"\n".join(rows[1:]))
    with pytest.raises(DcmqError, match=r"AllTags1k.txt has 119 lines"):
        read_nuswide(nus)


def test_nuswide_placeholders_are_left_out_and_counted(nus):
    ids = read_nuswide(nus).ids[:12]
    for i in ids:
        miniature.image(nus / "Flickr" / f"{i}.jpg", "photo unavailable")
    with pytest.warns(UserWarning, match="12 samples left out"):
        data = miniature.prepared("nuswide", nus, query=21, train=21)
    assert data.choices["dropped"]["one file under many names"] == 12 and not set(ids) & set(data.ids)


def test_nuswide_without_images_says_what_can_be_done(tmp_path):
    root = miniature.nuswide(tmp_path / "nus", images=False)
    with pytest.raises(DcmqError, match=r"no image .*Flickr. NUS-WIDE's images are not distributed: ask"):
        read_nuswide(root)
    (root / "ImageList" / "Imagelist.txt").unlink()
    with pytest.raises(DcmqError, match=r"Imagelist.txt \(of ImageList.zip\)"):
        read_nuswide(root)


COMMON, WATER = "mirflickr/doc/common_tags.txt", "mirflickr25k_annotations_v080/water.txt"
READERS = {"mirflickr": (miniature.mirflickr, read_mirflickr), "nuswide": (miniature.nuswide, read_nuswide)}
FILES = [
    *(("mirflickr", file) for file in (COMMON, "mirflickr/meta/tags/tags3.txt", WATER)),
    ("nuswide", "Groundtruth/AllLabels/Labels_concept03.txt"),
    *(("nuswide", f"NUS_WID_Tags/{name}.txt") for name in ("AllTags1k", "TagList1k")),
    *(("nuswide", file) for file in ("ConceptsList/Concepts81.txt", "ImageList/Imagelist.txt")),
]


@pytest.mark.parametrize("instead", ["folder", "pipe", "unreadable"])
@pytest.mark.parametrize(("name", "file"), FILES)
def test_what_is_no_file_or_cannot_be_read_is_one_line(tmp_path, monkeypatch, name, file, instead):
    make, read = READERS[name]
    path = make(tmp_path / name) / file
    if instead == "unreadable":  # root may read all
        opened = Path.open

        def refuse(self, *words, **options):
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, *words, **options)

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.unlink()
        path.mkdir() if instead == "folder" else os.mkfifo(path)
    with pytest.raises(DcmqError, match=f"{path} (is no file|cannot be read)") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "folder"), [("mirflickr", "mirflickr/meta/tags"), ("nuswide", "Groundtruth/AllLabels")])
def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path, name, folder):
    make, read = READERS[name]
    path = make(tmp_path / name) / folder
    path.rename(tmp_path / "elsewhere")
    path.write_text("")
    with pytest.raises(DcmqError, match=f"{name}: {path} is no folder: unpack"):
        read(tmp_path / name)


@pytest.mark.parametrize(("name", "file"), [f for f in FILES if "tags3" not in f[1] and "Labels_" not in f[1]])
def test_of_two_candidates_none_is_taken(tmp_path, name, file):
    make, read = READERS[name]
    root = make(tmp_path / name)
    copy = root / "copy" / Path(file).relative_to(Path(file).parts[0])
    copy.parent.mkdir(parents=True)
    copy.symlink_to(root / file)  # the same file: no choice
    expected = read(root).counts
    copy.unlink()
    copy.write_bytes((root / file).read_bytes())
    with pytest.raises(DcmqError, match=f"{name}: both .* and .* are there: keep one of them under {root}"):
        read(root)
    (root / "copy").rename(root / "__MACOSX")  # what Macs add to an archive is no candidate
    assert read(root).counts == expected
    (root / "deeper").mkdir()
    (root / "__MACOSX").rename(root / "deeper" / "copy")  # what lies higher is meant
    assert read(root).counts == expected


def test_two_files_of_tags_of_one_image_are_refused(mir):
    tags = mir / "mirflickr" / "meta" / "tags"
    (tags / "tags03.txt").write_text("sky\n")
    with pytest.raises(DcmqError, match="tags03.txt and tags3.txt are of one image"):
        read_mirflickr(mir)


def test_images_in_two_folders_are_refused(nus):
    name = read_nuswide(nus).files[0].relative_to(nus / "Flickr")
    first = sorted((nus / "Flickr").rglob("*.jpg"))[0].relative_to(nus / "Flickr")
    for other in {name, first}:
        miniature.image(nus / "images" / other, "another")
    with pytest.raises(DcmqError, match=f"nuswide: .* lies in both {nus / 'Flickr'} and {nus / 'images'}"):
        read_nuswide(nus)


@pytest.mark.parametrize("way", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("name", list(READERS))
def test_two_images_of_one_file_are_refused(tmp_path, name, way):
    make, read = READERS[name]
    one, other = read(make(tmp_path / name)).files[:2]
    other.unlink()
    getattr(other, way)(one)
    with pytest.raises(DcmqError, match=f"{name}: images .* and .* are one file, .*: give each a file of its own"):
        miniature.prepared(name, tmp_path / name, query=5, train=20)


def test_one_name_twice_in_the_list_of_images_is_refused(nus):
    listed = nus / "ImageList" / "Imagelist.txt"
    names = listed.read_bytes().split(b"\r\n")
    kept = [i for i, name in enumerate(names) if name and any(name.decode()[:-4].replace("\\", "/") == k for k in read_nuswide(nus).ids)]
    names[kept[1]] = names[kept[0]]
    listed.write_bytes(b"\r\n".join(names))
    with pytest.raises(DcmqError, match="are one file"):
        miniature.prepared("nuswide", nus, query=5, train=20)


def test_an_image_that_is_a_folder_is_not_on_disk(mir):
    file = read_mirflickr(mir).files[0]
    file.unlink()
    file.mkdir()
    with pytest.raises(DcmqError, match=f"1 of 37 images are not on disk .{file}"):
        miniature.prepared("mirflickr", mir, query=5, train=20)

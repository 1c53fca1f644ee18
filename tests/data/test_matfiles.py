"""Ready-made MATLAB files in both containers, turned, padded and named in every way that circulates."""

import h5py
import miniature
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from dcmq.core.errors import DcmqError
from dcmq.data.prepare import verify
from dcmq.data.readers.matfiles import read_mat

pytestmark = pytest.mark.usefixtures("home")

N, CLASS_COUNT, TAGS = 40, 24, 30
RNG = np.random.default_rng(0)
LABELS = (RNG.random((N, CLASS_COUNT)) < 0.15).astype(np.uint8)
LABELS[:, 3] |= LABELS.sum(1) == 0
WORDS = (RNG.random((N, TAGS)) < 0.2).astype(np.uint8)
WORDS[:, 4] |= WORDS.sum(1) == 0
WORDS[7] = 0  # a row that should have been left out
IMAGES = RNG.integers(0, 256, (N, 10, 14, 3), dtype=np.uint8)  # (n, H, W, 3)


def hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key] = value


def prepared(root, name="mirflickr"):
    return miniature.prepared(name, root, ready_made=True, query=5, train=20)


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_flickr_25k_in_both_layouts(tmp_path, turned):
    turn = np.transpose if turned else np.asarray
    hdf5(
        tmp_path / "FLICKR-25K.mat",
        images=IMAGES.transpose(0, 3, 2, 1),
        YAll=turn(WORDS),
        LAll=turn(LABELS.astype(float)),
    )
    source = read_mat("mirflickr", "20015", tmp_path)
    kept = np.delete(np.arange(N), 7)
    assert np.array_equal(source.labels, LABELS[kept]) and np.array_equal(source.bow.toarray(), WORDS[kept])
    assert np.array_equal(source.images.read(7), IMAGES[8]) and source.classes == tuple(miniature.MIR_CLASSES)
    data = prepared(tmp_path)
    assert data.images.shape == (39, 8, 8, 3) and data.choices["dropped"]["without label or text"] == 1
    assert verify(tmp_path / "prepared" / "mirflickr-20015")["filtered"]


def test_three_files_of_two_containers_and_named_columns(tmp_path):
    hdf5(tmp_path / "mirflickr25k-iall.mat", IAll=IMAGES.transpose(0, 3, 2, 1))
    savemat(tmp_path / "mirflickr25k-yall.mat", {"YAll": csc_matrix(WORDS.astype(float))})
    savemat(tmp_path / "mirflickr25k-lall.mat", {"LAll": LABELS})
    (tmp_path / "classes.txt").write_text("".join(f"class {c}\r\n" for c in range(CLASS_COUNT)))
    (tmp_path / "vocabulary.txt").write_text("".join(f"wört{c}\n" for c in range(TAGS)), encoding="utf-8")
    source = read_mat("mirflickr", "20015", tmp_path)
    assert source.classes[23] == "class 23" and source.choices["class_names"] == "classes.txt"
    assert source.tags[0] == tuple(f"wört{i}" for i in np.flatnonzero(WORDS[0]))
    with pytest.raises(DcmqError, match=r"vocabulary \(the tag list\) is 30, not 1,386; kept .* is 39, not 20,015"):
        miniature.prepared("mirflickr", tmp_path, ready_made=True, official=True)


def test_index_caption_label_with_paths_of_another_machine(tmp_path):
    names = [f"im{i + 1}.jpg" for i in range(N)]
    for name in names:
        miniature.image(tmp_path / "mirflickr" / name, name)
    index = np.array([f"/home/somebody/data/mirflickr/{name}".ljust(60) for name in names])
    captions = np.empty((N, 1), object)
    for i in range(N):
        captions[i, 0] = np.array([f"ein Satz {i}".ljust(20), "a dog  "][: 1 + i % 2], object)
    savemat(tmp_path / "index.mat", {"index": index})
    savemat(tmp_path / "caption.mat", {"caption": captions})
    savemat(tmp_path / "label.mat", {"category": LABELS})
    with pytest.warns(UserWarning, match="taken as alphabetical; .*classes.txt can say otherwise"):
        data = prepared(tmp_path, "mirflickr:24581")
    assert data.captions[1] == ("ein Satz 1", "a dog") and data.captions[2] == ("ein Satz 2",)
    (tmp_path / "caption.mat").unlink()
    (tmp_path / "caption.txt").write_bytes("".join("\r\n" if i == 3 else f"größe {i}\r\n" for i in range(N)).encode())
    with pytest.warns(UserWarning, match="alphabetical"):
        source = read_mat("mirflickr", "24581", tmp_path)
    assert source.captions[2] == ("größe 2",) and source.dropped["without label or text"] == 1
    assert data.ids[9] == "im10" and "dog" in data.vocabulary and data.images.shape[0] == N


def test_folder_and_name_in_two_columns(tmp_path):
    imgs = np.empty((N, 2), object)
    for i in range(N):
        imgs[i] = ["actor", f"{i:04d}_7.jpg"]
        miniature.image(tmp_path / "Flickr" / "actor" / f"{i:04d}_7.jpg", str(i))
    savemat(tmp_path / "imgList21.mat", {"imgs": imgs})
    savemat(tmp_path / "tagList21.mat", {"tags": WORDS})
    savemat(tmp_path / "labelList21.mat", {"labels": LABELS[:, :21]})
    with pytest.warns(UserWarning, match="alphabetical"):
        source = read_mat("nuswide", "tc21", tmp_path)
    assert source.classes[0] == "animal" and source.files[0].name == "0000_7.jpg" and source.recipe == "per class"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no .mat file"),
        ({"LAll": LABELS}, "hold labels; images or files"),
        ({"FAll": ["a.jpg"] * N, "YAll": WORDS, "LAll": LABELS[:9]}, "LAll is .9, 24., but there are 40 images"),
        ({"FAll": ["a.jpg"] * N, "YAll": WORDS, "LAll": LABELS * 2}, "values other than 0 and 1"),
        ({"FAll": ["a.jpg"] * N, "YAll": WORDS[:, :1].repeat(N, 1), "LAll": LABELS}, "which side"),
        ({"FAll": ["a.jpg"] * N, "YAll": WORDS, "LAll": LABELS[:, :7]}, "name none of their 7 classes"),
        ({"FAll": ["x/a.jpg"] * N, "YAll": WORDS, "LAll": LABELS}, "x/a.jpg of the .mat files is nowhere"),
    ],
)
@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_files_that_do_not_fit(tmp_path, files, words):
    for key, value in files.items():
        savemat(tmp_path / f"{key}.mat", {key: np.array(value)})
    with pytest.raises(DcmqError, match=words):
        read_mat("mirflickr", "20015", tmp_path)


def test_damaged_and_doubled_files(tmp_path):
    savemat(tmp_path / "a.mat", {"LAll": LABELS})
    savemat(tmp_path / "b.mat", {"labels": LABELS})
    with pytest.raises(DcmqError, match="both a.mat and b.mat hold labels"):
        read_mat("mirflickr", "20015", tmp_path)
    for content in (b"\x89HDF\r\n\x1a\ncut", b"no", b"", (tmp_path / "a.mat").read_bytes()[:300]):
        (tmp_path / "b.mat").write_bytes(content)
        with pytest.raises(DcmqError, match="b.mat is no whole MATLAB file"):
            read_mat("mirflickr", "20015", tmp_path)


def mat_files(folder, **arrays):
    """The three arrays in HDF5, with changes."""
    hdf5(folder / "a.mat", **(dict(IAll=IMAGES.transpose(0, 3, 2, 1), YAll=WORDS, LAll=LABELS) | arrays))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (dict(IAll=IMAGES[0]), r"IAll is uint8 \(10, 14, 3\), not images: uint8 \(n, 3, W, H\)"),
        (dict(IAll=np.uint8(3)), r"IAll is uint8 \(\), not images"),
        (dict(IAll=IMAGES.transpose(0, 3, 2, 1) / 255), "IAll is float64 .*, not images: uint8"),
        *(
            (dict(IAll=np.zeros(shape, np.uint8)), rf"a.mat: IAll is \({str(shape)[1:-1]}\): it holds no pixels")
            for shape in ((0, 3, 14, 10), (N, 3, 0, 10), (N, 3, 14, 0), (N, 0, 10, 3), (0, 3, 0, 0))
        ),
        (dict(IAll=h5py.Empty("u1")), "a.mat is no whole MATLAB file|a.mat: IAll"),
        (dict(LAll=LABELS[:, :0]), r"a.mat: LAll is \(40, 0\): it holds nothing"),
        (dict(LAll=LABELS[:0]), r"a.mat: LAll is \(0, 24\): it holds nothing"),
        (dict(YAll=WORDS[:, :0]), r"a.mat: YAll is \(40, 0\): it holds nothing"),
        (dict(LAll="text"), "LAll holds .*, not numbers"),
        (dict(LAll=3), r"LAll is \(\), but there are 40 images"),
        (dict(YAll=np.array([b"a"] * N)), "YAll holds .S1, not numbers"),
        (dict(LAll=LABELS * np.nan), "values other than 0 and 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_arrays_of_other_kinds_are_one_line(tmp_path, arrays, words):
    mat_files(tmp_path, **arrays)
    with pytest.raises(DcmqError, match=words) as caught:
        read_mat("mirflickr", "20015", tmp_path)
    assert "\n" not in str(caught.value)


def test_groups_and_what_lies_in_another_file_are_refused(tmp_path):
    hdf5(tmp_path / "other.h5", LAll=LABELS)
    mat_files(tmp_path)

    def link(file):
        file["LAll"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "LAll")

    def external(file):
        file.create_dataset("LAll", LABELS.shape, np.uint8, external=[(str(tmp_path / "other.h5"), 0, LABELS.nbytes)])

    def virtual(file):
        layout = h5py.VirtualLayout(LABELS.shape, np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "LAll", LABELS.shape)
        file.create_virtual_dataset("LAll", layout)

    cases = {
        lambda file: file.create_group("LAll"): "LAll is no array, but a group",
        link: "LAll is a link to another file, which is not read",
        external: "LAll lies in another file, which is not read",
        virtual: "LAll lies in another file, which is not read",
        lambda file: file.__setitem__("LAll", h5py.SoftLink("/nowhere")): "is no whole MATLAB file",
    }
    for put, words in cases.items():
        with h5py.File(tmp_path / "a.mat", "a") as file:
            del file["LAll"]
            put(file)
        with pytest.raises(DcmqError, match=words):
            read_mat("mirflickr", "20015", tmp_path)


@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_cell_arrays_of_hdf5_are_text(tmp_path):
    """MATLAB 7.3 keeps each cell beside the array, as the codes of its letters, and a reference to it in the array."""
    captions = [f"größe {i} a\u0301" for i in range(N)]
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["IAll"], file["LAll"] = IMAGES.transpose(0, 3, 2, 1), LABELS
        for i, caption in enumerate(captions):
            file[f"#refs#/{i}"] = np.array([[ord(c)] for c in caption], np.uint16)
        references = [[file[f"#refs#/{i}"].ref for i in range(N)]]
        file.create_dataset("caption", data=np.array(references, h5py.ref_dtype), dtype=h5py.ref_dtype)
    source = read_mat("mirflickr", "20015", tmp_path)
    assert source.captions[3] == ("größe 3 á",) and len(source.captions) == N
    with h5py.File(tmp_path / "a.mat", "a") as file:
        del file["caption"]
        file["caption"] = [caption.encode() for caption in captions]
    assert read_mat("mirflickr", "20015", tmp_path).captions[3] == ("größe 3 á",)


@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_names_that_lead_out_of_the_root_are_refused(tmp_path):
    root = tmp_path / "root"
    for name in ("im0.jpg", "../secret.jpg"):
        miniature.image(root / name, name)
    names = ["im0.jpg", *["../secret.jpg"] * (N - 1)]
    for key, value in dict(FAll=names, YAll=WORDS, LAll=LABELS).items():
        savemat(root / f"{key}.mat", {key: np.array(value)})
    with pytest.raises(DcmqError, match="name '../secret.jpg', which is not in .*: it is not read"):
        read_mat("mirflickr", "20015", root)


@pytest.mark.parametrize("container", [savemat, lambda path, arrays: hdf5(path, **arrays)])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_one_line_or_harmless(tmp_path, container, seed):
    container(tmp_path / "a.mat", dict(LAll=LABELS, YAll=WORDS, FAll=[f"im{i}.jpg" for i in range(N)]))
    miniature.image(tmp_path / "im0.jpg", "im0")
    content = bytearray((tmp_path / "a.mat").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, min(len(content), 2000), 20):
        content[place] ^= 1 << int(rng.integers(8))
    (tmp_path / "a.mat").write_bytes(content[: len(content) * int(rng.integers(1, 3)) // 2])
    try:
        read_mat("mirflickr", "20015", tmp_path)
    except DcmqError as error:
        assert "\n" not in str(error)


def named_files(root, names, **arrays):
    for name in set(names):
        miniature.image(root / name, name)
    savemat(root / "a.mat", dict(FAll=np.array(names, object), YAll=WORDS, LAll=LABELS) | arrays)


@pytest.mark.parametrize("twin", ["im/3.jpg", "more/3.jpg"])
@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_two_rows_of_one_image_or_name_are_refused(tmp_path, twin):
    names = [f"im/{i}.jpg" for i in range(N)]
    names[5] = twin
    named_files(tmp_path, names)
    with pytest.raises(DcmqError, match="rows 4 .* and 6 .* of a.mat are of one image or name"):
        read_mat("mirflickr", "20015", tmp_path)


def test_an_empty_list_of_images_is_one_line(tmp_path):
    named_files(tmp_path, [])
    with pytest.raises(DcmqError, match="a.mat: FAll is empty"):
        read_mat("mirflickr", "20015", tmp_path)


def test_names_of_classes_in_utf_16_and_one_name_twice(tmp_path):
    named_files(tmp_path, [f"im/{i}.jpg" for i in range(N)])
    text = "".join(f"größe {i}\n" for i in range(CLASS_COUNT))
    (tmp_path / "classes.txt").write_bytes(text.encode("utf-16"))
    assert read_mat("mirflickr", "20015", tmp_path).classes[3] == "größe 3"
    for content, words in (
        (text.encode("utf-16-le"), "classes.txt is not UTF-8"),
        (b"same\n" * CLASS_COUNT, "classes.txt names 'same' for several columns"),
    ):
        (tmp_path / "classes.txt").write_bytes(content)
        with pytest.raises(DcmqError, match=words):
            read_mat("mirflickr", "20015", tmp_path)


@pytest.mark.parametrize("way", ["external", "virtual", "soft link"])
@pytest.mark.filterwarnings("ignore:the .mat files do not name")
def test_what_references_and_links_lead_to_in_another_file_is_refused(tmp_path, way):
    letters = np.frombuffer("a 😀 sign".encode("utf-16-le"), np.uint16)[:, None]
    (tmp_path / "secret.bin").write_bytes(letters.tobytes())
    hdf5(tmp_path / "other.h5", text=letters, LAll=LABELS)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["IAll"], file["LAll"] = IMAGES.transpose(0, 3, 2, 1), LABELS
        cell = file.create_dataset("#refs#/0", data=letters)
        file.create_dataset("caption", data=np.array([[cell.ref] * N], h5py.ref_dtype), dtype=h5py.ref_dtype)
    assert read_mat("mirflickr", "20015", tmp_path).captions[0] == ("a 😀 sign",)
    with h5py.File(tmp_path / "a.mat", "a") as file:
        if way == "soft link":
            del file["LAll"]
            file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "LAll")
            file["LAll"] = h5py.SoftLink("/elsewhere")
        elif way == "external":
            place = [(str(tmp_path / "secret.bin"), 0, letters.nbytes)]
            file["caption"][0, 3] = file.create_dataset("#refs#/1", letters.shape, np.uint16, external=place).ref
        else:
            layout = h5py.VirtualLayout(letters.shape, np.uint16)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "text", letters.shape)
            file["caption"][0, 3] = file.create_virtual_dataset("#refs#/1", layout).ref
    with pytest.raises(DcmqError, match="lies in another file, which is not read"):
        read_mat("mirflickr", "20015", tmp_path)

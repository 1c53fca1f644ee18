"""Searching one's own images and texts: from a run to a collection and its hits."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import CONFIG, VOCABULARY, write_finished_run
from kills import assert_goes_on
from PIL import Image

from dcmq.codes.assign import lookup_tables
from dcmq.codes.pack import unpack
from dcmq.core.errors import DcmqError
from dcmq.data.words import LETTERS, LETTERS_AND_DIGITS
from dcmq.experiments.run_files import INPUTS, RECORD
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.folders import NOT_UTF8
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.runs import model_of
from dcmq.search.sheet import FORMATS, contact_sheet, require_sheet_place


def search_model(seed=0):
    config = CONFIG.model_copy(update={"seed": seed})
    return PretrainedStudent(make_student(config, len(VOCABULARY)), config, VOCABULARY, 40, LETTERS)


@pytest.fixture
def images(tmp_path):
    """Seven images in two folders, of every kind that decoders know, a broken one, and a file that is none."""
    root, rng = tmp_path / "images", np.random.default_rng(0)
    (root / "in ner").mkdir(parents=True)
    names = ["a.png", "b.JPG", "c.webp", "in ner/größe.png", "in ner/grey.png", "in ner/alpha.png", "palette.gif"]
    for i, name in enumerate(names):
        image = Image.fromarray(rng.integers(0, 256, (50 + i, 60, 3)).astype(np.uint8))
        image.convert({"grey.png": "L", "alpha.png": "RGBA", "palette.gif": "P"}.get(name.split("/")[-1], "RGB")).save(
            root / name
        )
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("boat")
    return root


@pytest.fixture
def run_folder(home):
    """The folder of a finished run."""
    return write_finished_run(home)


def test_words_are_read_by_the_pattern_of_training_and_unknown_ones_are_named():
    model = search_model()
    assert model.words("A RED boat, and red Größe2!") == ["red", "boat", "and", "grösse"]
    assert model.bags(["A RED boat, and red ships!", "sea"]).tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert model.unknown_words("A RED boat, and red ships!") == ["and", "ships"]
    assert model.near_words("A RED boat, and boats!") == {"and": "", "boats": "boat"}
    with pytest.raises(DcmqError, match="'boats' has no word that the student knows, such as .*; did you mean boat?"):
        model.encode_texts(["boats"])
    assert model.can_read("GRÖSSE größe") and not model.can_read("green x 12")
    with pytest.raises(DcmqError, match="'green' has no word that the student knows, such as red"):
        model.encode_texts(["red", "green"])
    tags = PretrainedStudent(model.student, model.config, ("d80", *VOCABULARY[1:]), 40, LETTERS_AND_DIGITS)
    assert tags.unknown_words("D80 boat365") == ["boat365"]


def test_a_saved_model_reads_as_before(tmp_path):
    search_model().save(tmp_path / "model")
    model = PretrainedStudent.load(tmp_path / "model")
    assert (model.vocabulary, model.word_pattern) == (VOCABULARY, LETTERS)
    assert torch.equal(model.encode_texts(["red boat"]), search_model().encode_texts(["red boat"]))


def test_an_image_is_read_as_training_read_it(images):
    """Squashed to the data set's size first, then resized for the student."""
    model = search_model()
    embeddings, unreadable = model.encode_images([images / "a.png", images / "broken.jpg", images / "in ner/grey.png"])
    assert unreadable == [1] and embeddings.shape == (2, 32)
    with Image.open(images / "a.png") as image:
        squashed = np.asarray(image.convert("RGB").resize((40, 40), Image.Resampling.BILINEAR))
    with torch.no_grad():
        expected = model.student.encode_images(torch.from_numpy(squashed[None].copy()))
    torch.testing.assert_close(embeddings[:1], expected)
    assert model.encode_images([])[0].shape == (0, 32)


def test_a_collection_ranks_by_the_tables_of_the_students_cosines(tmp_path, images):
    collection = Collection.create(tmp_path / "c", search_model())
    assert collection.update_images(images)[:5] == (7, 0, 0, ["broken.jpg"], {})
    hits = collection.search("images", text="red boat", k=99)
    index = collection.load_index("images")
    tables = lookup_tables(collection.model.encode_texts(["red boat"]), collection.model.codebooks)[0]
    mean = {
        name: np.mean([tables[m, k].item() for m, k in enumerate(code)])
        for name, code in zip(index.ids, unpack(index.codes, 8), strict=True)
    }
    assert [hit.id for hit in hits] == sorted(mean, key=lambda name: (-np.float32(mean[name]), list(mean).index(name)))
    np.testing.assert_allclose([hit.score for hit in hits], sorted(mean.values(), reverse=True), atol=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, 8))


def test_a_collection_follows_its_folder_without_training(tmp_path, images):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    (images / "a.png").rename(images / "z.png")
    assert collection.update_images(images)[:5] == (1, 0, 1, ["broken.jpg"], {})
    again = Collection(tmp_path / "c")
    ids = set(again.load_index("images").ids)
    assert ids >= {"z.png", "in ner/größe.png"} and "a.png" not in ids
    assert again.add_texts(["red sea", "boat", "red sea", "unheard-of", ""]) == (2, ["unheard-of", ""])
    assert again.add_texts(["boat"]) == (0, [])
    assert {hit.id for hit in again.search("texts", image=images / "z.png")} == {"red sea", "boat"}


def test_a_build_that_was_killed_at_any_file_goes_on(tmp_path, images):
    model = search_model()

    def build(place):
        collection = Collection.create(place / "c", model)
        collection.update_images(images)
        collection.add_texts(["red sea", "boat"])

    assert_goes_on(build, tmp_path / "places")


def code_of(collection, name):
    index = collection.load_index("images")
    return index.codes[index.ids.tolist().index(name)].tolist()


def fresh_code(folder, images, name):
    collection = Collection.create(folder, search_model())
    collection.update_images(images)
    return code_of(collection, name)


def other_image(file, seed=9):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (50, 60, 3)).astype(np.uint8)).save(file)


def counting(monkeypatch):
    """The number of images that are decoded and encoded from now on, in each batch."""
    encoded, quantize = [], PretrainedStudent.quantize_images
    monkeypatch.setattr(
        PretrainedStudent, "quantize_images", lambda self, files: encoded.append(len(files)) or quantize(self, files)
    )
    return encoded


def test_a_replaced_image_gets_the_code_of_its_new_content(tmp_path, images, monkeypatch):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    old = code_of(collection, "a.png")
    other_image(images / "a.png")
    encoded = counting(monkeypatch)
    assert collection.update_images(images)[:5] == (0, 1, 0, ["broken.jpg"], {})
    assert encoded == [2], "the new one, and the broken one again"
    assert code_of(collection, "a.png") == fresh_code(tmp_path / "d", images, "a.png") != old
    (images / "broken.jpg").unlink()
    assert collection.update_images(images)[:5] == (0, 0, 0, [], {}), "nothing to encode at all"
    (images / "broken.jpg").write_bytes(b"no image")
    encoded.clear()
    (images / "a.png").touch()  # another time, the same content
    assert collection.update_images(images)[:5] == (0, 0, 0, ["broken.jpg"], {}) and encoded == [1]


def test_an_image_that_is_replaced_by_a_broken_one_is_found_no_more(tmp_path, images):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    (images / "a.png").write_bytes(b"no image")
    assert collection.update_images(images)[:5] == (0, 0, 0, ["a.png", "broken.jpg"], {})
    assert "a.png" not in collection.load_index("images").ids
    other_image(images / "a.png")
    assert collection.update_images(images)[:3] == (1, 0, 0)


def test_a_collection_that_noted_no_contents_is_brought_up_to_date(tmp_path, images, monkeypatch):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    (tmp_path / "c" / "files.safetensors").unlink()
    other_image(images / "a.png")
    assert collection.update_images(images)[:5] == (0, 1, 0, ["broken.jpg"], {})
    assert code_of(collection, "a.png") == fresh_code(tmp_path / "d", images, "a.png")
    encoded = counting(monkeypatch)
    collection.update_images(images)
    assert encoded == [1]
    (tmp_path / "c" / "files.safetensors").write_text("[")
    with pytest.raises(DcmqError, match="files.safetensors is damaged"):
        collection.update_images(images)


def test_images_that_were_moved_are_followed_and_not_encoded_again(tmp_path, images, monkeypatch):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    encoded = counting(monkeypatch)
    images.rename(tmp_path / "elsewhere")
    (tmp_path / "unknown").mkdir()
    other_image(tmp_path / "unknown" / "never seen.png")
    with pytest.raises(DcmqError, match="which is gone, and none of them is in .*unknown"):
        collection.update_images(tmp_path / "unknown")
    assert collection.update_images(tmp_path / "elsewhere")[:5] == (0, 0, 0, ["broken.jpg"], {})
    assert encoded == [1] and Collection(tmp_path / "c").source == tmp_path / "elsewhere"


def test_a_collection_keeps_one_student_and_one_root(tmp_path, images):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    assert len(Collection.create(tmp_path / "c", search_model()).load_index("images")) == 7
    with pytest.raises(DcmqError, match="another student"):
        Collection.create(tmp_path / "c", search_model(seed=1))
    with pytest.raises(DcmqError, match="has the images under"):
        collection.update_images(images / "in ner")
    assert len(Collection.create(tmp_path / "c", search_model(seed=1), replace=True).load_index("images")) == 0


def test_damaged_and_foreign_files_are_named(tmp_path, images, run_folder):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    path = tmp_path / "c" / "images.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DcmqError, match="images.safetensors"):
        collection.search("images", text="boat")
    path = tmp_path / "c" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DcmqError, match="model.safetensors is missing, damaged"):
        Collection(tmp_path / "c")


def test_the_student_of_a_run_is_read_from_its_folder(tmp_path, run_folder):
    model = model_of(run_folder)
    assert torch.equal(model.codebooks, make_student(CONFIG, len(VOCABULARY)).quantizer.codebooks)
    assert (model.vocabulary, model.dataset_image_size, model.word_pattern) == (VOCABULARY, 40, LETTERS)
    with pytest.raises(DcmqError, match="neither a finished run nor a collection"):
        model_of(tmp_path)


def test_the_student_of_a_collection_makes_another_one(tmp_path, images):
    """Whoever was given a collection has its student, and needs no run."""
    Collection.create(tmp_path / "given", search_model())
    collection = Collection.create(tmp_path / "mine", model_of(tmp_path / "given"))
    collection.update_images(images)
    assert code_of(collection, "a.png") == fresh_code(tmp_path / "d", images, "a.png")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (RECORD, {"config": {"method": "DCMH"}}, "a run of DCMH; only students of DCMQ"),
        (RECORD, {"config": {"method": "DCMQ", "former_setting": 1}}, "another version of dcmq: train it again"),
        (INPUTS, {"vocabulary": ["red"], "dataset_image_size": 40}, "another version of dcmq: train it again"),
    ],
)
def test_runs_that_cannot_be_searched_with_are_named(run_folder, file, content, message):
    (run_folder / file).write_text(json.dumps(content))
    with pytest.raises(DcmqError, match=message):
        model_of(run_folder)


def test_hits_can_be_folded_bounded_and_asked_of_some_ids(tmp_path, images):
    with Image.open(images / "a.png") as image:
        image.resize((120, 100)).save(images / "in ner" / "a again.png")
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    plain = collection.search("images", text="red boat", k=8)
    once = collection.search("images", text="red boat", k=7, fold=True)
    first, again = sorted(("a.png", "in ner/a again.png"), key=[hit.id for hit in plain].index)
    assert [hit.id for hit in once] == [hit.id for hit in plain if hit.id != again]
    assert {hit.id: hit.duplicates for hit in once if hit.duplicates} == {first: (again,)}
    assert [hit.rank for hit in once] == [1, 2, 3, 4, 5, 6, 7]
    for bound in (plain[3].score, plain[3].score + 1e-6, 1.0, -1.0):
        hits = collection.search("images", text="red boat", k=8, threshold=bound)
        assert hits == [hit for hit in plain if hit.score >= bound]
    assert collection.search("images", text="red boat", threshold=1.0, fold=True) == []
    some = ["c.webp", "b.JPG", "b.JPG"]
    found = collection.search("images", text="red boat", among=some)
    assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in plain if hit.id in some]
    for wrong, message in (
        (["c.webp", "nobody"], "1 ids are not in the index .first: 'nobody'"),
        ([], "no id is given"),
    ):
        with pytest.raises(DcmqError, match=message):
            collection.search("images", text="red boat", among=wrong)
    collection.add_texts(["red boat", "boat red", "sea"])
    texts = collection.search("texts", text="red boat", fold=True)
    assert [(hit.id, hit.duplicates) for hit in texts] == [("red boat", ("boat red",)), ("sea", ())]


def test_folding_looks_further_until_there_are_enough(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(12):
        image = Image.fromarray(np.random.default_rng(number // 6).integers(0, 256, (50, 60, 3)).astype(np.uint8))
        image.save(tmp_path / "images" / f"{number:02}.png")
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(tmp_path / "images")
    hits = collection.search("images", text="boat", k=2, fold=True)
    assert sorted(len(hit.duplicates) for hit in hits) == [5, 5]
    assert len(collection.search("images", text="boat", k=5, fold=True)) == 2


def test_the_threshold_of_training_travels_with_the_student(tmp_path, run_folder):
    record = json.loads((run_folder / RECORD).read_text())
    assert Collection.create(tmp_path / "c", model_of(run_folder)).threshold("images", "texts") is None
    pairs = {
        "threshold": {"aimed at": 0.8, "value": 4.0, "precision": 0.75, "recall": 0.01, "queries with a match": 0.4}
    }
    record["evaluation"] = {"R": 5, "t2i": {"unseen": {"pairs": pairs}}, "i2t": {"unseen": {"pairs": {"AUROC": 0.5}}}}
    (run_folder / RECORD).write_text(json.dumps(record))
    collection = Collection.create(tmp_path / "d", model_of(run_folder))
    expected = {"value": 0.5, "precision aimed at": 0.8, "precision": 0.75, "recall": 0.01}
    assert Collection(collection.folder).threshold("images", "texts") == expected, "4 of 8 codebooks"
    assert collection.threshold("texts", "images") is None and collection.threshold("images", "images") is None


def test_names_that_are_not_utf8_are_named_and_left_out_wherever_they_stand(tmp_path, images):
    """A file, a folder of files, and the folder of all images."""
    root = os.fsencode(tmp_path) + b"/caf\xe9"
    images.rename(os.fsdecode(root))
    shutil.copytree(root + b"/in ner", root + b"/d\xfcr")
    shutil.copyfile(root + b"/a.png", root + b"/gr\xfcn.png")
    collection = Collection.create(tmp_path / "c", search_model())
    update = collection.update_images(Path(os.fsdecode(root)))
    assert update[:5] == (7, 0, 0, ["broken.jpg"], {})
    assert {reason: sorted(names) for reason, names in update.passed_over.items()} == {
        NOT_UTF8: ["d\\xfcr/alpha.png", "d\\xfcr/grey.png", "d\\xfcr/größe.png", "gr\\xfcn.png"]
    }
    again = Collection(tmp_path / "c")
    assert os.fsencode(again.source) == root and again.update_images(again.source)[:3] == (0, 0, 0)
    hits = again.search("images", text="boat", k=7)
    assert contact_sheet(tmp_path / "s.png", "boat", again, hits) == (0, 0)


def test_an_image_is_replaced_also_by_one_of_the_same_size_and_time(tmp_path, images):
    for name in ("a.png", "b.JPG"):
        (images / name).unlink()
    other_image(images / "a.bmp")
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    old, before = code_of(collection, "a.bmp"), (images / "a.bmp").stat()
    time.sleep(0.05)  # longer than a tick of the file system's clock
    other_image(images / "a.bmp", seed=10)
    os.utime(images / "a.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (images / "a.bmp").stat().st_size == before.st_size
    assert collection.update_images(images)[:3] == (0, 1, 0)
    assert code_of(collection, "a.bmp") == fresh_code(tmp_path / "d", images, "a.bmp") != old


def test_images_in_a_folder_that_cannot_be_read_stay_as_they_were(tmp_path, images, monkeypatch):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    code, scandir = code_of(collection, "in ner/grey.png"), os.scandir

    def refusing(path):
        if str(path).endswith("in ner"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refusing)
        update = collection.update_images(images)
    assert update[:3] == (0, 0, 0) and update.damaged == {"in ner": "Permission denied"}
    assert code_of(collection, "in ner/grey.png") == code


@pytest.mark.parametrize(("suffix", "kind"), sorted(FORMATS.items()))
def test_a_sheet_has_the_format_of_its_suffix_and_is_known_again(tmp_path, images, suffix, kind):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    hits, path = collection.search("images", text="boat", k=3), tmp_path / f"sheet{suffix}"
    for _ in range(2):
        require_sheet_place(path)
        contact_sheet(path, "boat", collection, hits)
        with Image.open(path) as sheet:
            assert sheet.format == kind
    (tmp_path / "photo.png").write_bytes((images / "a.png").read_bytes())
    (tmp_path / "letter.png").write_text("Dear")
    for place, message in (
        ("photo.png", "is there already and no contact sheet: choose another name, or add --force"),
        ("letter.png", "no contact sheet"),
        ("sheet", "must end in one of .png, .jpg, .jpeg, .webp"),
        ("sheet.pdf", "must end in one of"),
        ("none/sheet.png", "there is no folder .*none"),
    ):
        with pytest.raises(DcmqError, match=message):
            require_sheet_place(tmp_path / place)
    require_sheet_place(tmp_path / "photo.png", force=True)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DcmqError, match="is a folder"):
        require_sheet_place(tmp_path / "folder.png", force=True)
    assert not (tmp_path / "none").exists()


def pixels_of(path):
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_a_sheet_writes_letters_and_not_boxes(tmp_path, images):
    """A letter that a font lacks looks like any other that it lacks."""
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    hits = collection.search("images", text="boat", k=1)
    titles = ["é", "è", "ß", "Ж", "λ", "ש", "م", "→", "\x1b[31m\nred", "a" * 5000, "é" * 5000, ""]
    looks = set()
    for title in titles:
        contact_sheet(tmp_path / "s.png", title, collection, hits)
        looks.add(pixels_of(tmp_path / "s.png")[:34].tobytes())
    assert len(looks) == len(titles)


def test_a_sheet_shows_images_as_viewers_do(tmp_path):
    """Upright, on white, and with its greys."""
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (200, 100), "red")
    turned.paste("blue", (100, 0, 200, 100))
    turned.save(tmp_path / "images" / "turned.jpg", exif=exif)
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(tmp_path / "images" / "clear.png")
    Image.fromarray(np.full((100, 100), 0x8000, np.uint16)).save(tmp_path / "images" / "deep.png")
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(tmp_path / "images")
    hits = collection.search("images", text="boat", k=3)
    contact_sheet(tmp_path / "s.png", "", collection, hits)
    sheet, place = pixels_of(tmp_path / "s.png").astype(int), {hit.id: 8 + 208 * (hit.rank - 1) for hit in hits}
    middle = {name: sheet[34:234, x + 100] for name, x in place.items()}
    assert middle["clear.png"].min() == 255 and abs(middle["deep.png"] - 128).max() <= 1
    top, bottom = middle["turned.jpg"][20], middle["turned.jpg"][180]
    assert top[0] > 200 > top[2] + 100 and bottom[2] > 200 > bottom[0] + 100, "red above blue"


def test_a_sheet_shows_what_is_gone_as_grey(tmp_path, images):
    collection = Collection.create(tmp_path / "c", search_model())
    collection.update_images(images)
    hits = collection.search("images", text="boat", k=7)
    (images / hits[0].id).unlink()
    other_image(images / hits[1].id)
    assert contact_sheet(tmp_path / "s.png", "boat " * 100, collection, hits) == (1, 1)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.getpixel((100, 130)) == (221, 221, 221)
    shutil.rmtree(images)
    assert contact_sheet(tmp_path / "s.png", "boat", collection, hits) == (7, 0)

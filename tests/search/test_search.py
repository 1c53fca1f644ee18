"""Searching one's own pictures: from a run to a collection, through the command line, with its mistakes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dcmq.codes.assign import lookup_tables
from dcmq.codes.pack import unpack
from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import save_tensors
from dcmq.experiments import runs as experiments
from dcmq.methods.dcmq.student import make_student
from dcmq.search.__main__ import main
from dcmq.search.collection import Collection
from dcmq.search.model import SearchModel, words
from dcmq.search.runs import find_run, model_of
from dcmq.search.sheet import contact_sheet

STUDENT = StudentConfig(bits=32, subvector_dim=4, image_encoder="small_resnet", image_size=32, text_hidden=(8, 6))
CONFIG = TrainConfig(student=STUDENT)
WORDS = ("red", "blue", "boat", "sea", "größe")


def model(seed=0):
    config = CONFIG.model_copy(update={"seed": seed})
    return SearchModel(make_student(config, len(WORDS)), config, WORDS, 40)


@pytest.fixture
def pictures(tmp_path):
    """Seven pictures in two folders, of every kind that decoders know, a broken one, and a file that is none."""
    root, rng = tmp_path / "pics", np.random.default_rng(0)
    (root / "in ner").mkdir(parents=True)
    names = ["a.png", "b.JPG", "c.webp", "in ner/größe.png", "in ner/grey.png", "in ner/alpha.png", "palette.gif"]
    for i, name in enumerate(names):
        image = Image.fromarray(rng.integers(0, 256, (50 + i, 60, 3)).astype(np.uint8))
        image.convert({"grey.png": "L", "alpha.png": "RGBA", "palette.gif": "P"}.get(name.split("/")[-1], "RGB")).save(
            root / name
        )
    (root / "broken.jpg").write_bytes(b"no picture")
    (root / "notes.txt").write_text("boat")
    return root


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """What a finished run leaves."""
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "runs" / "npc-32bits-seed0-0123456789abcdef"
    folder.mkdir(parents=True)
    student = make_student(CONFIG, len(WORDS))
    save_tensors(
        experiments.checkpoint(folder), {f"model.{k}": v for k, v in student.state_dict().items()}, {"key": "0"}
    )
    (folder / "record.json").write_text(json.dumps({"config": CONFIG.model_dump(mode="json")}))
    (folder / experiments.INPUTS).write_text(json.dumps({"vocabulary": WORDS, "dataset_image_size": 40}))
    return folder


def test_words_are_read_in_any_language_and_unknown_ones_are_named():
    assert words("A RED boat, and red Größe2!") == ["red", "boat", "and", "größe2"]
    reader = model()
    assert reader.bags(["A RED boat, and red ships!", "sea"]).tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert reader.unread("A RED boat, and red ships!") == ["and", "ships"]
    assert reader.reads("GRÖSSE größe") and not reader.reads("green x 12")
    with pytest.raises(DcmqError, match="'green' has no word that the student knows, such as red"):
        reader.encode_texts(["red", "green"])


def test_a_image_is_read_as_training_read_it(pictures):
    """Squashed to the data set's size first, then resized for the student."""
    reader = model()
    made, broken = reader.encode_images([pictures / "a.png", pictures / "broken.jpg", pictures / "in ner/grey.png"])
    assert broken == [1] and made.shape == (2, 32)
    with Image.open(pictures / "a.png") as image:
        squashed = np.asarray(image.convert("RGB").resize((40, 40), Image.Resampling.BILINEAR))
    with torch.no_grad():
        expected = reader.student.encode_images(torch.from_numpy(squashed[None].copy()))
    torch.testing.assert_close(made[:1], expected)
    assert reader.encode_images([])[0].shape == (0, 32)


def test_a_collection_ranks_by_the_tables_of_the_students_cosines(tmp_path, pictures):
    there = Collection.create(tmp_path / "c", model())
    added, gone, broken = there.update_images(pictures)
    assert (added, gone, broken) == (7, 0, ["broken.jpg"])
    hits = there.find("pictures", text="red boat", k=99)
    index = there.index("pictures")
    tables = lookup_tables(there.model.encode_texts(["red boat"]), there.model.codebooks)[0]
    mean = {
        name: np.mean([tables[m, word].item() for m, word in enumerate(code)])
        for name, code in zip(index.ids, unpack(index.codes, 8), strict=True)
    }
    assert [hit.id for hit in hits] == sorted(mean, key=lambda name: (-np.float32(mean[name]), list(mean).index(name)))
    np.testing.assert_allclose([hit.score for hit in hits], sorted(mean.values(), reverse=True), atol=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, 8))


def test_a_collection_follows_its_folder_without_training(tmp_path, pictures):
    there = Collection.create(tmp_path / "c", model())
    there.update_images(pictures)
    (pictures / "a.png").rename(pictures / "z.png")
    assert there.update_images(pictures) == (1, 1, ["broken.jpg"])
    again = Collection(tmp_path / "c")
    assert (
        set(again.index("pictures").ids) >= {"z.png", "in ner/größe.png"} and "a.png" not in again.index("pictures").ids
    )
    assert again.add_texts(["red sea", "boat", "red sea", "unheard-of", ""]) == (2, ["unheard-of", ""])
    assert again.add_texts(["boat"]) == (0, [])
    assert {hit.id for hit in again.find("texts", picture=pictures / "z.png")} == {"red sea", "boat"}


def test_a_collection_keeps_one_student_and_one_root(tmp_path, pictures):
    there = Collection.create(tmp_path / "c", model())
    there.update_images(pictures)
    assert len(Collection.create(tmp_path / "c", model()).index("pictures")) == 7
    with pytest.raises(DcmqError, match="another student"):
        Collection.create(tmp_path / "c", model(seed=1))
    with pytest.raises(DcmqError, match="has the pictures under"):
        there.update_images(pictures / "in ner")
    assert len(Collection.create(tmp_path / "c", model(seed=1), replace=True).index("pictures")) == 0


def test_the_command_line_from_a_run_to_a_contact_sheet(tmp_path, pictures, run_folder, capsys):
    texts, folder, sheet = tmp_path / "texts.txt", tmp_path / "c", tmp_path / "sheet.png"
    texts.write_text("red sea\nunheard-of\nblue  boat\n\n", encoding="utf-8")
    assert main(["build", str(folder), "--run", "npc-32", "--pictures", str(pictures), "--texts", str(texts)]) == 0
    out = capsys.readouterr().out
    assert "7 added" in out and "broken.jpg" in out and "2 added, 2 in all" in out and "'unheard-of'" in out
    assert main(["query", str(folder), "--text", "red zzz boat", "-k", "3", "--sheet", str(sheet)]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 4 and shown.err == "not known to the student: zzz\n"
    with Image.open(sheet) as image:
        assert image.width > 3 * 200 and len(image.getcolors(1 << 20)) > 1000
    assert main(["query", str(folder), "--picture", str(pictures / "a.png")]) == 0
    assert {line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()} == {"red sea", "blue boat"}
    assert main(["query", str(folder), "--picture", str(pictures / "a.png"), "--among", "pictures", "-k", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["info", str(folder)]) == 0
    assert "7 of 32 bits" in capsys.readouterr().out
    assert main(["export", str(folder), str(tmp_path / "out"), "--without-faiss"]) == 0
    assert np.load(tmp_path / "out" / "codes.npy").shape == (7, 4)
    assert main(["build", str(folder), "--pictures", str(pictures)]) == 0  # the run is not needed again


def test_lists_are_built_on_request(tmp_path, pictures, run_folder, capsys):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    assert main(["build", str(tmp_path / "c"), "--run", str(run_folder), "--pictures", str(pictures), "--lists"]) == 0
    assert main(["query", str(tmp_path / "c"), "--text", "boat"]) == 0
    assert main(["info", str(tmp_path / "c")]) == 0
    assert "3 lists" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("build {c} --run npc-32", "say what to encode"),
        ("build {c} --run nobody --pictures {p}", "there is no run 'nobody'; the newest are"),
        ("build {new} --pictures {p}", "is no collection"),
        ("build {c} --pictures {c}", "has the pictures under"),
        ("build {new} --run npc-32 --pictures {none}", "there is no folder"),
        ("build {new} --run npc-32 --pictures {home}", "holds no picture"),
        ("build {c} --texts {none}", "No such file"),
        ("build {c} --texts {p}/broken.bin", "is not UTF-8 text"),
        ("query {c} --text unheard", "has no word that the student knows"),
        ("query {c} --picture {p}/broken.jpg", "holds no texts"),
        ("query {c} --picture {p}/broken.jpg --among pictures", "no picture that can be read"),
        ("query {c} --text boat -k 0", "k = 0"),
        ("query {c} --text boat --engine lists", "call cluster"),
        ("query {c} --text boat --sheet {none}/x/../../notes.txt/sheet.png", "cannot write"),
        ("export {c} {p} --without-faiss", "not empty"),
        ("query {home} --text boat", "is no collection"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, pictures, run_folder, capsys, command, message):
    folder = tmp_path / "c"
    assert main(["build", str(folder), "--run", "npc-32", "--pictures", str(pictures)]) == 0
    (pictures / "broken.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes.txt").write_text("")
    places = {"c": folder, "p": pictures, "none": tmp_path / "none", "new": tmp_path / "new", "home": tmp_path / "home"}
    capsys.readouterr()
    assert main([word.format(**places) for word in command.split()]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert len(Collection(folder).index("pictures")) == 7


def test_damaged_and_foreign_files_are_named(tmp_path, pictures, run_folder):
    there = Collection.create(tmp_path / "c", model())
    there.update_images(pictures)
    path = tmp_path / "c" / "pictures.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DcmqError, match="pictures.safetensors"):
        there.find("pictures", text="boat")
    path = tmp_path / "c" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DcmqError, match="model.safetensors is missing, damaged"):
        Collection(tmp_path / "c")


def test_runs_are_found_by_name_or_key(tmp_path, run_folder):
    for name in (str(run_folder), "npc-32bits", "01234"):
        assert find_run(name) == run_folder
    twin = run_folder.with_name("npc-32bits-seed1-fedc")
    twin.mkdir()
    for name in ("record.json", experiments.INPUTS):
        (twin / name).write_text((run_folder / name).read_text())
    with pytest.raises(DcmqError, match="2 runs are called 'npc'"):
        find_run("npc")
    with pytest.raises(DcmqError, match="no finished run"):
        model_of(tmp_path)
    (twin / "record.json").write_text(json.dumps({"config": {"method": "DCMH"}}))
    with pytest.raises(DcmqError, match="a run of DCMH; only students of DCMQ"):
        model_of(twin)
    assert torch.equal(model_of(run_folder).codebooks, make_student(CONFIG, len(WORDS)).quantizer.codebooks)


def test_a_sheet_shows_what_is_gone_as_grey(tmp_path, pictures):
    there = Collection.create(tmp_path / "c", model())
    there.update_images(pictures)
    hits = there.find("pictures", text="boat", k=7)
    (pictures / hits[0].id).unlink()
    contact_sheet(tmp_path / "s.png", "boat " * 100, pictures, hits)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.getpixel((100, 130)) == (221, 221, 221)

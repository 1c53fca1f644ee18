"""Images encoded in parts, by several processes, after an end in the middle, and by a cluster."""

import shutil
from pathlib import Path

import kills
import numpy as np
import pytest
from finished_run import CONFIG, VOCABULARY
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.search import parts
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.sources import list_images

KILLS = kills.seeds(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """150 images, of which one is broken."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(150):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)).save(root / f"{number:03}.png")
    (root / "077.png").write_bytes(b"no image")
    return root


@pytest.fixture
def model(tmp_path):
    student = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    student.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "_SMALLEST", 20)


def encoded(model, images, folder, former=None):
    listing = list_images(images)
    former = np.zeros(len(listing), np.uint64) if former is None else former
    return parts.encode_in_parts(model, 4, listing, former, folder)


def test_parts_hold_what_encoding_one_by_one_gives(model, images, tmp_path):
    made = encoded(model, images, tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 8
    student = PretrainedStudent.load(model)
    for row, file in enumerate(sorted(images.iterdir())):
        codes, unreadable = student.quantize_images([file])
        assert made.state[row] == (parts.UNREADABLE if unreadable else parts.ENCODED)
        assert unreadable or (codes[0] == made.codes[row]).all()
    assert np.flatnonzero(made.state == parts.UNREADABLE).tolist() == [77]


def test_a_build_that_was_ended_goes_on_and_a_damaged_part_is_made_again(model, images, tmp_path, capsys, monkeypatch):
    whole = encoded(model, images, tmp_path / "parts")
    files = sorted((tmp_path / "parts").iterdir())
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-3] + b"xyz")
    seen, quantize = [], PretrainedStudent.quantize_images
    monkeypatch.setattr(
        PretrainedStudent, "quantize_images", lambda self, files: seen.append(len(files)) or quantize(self, files)
    )
    again = encoded(model, images, tmp_path / "parts")
    assert f"{files[1]} is damaged: its images are encoded again" in capsys.readouterr().err
    assert seen == [20, 20] or sorted(seen) in ([10, 20], [19, 20], [20, 20])
    for name in ("state", "content", "codes"):
        assert (getattr(again, name) == getattr(whole, name)).all()


def test_an_image_that_changed_since_its_part_was_made_is_encoded_again(model, images, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(images, copy)
    before = encoded(model, copy, tmp_path / "parts")
    Image.new("RGB", (9, 9), "red").save(copy / "003.png")
    after = encoded(model, copy, tmp_path / "parts")
    assert np.flatnonzero(before.content != after.content).tolist() == [3]


def test_content_that_is_known_needs_no_code(model, images, tmp_path):
    before = encoded(model, images, tmp_path / "parts")
    made = encoded(model, images, tmp_path / "others", before.content)
    assert (made.state == parts.SAME).all() and (made.content == before.content).all()


def test_parts_of_another_student_count_for_nothing(model, images, tmp_path):
    encoded(model, images, tmp_path / "parts")
    other = CONFIG.model_copy(update={"seed": 1})
    PretrainedStudent(make_student(other, len(VOCABULARY)), other, VOCABULARY, 40, LETTERS).save(model)
    fresh = encoded(model, images, tmp_path / "fresh")
    assert (encoded(model, images, tmp_path / "parts").codes == fresh.codes).all()


def test_parts_that_vanish_are_named(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_encode", lambda *_: None)
    with pytest.raises(
        DcmqError, match="150 images have no code, from 000.png on: their parts are missing or damaged in"
    ):
        encoded(model, images, tmp_path / "parts")


BUILD = """
import os, sys
from pathlib import Path
from dcmq.search import parts
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent

parts._SMALLEST = 20

if __name__ == "__main__":
    _, model, images, how = sys.argv
    collection, options = Collection.create("c", PretrainedStudent.load(Path(model))), {}
    if how == "cluster":
        from distributed import LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        Path(os.environ["DCMQ_HOME"], "begun").touch()
        options = {"scheduler": cluster.scheduler_address}
    print(collection.update_images(images, **options or {"workers": int(how)})[:4])
"""
phase = kills.by_files(
    student="c/model.safetensors", encoding="c/parts/*", index="c/images.safetensors", notes="c/files.safetensors"
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The words of a build by so many processes, or a cluster; and a function that gives what an undisturbed one leaves and how long
    it takes: of a new collection, or of one whose images have been added to, replaced and removed since."""
    root, rng = tmp_path_factory.mktemp("scene"), np.random.default_rng(1)

    def draw(*numbers):
        for number in numbers:
            Image.fromarray(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(root / "images" / f"{number:03}.png")

    (root / "images").mkdir()
    (root / "build.py").write_text(BUILD)
    student = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    student.save(root / "model.safetensors")
    draw(*range(200))
    Collection.create(root / "old" / "c", student).update_images(root / "images")
    draw(*range(50, 80), *range(200, 400))
    for number in range(20):
        (root / "images" / f"{number:03}.png").unlink()
    (root / "images" / "077.png").write_bytes(b"no image")
    made = {}

    def words(how):
        return [root / "build.py", root / "model.safetensors", root / "images", how]

    def whole(how, old):
        if (how, old) not in made:
            folder = begun(tmp_path_factory.mktemp("whole") / "home", old)
            made[how, old] = folder, kills.undisturbed(words(how), folder)
        return made[how, old]

    def begun(folder, old):
        return Path(shutil.copytree(root / "old", folder)) if old else folder

    return words, whole, begun


@pytest.mark.slow
@pytest.mark.parametrize("how", ["1", "2"])
def test_a_build_that_was_killed_goes_on_and_no_byte_is_another(scene, tmp_path, how):
    words, whole, begun = scene
    for seed in KILLS:
        old = seed % 2 == 1
        folder, done = whole(how, old)
        home, whom = begun(tmp_path / f"home{seed}", old), kills.MAIN if how == "2" and seed % 4 < 2 else kills.EVERYONE
        kills.killed(words(how), home, whom, seed, done, phase)
        assert "damaged" not in kills.undisturbed(words(how), home).err
        kills.assert_same(home, folder)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["2", "cluster"])
def test_a_worker_that_is_killed_changes_no_byte(scene, tmp_path, how):
    if how == "cluster":
        pytest.importorskip("distributed", reason="the extra cluster is not installed")
    words, whole, _ = scene
    folder, done = whole(how, False)
    kills.assert_same(folder / "c", whole("1", False)[0] / "c")
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        killed = kills.killed(words(how), home, kills.WORKER, seed, done, phase)
        assert (killed.code, killed.out) == (0, "(379, 0, 0, ['077.png'])"), killed.err[-3000:]
        assert "Traceback" not in killed.err
        kills.assert_same(home, folder)

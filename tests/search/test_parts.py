"""Images encoded in parts, by several processes, after an end in the middle, and by a cluster."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from finished_run import CONFIG, VOCABULARY
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.search import parts
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.sources import list_images

KILLS = range(int(os.environ.get("DCMQ_KILLS", "3")))  # more of them find what is rare


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
import json, multiprocessing, os, random, signal, sys, threading, time
from pathlib import Path
from dcmq.core.errors import DcmqError
from dcmq.search import parts
from dcmq.search.collection import Collection

parts._SMALLEST = 20

def kill_one(processes, seed):
    chance = random.Random(seed)
    while not list(Path(sys.argv[1]).glob("parts/*.safetensors")):
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.3))
    os.kill(chance.choice(processes()), signal.SIGKILL)

def children():
    return [child.pid for child in multiprocessing.active_children()]

if __name__ == "__main__":
    _, folder, images, how, seed = sys.argv
    scheduler = ""
    if how == "cluster":
        from distributed import Client, LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        client, scheduler = Client(cluster, set_as_default=False), cluster.scheduler_address
        processes = sorted(client.run(os.getpid).values())
    if seed:
        find = (lambda: processes) if how == "cluster" else {"worker": children, "self": lambda: [os.getpid()]}[how]
        threading.Thread(target=kill_one, args=(find, int(seed)), daemon=True).start()
    print(Collection(folder).update_images(images, workers=2, scheduler=scheduler)[:4])
"""


def build(folder, model, images, how="worker", seed=""):
    """A build in a process of its own; its exit code and what it printed."""
    folder.mkdir(exist_ok=True)
    shutil.copy(model, folder)
    (folder.parent / "build.py").write_text(BUILD)
    command = [sys.executable, str(folder.parent / "build.py"), str(folder), str(images), how, str(seed)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return done.returncode, done.stdout.strip(), done.stderr


def stored(folder):
    """All that was written, to the byte; safetensors orders the texts beside it by chance."""
    found = [load_tensors(folder / name) for name in ("images.safetensors", "files.safetensors")]
    return [({name: value.numpy().tobytes() for name, value in tensors.items()}, texts) for tensors, texts in found]


@pytest.mark.slow
def test_a_kill_at_any_moment_changes_no_byte(model, images, tmp_path):
    """Of one of two workers: the build goes on. Of the build itself: the next one goes on from the parts that are done."""
    counted = "(149, 0, 0, ['077.png'])"
    Collection.create(tmp_path / "one", PretrainedStudent.load(model)).update_images(images)
    for seed in KILLS:
        code, out, err = build(tmp_path / f"worker{seed}", model, images, "worker", seed)
        assert (code, out) == (0, counted), err
        assert "Traceback" not in err and not (tmp_path / f"worker{seed}" / "parts").exists()
        code, out, err = build(tmp_path / f"self{seed}", model, images, "self", seed)
        assert code in (-signal.SIGKILL, 0)
        if code:
            assert build(tmp_path / f"self{seed}", model, images)[:2] == (0, counted)
        assert stored(tmp_path / f"worker{seed}") == stored(tmp_path / f"self{seed}") == stored(tmp_path / "one")


@pytest.mark.slow
def test_a_cluster_encodes_the_same_also_where_a_worker_is_killed(model, images, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    Collection.create(tmp_path / "one", PretrainedStudent.load(model)).update_images(images)
    for seed in ("", *KILLS):
        code, out, err = build(tmp_path / f"cluster{seed}", model, images, "cluster", seed)
        assert (code, out) == (0, "(149, 0, 0, ['077.png'])"), err
        assert stored(tmp_path / f"cluster{seed}") == stored(tmp_path / "one")

"""Image files decoded into one array: the same bytes however often the work is ended, and whoever does it."""

import errno
import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kills
import numpy as np
import pytest
from PIL import Image

from dcmq.core import slabs as slabs_module
from dcmq.core.errors import DcmqError
from dcmq.core.executors import LostWorker
from dcmq.core.slabs import Slabs
from dcmq.data import decode
from dcmq.data.resize import image_array

SIZE, N, ROWS = 8, 23, 4  # images of a slab
LEFT = [".lock", "complete.json", "images.npy", "images.proof.json"]  # when all is done
KILLS = kills.seeds(1)


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    monkeypatch.setattr(slabs_module, "_ROWS", ROWS)


@pytest.fixture
def files(tmp_path):
    return drawn(tmp_path / "files", N)


def drawn(root, n, side=12):
    root.mkdir()
    rng, paths = np.random.default_rng(0), [root / f"{number:04}.png" for number in range(n)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (side, side + 4, 3)).astype(np.uint8)).save(path)
    return paths


def expected(files):
    return np.stack([image_array(Image.open(file), SIZE) for file in files])


def decoded(folder, files, key="key", **options):
    return decode.decoded(folder, key, files, SIZE, "data", **options)


class Counted:
    """Notes the names of files that are decoded, "?" for one that is no image; after ``end`` of them it interrupts."""

    def __init__(self, monkeypatch, end=None):
        self.names, self.end, self.pixels, self.lock = [], end, decode._pixels, threading.Lock()
        monkeypatch.setattr(decode, "_pixels", self)

    def __call__(self, opened, size):
        with self.lock:
            if len(self.names) == self.end:
                raise KeyboardInterrupt
            try:
                image = opened()
            except decode.UNREADABLE:
                self.names.append("?")
                return None
            self.names.append(Path(image.filename).name)
        return self.pixels(lambda: image, size)


def one_thread(monkeypatch):
    monkeypatch.setattr(decode.os, "cpu_count", lambda: 1)


def test_the_array_is_that_of_decoding_one_by_one_and_nothing_else_is_left(files, tmp_path):
    images, broken = decoded(tmp_path / "out", files)
    assert isinstance(images, np.memmap) and (images == expected(files)).all() and broken == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == LEFT
    with (tmp_path / "npy").open("wb") as file:
        np.save(file, expected(files))
    assert (tmp_path / "npy").read_bytes() == (tmp_path / "out" / "images.npy").read_bytes()


@pytest.mark.parametrize("end", range(N))
def test_decoding_goes_on_from_the_last_slab_wherever_it_was_interrupted(files, tmp_path, monkeypatch, end):
    one_thread(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Counted(patch, end)
        decoded(tmp_path / "out", files)
    again = Counted(monkeypatch)
    images, _ = decoded(tmp_path / "out", files)
    assert again.names == [file.name for file in files[end // ROWS * ROWS :]]
    assert (images == expected(files)).all()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == LEFT


def interrupted(folder, files, end=2 * ROWS + 1, **options):
    """Leaves what an interruption after two slabs leaves."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        one_thread(patch)
        Counted(patch, end)
        decoded(folder, files, **options)
    assert len(list(folder.glob("slabs-*/*.json"))) == end // ROWS


def test_a_damaged_slab_is_named_and_decoded_again(files, tmp_path, monkeypatch, capsys):
    interrupted(tmp_path / "out", files)
    part = tmp_path / "out" / "images.part"
    content = bytearray(part.read_bytes())
    content[128 + SIZE * SIZE * 3 * ROWS] ^= 1  # of row 4
    part.write_bytes(content)
    again = Counted(monkeypatch)
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all()
    assert sorted(again.names) == [file.name for file in files[ROWS:]]
    assert f"rows 4 to 7 of {part} are damaged: they are made again" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"sha256": "?", "missing": []}'])
def test_a_damaged_proof_proves_nothing(files, tmp_path, monkeypatch, content):
    interrupted(tmp_path / "out", files)
    next((tmp_path / "out").glob("slabs-*/0-4.json")).write_text(content)
    again = Counted(monkeypatch)
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all()
    assert sorted(again.names) == [file.name for file in (*files[:ROWS], *files[2 * ROWS :])]


@pytest.mark.parametrize("damage", ["gone", "cut", "other shape", "other type", "text"])
def test_an_array_that_is_not_the_one_that_was_begun_is_begun_anew(files, tmp_path, monkeypatch, damage):
    interrupted(tmp_path / "out", files)
    part = tmp_path / "out" / "images.part"
    if damage == "gone":
        part.unlink()
    elif damage == "cut":
        part.write_bytes(part.read_bytes()[:-1])
    elif damage == "text":
        part.write_text("no array")
    else:
        shape = (N, SIZE, SIZE, 1) if damage == "other shape" else (N, SIZE, SIZE, 3)
        with part.open("wb") as file:
            np.save(file, np.zeros(shape, np.uint8 if damage == "other shape" else np.int8))
    again = Counted(monkeypatch)
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all() and len(again.names) == N


def test_another_list_of_files_starts_over(files, tmp_path, monkeypatch):
    interrupted(tmp_path / "out", files)
    again = Counted(monkeypatch)
    turned = files[::-1]
    assert (decoded(tmp_path / "out", turned, key="other")[0] == expected(turned)).all() and len(again.names) == N
    assert not list((tmp_path / "out").glob("slabs-*"))


def test_images_that_cannot_be_decoded_are_left_out_and_tried_again_by_the_next_call(files, tmp_path, monkeypatch):
    whole = expected(files)
    good = files[2].read_bytes()
    files[2].write_bytes(b"no image")
    files[17].write_bytes(b"")
    interrupted(tmp_path / "out", files, 5 * ROWS + 1)
    with pytest.raises(DcmqError, match="2 of 23 images cannot be decoded .*0002.png"):
        decoded(tmp_path / "out", files)
    files[2].write_bytes(good)  # the disk is back
    again = Counted(monkeypatch)
    with pytest.warns(UserWarning, match="left out, because they cannot be decoded: .*0017.png"):
        images, broken = decoded(tmp_path / "out", files)
    assert sorted(again.names) == ["0002.png", "?"] and broken == {17: str(files[17])}
    assert (images == np.delete(whole, 17, 0)).all()


def test_an_end_while_the_broken_rows_are_taken_out_costs_no_decoding(files, tmp_path, monkeypatch):
    whole = expected(files)
    files[17].write_bytes(b"")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning):
        patch.setattr(decode.np, "setdiff1d", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        decoded(tmp_path / "out", files)
    again = Counted(monkeypatch)
    with pytest.warns(UserWarning, match="0017.png"):
        images, _ = decoded(tmp_path / "out", files)
    assert again.names == ["?"] and (images == np.delete(whole, 17, 0)).all()


def test_images_that_are_no_files_are_read_by_this_process_and_go_on_too(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (N, 9, 11, 3)).astype(np.uint8)
    names, seen = [Path(f"row {row}") for row in range(N)], []
    end = 2 * ROWS + 2
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://127.0.0.1:9")  # nobody answers there

    def read(row):
        if len(seen) == end:
            raise DcmqError("enough")
        seen.append(row)
        return images[row]

    one_thread(monkeypatch)
    with pytest.raises(DcmqError, match="enough"):
        decoded(tmp_path / "out", names, read=read)
    seen, end = [], N + 1
    made, _ = decoded(tmp_path / "out", names, read=read)
    assert seen == list(range(2 * ROWS, N))
    assert (made == np.stack([image_array(Image.fromarray(image), SIZE) for image in images])).all()


def test_a_disk_that_is_full_from_the_beginning_or_later_is_one_line(files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for function in ("posix_fallocate", "replace"):  # the array's space; the first proof
        with monkeypatch.context() as patch, pytest.raises(DcmqError, match="no space left to write .*: free some"):
            patch.setattr(os, function, full)
            decoded(tmp_path / "out", files)
        assert not list((tmp_path / "out").glob("slabs-*/*"))
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all()


def test_slabs_are_small_enough_for_the_memory_of_a_worker():
    for side in (8, 64, 256, 2048, 8192):
        store = np.lib.stride_tricks.as_strided(
            np.zeros(1, np.uint8), (10_000, side, side, 3), (side * side * 3, 0, 0, 0)
        )
        rows = len(Slabs(store, Path("none")).all[0])
        assert 1 <= rows <= ROWS and (rows == 1 or rows * side * side * 3 <= slabs_module._BYTES)


class Threads:
    """A cluster of threads, one of whose workers is lost now and then."""

    def __init__(self, losses=0, fault=None):
        self.losses, self.fault, self.made = losses, fault, []

    def __call__(self, workers, scheduler):
        assert scheduler == "tcp://cluster"
        pool, submit = ThreadPoolExecutor(2), ThreadPoolExecutor.submit
        pool.submit = lambda function, file, *rest: submit(pool, self.run, function, file, *rest)
        return pool

    def run(self, function, file, *rest):
        if self.losses:
            self.losses -= 1
            raise LostWorker("killed")
        self.made.append(file.name)
        function(file, *rest)
        if self.fault:
            self.fault(file)


@pytest.fixture
def cluster(monkeypatch):
    threads = Threads()
    monkeypatch.setattr("dcmq.core.executors.open_executor", threads)
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://cluster")
    return threads


def test_workers_decode_the_same_and_a_killed_one_is_named(files, tmp_path, cluster, capsys):
    cluster.losses = 2
    images, _ = decoded(tmp_path / "out", files)
    assert (images == expected(files)).all() and len(cluster.made) == 6
    assert capsys.readouterr().err.count("its process was killed") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == LEFT


def test_what_workers_made_for_a_process_that_was_killed_is_taken(files, tmp_path, cluster, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Slabs, "prove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        decoded(tmp_path / "out", files)
    left = {file.name for file in (tmp_path / "out").glob("slabs-*/*.safetensors")}
    assert left == set(cluster.made) and len(left) == 6
    again = Counted(monkeypatch)
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all() and again.names == []


def test_a_slab_that_comes_damaged_is_named_and_decoded_here(files, tmp_path, cluster, monkeypatch, capsys):
    def damage(file):
        if file.name.startswith("4-"):
            file.write_bytes(file.read_bytes()[:-2] + b"??")

    cluster.fault = damage
    assert (decoded(tmp_path / "out", files)[0] == expected(files)).all()
    assert "4-8.safetensors is damaged: its rows are made again" in capsys.readouterr().err


def test_a_cluster_that_shares_no_folder_is_one_line(files, tmp_path, cluster):
    cluster.fault = lambda file: file.unlink()
    with pytest.raises(DcmqError, match="images from .*: a worker of the cluster made .*, and it is not there: start"):
        decoded(tmp_path / "out", files)


def test_workers_that_do_not_see_the_images_are_one_line(files, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(decode, "_pixels", lambda opened, size: None)
    monkeypatch.setattr(Path, "is_file", lambda path, is_file=Path.is_file: path.suffix != ".png" and is_file(path))
    with pytest.raises(DcmqError, match="a worker of the cluster sees no file .*png: it must see the folder of images"):
        decoded(tmp_path / "out", files)


def test_an_image_that_a_worker_alone_cannot_read_is_decoded_here(files, tmp_path, cluster, monkeypatch):
    failed, pixels = [], decode._pixels

    def fails_once(opened, size):
        with opened() as image:
            if image.filename.endswith("0005.png") and not failed:
                failed.append(threading.current_thread())
                return None
            return pixels(lambda: image, size)

    monkeypatch.setattr(decode, "_pixels", fails_once)
    images, broken = decoded(tmp_path / "out", files)
    assert (images == expected(files)).all() and broken == {}


DECODE = """
import hashlib, os, sys
from pathlib import Path
from dcmq.core import slabs
from dcmq.data.decode import decoded

slabs._ROWS = 50

if __name__ == "__main__":
    _, images, how = sys.argv
    if how == "cluster":
        from distributed import LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        Path(os.environ["DCMQ_HOME"], "begun").touch()
        os.environ["DCMQ_SCHEDULER"] = cluster.scheduler_address
    array, broken = decoded(Path("out"), "key", sorted(Path(images).iterdir()), 64, "data")
    print(hashlib.sha256(array).hexdigest(), sorted(broken))
"""
phase = kills.by_files(
    decoding="out/images.part", last_slab="out/slabs-*/950-*", array="out/images.npy", done="out/complete.json"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Undisturbed decoding of 1,000 images, of which one is broken, by this machine or a cluster: the words of the program, its
    folder, its end."""
    root, made = tmp_path_factory.mktemp("whole"), {}
    paths = drawn(root / "files", 1000, side=300)
    paths[77].write_bytes(b"no image")
    (root / "decode.py").write_text(DECODE)
    array = np.stack([image_array(Image.open(file), 64) for row, file in enumerate(paths) if row != 77])

    def get(how):
        if how not in made:
            words = [root / "decode.py", root / "files", how]
            made[how] = words, root / how, kills.undisturbed(words, root / how)
            assert made[how][2].out == f"{hashlib.sha256(array).hexdigest()} [77]"
            assert sorted(path.name for path in (root / how / "out").iterdir()) == LEFT
        return made[how]

    return get


@pytest.mark.slow
def test_decoding_that_was_killed_goes_on_and_no_byte_is_another(whole, tmp_path):
    words, folder, done = whole("here")
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        kills.killed(words, home, kills.EVERYONE, seed, done, phase)
        again = kills.undisturbed(words, home)
        assert again.out == done.out and "damaged" not in again.err
        kills.assert_same(home, folder)


@pytest.mark.slow
def test_a_cluster_decodes_the_same_also_where_a_worker_is_killed(whole, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    words, folder, done = whole("cluster")
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        killed = kills.killed(words, home, kills.WORKER, seed, done, phase)
        assert (killed.code, killed.out) == (0, done.out), killed.err[-3000:]
        kills.assert_same(home, folder)

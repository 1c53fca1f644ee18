"""A teacher's embeddings made in shards: those of the teacher itself, to the bit, however often the work is ended."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import kills
import numpy as np
import pytest
import torch
from tiny import tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.core.executors import LostWorker
from dcmq.data.datasets import load_dataset
from dcmq.data.lazy_images import LazyImages
from dcmq.experiments import teacher_shards
from dcmq.experiments.teacher_shards import embed_in_shards
from dcmq.teachers.base import Encoder, l2_normalize
from dcmq.teachers.embeddings import embed
from dcmq.teachers.precomputed import Precomputed
from dcmq.teachers.registry import resolve_teacher

pytestmark = pytest.mark.usefixtures("home")
N = 700  # six batches of 116 or 117
KILLS = kills.seeds(1)


class Projection(Encoder):
    """A random projection that depends on the batch that an image is in. It notes the sizes of its batches."""

    name, description, parameters, fingerprint = "projection", "a random projection", 0, "projection"

    def __init__(self, end=None):
        self.sizes, self.end = [], end
        self.weights = torch.randn(16 * 16 * 3, 8, generator=torch.Generator().manual_seed(0))

    def encode_images(self, images):
        if len(self.sizes) == self.end:
            raise KeyboardInterrupt
        self.sizes.append(len(images))
        pixels = torch.from_numpy(images).flatten(1) / 255
        return l2_normalize((pixels - pixels.mean(0)) @ self.weights)

    def encode_texts(self, texts):
        return l2_normalize(torch.tensor([[len(text), *map(ord, text[:7].ljust(7))] for text in texts]))


@pytest.fixture(autouse=True)
def shards_of_a_batch(monkeypatch):
    monkeypatch.setattr(teacher_shards, "_SHARD", 1)


@pytest.fixture(scope="module")
def dataset():
    return tiny_dataset(N)[0]


def same(embeddings, pair):
    return torch.equal(embeddings.image, pair[0]) and torch.equal(embeddings.text, pair[1])


def left(home):
    return sorted(path.name for path in (home / "cache" / "embeddings").glob("*.shards/*"))


def test_the_vectors_are_those_of_the_teacher_itself_to_the_bit(dataset, home):
    teacher = Projection()
    assert same(embed_in_shards(teacher, dataset, progress=False), Projection().embed_dataset(dataset, progress=False))
    assert teacher.sizes == [117] * 4 + [116] * 2 and left(home) == []
    again = Projection()  # as embed finds what embed_in_shards kept, so the two share a key
    assert same(embed(again, dataset, progress=False), Projection().embed_dataset(dataset, False)) and not again.sizes
    assert embed_in_shards(again, dataset, progress=False).code == embed(again, dataset, progress=False).code


def test_batches_of_any_number_of_images_are_those_of_the_teacher():
    for n in (1, 127, 128, 129, 700, 1024, 4097):
        seen = Projection()
        seen.encode_images = lambda images, seen=seen: seen.sizes.append(images[:, 0].tolist()) or torch.zeros(1, 2)
        rows, texts = LazyImages((n,), lambda n=n: np.arange(n)[:, None]), ["a"] * n
        data = type("Data", (), {"ids": range(n), "images": rows, "label_sentences": lambda self, texts=texts: texts})()
        seen.embed_dataset(data, progress=False)
        assert seen.sizes == [batch.tolist() for shard in teacher_shards._shards(n) for batch in shard]


@pytest.mark.parametrize("end", range(6))
def test_embedding_goes_on_from_the_last_shard_wherever_it_was_interrupted(dataset, home, end):
    with pytest.raises(KeyboardInterrupt):
        embed_in_shards(Projection(end), dataset, progress=False)
    assert len(left(home)) == end
    teacher = Projection()
    assert same(embed_in_shards(teacher, dataset, progress=False), Projection().embed_dataset(dataset, progress=False))
    assert teacher.sizes == ([117] * 4 + [116] * 2)[end:] and left(home) == []


def test_a_damaged_shard_is_named_and_made_again(dataset, home, capsys):
    with pytest.raises(KeyboardInterrupt):
        embed_in_shards(Projection(4), dataset, progress=False)
    cut, altered = next(home.rglob("0-117.safetensors")), next(home.rglob("234-351.safetensors"))
    cut.write_bytes(cut.read_bytes()[:50])
    altered.write_bytes(altered.read_bytes()[:-1] + b"?")
    teacher = Projection()
    assert same(embed_in_shards(teacher, dataset, progress=False), Projection().embed_dataset(dataset, progress=False))
    assert teacher.sizes == [117, 117, 116, 116]
    said = capsys.readouterr().err
    assert all(f"{file} is damaged: its images are embedded again" in said for file in (cut, altered))


def test_other_data_or_another_teacher_find_no_shard_of_these(dataset, home):
    with pytest.raises(KeyboardInterrupt):
        embed_in_shards(Projection(4), dataset, progress=False)
    for data, fingerprint in ((replace(dataset, fingerprint="other"), "projection"), (dataset, "other")):
        teacher = Projection()
        teacher.fingerprint = fingerprint
        embed_in_shards(teacher, data, progress=False)
        assert len(teacher.sizes) == 6


def test_a_small_data_set_and_a_teacher_that_reads_a_file_are_left_to_embed(dataset, home, monkeypatch, tmp_path):
    monkeypatch.setattr(teacher_shards, "_image_vectors", None)
    monkeypatch.setattr(teacher_shards, "_SHARD", 3)  # two shards are few
    assert len(embed_in_shards(Projection(), dataset, progress=False).image) == N
    monkeypatch.setattr(teacher_shards, "_SHARD", 1)
    vectors = np.random.default_rng(0).normal(size=(N, 8))
    np.savez(tmp_path / "t.npz", image_id=np.arange(N), image=vectors, text=vectors)
    assert len(embed_in_shards(Precomputed(str(tmp_path / "t.npz")), dataset).image) == N


def test_a_teacher_that_gives_nan_is_told_at_once_and_leaves_no_such_shard(dataset, home):
    teacher = Projection()
    teacher.weights = teacher.weights * float("nan")
    with pytest.raises(DcmqError, match="teacher projection gave NaN: its weights or preprocessing are broken"):
        embed_in_shards(teacher, dataset, progress=False)
    assert len(teacher.sizes) == 1 and left(home) == []


def test_sentences_that_are_cut_are_warned_of_as_ever(dataset):
    teacher = Projection()
    teacher.truncated = lambda texts: 2
    with pytest.warns(UserWarning, match="2 of 3 distinct label sentences are longer than it reads and were cut"):
        embed_in_shards(teacher, dataset, progress=False)


def scenes():
    return load_dataset("scenes", query=100, train=100, gallery=500)


def test_images_that_are_made_on_demand_are_embedded_on_demand_and_by_this_process(home, monkeypatch):
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://127.0.0.1:9")  # nobody answers there
    data, teacher = scenes(), resolve_teacher("clip", "scenes")
    embeddings = embed_in_shards(teacher, data, progress=False)
    assert not (home / "cache" / "embeddings").exists()
    assert same(embeddings, teacher.embed_dataset(data, progress=False)) and left(home) == []


class Threads:
    """A cluster of threads. Of the first pieces of work, ``losses`` are lost."""

    def __init__(self):
        self.losses, self.made, self.work = 0, [], []

    def __call__(self, workers, scheduler):
        assert scheduler == "tcp://cluster"
        pool, submit = ThreadPoolExecutor(2), ThreadPoolExecutor.submit
        pool.submit = lambda *work: submit(pool, self.run, *work)
        return pool

    def run(self, function, file, *rest):
        if self.losses:
            self.losses -= 1
            raise LostWorker("killed")
        function(file, *rest)
        self.made.append(file.name)
        self.work.append(rest)


@pytest.fixture
def cluster(monkeypatch):
    threads = Threads()
    monkeypatch.setattr("dcmq.core.executors.open_executor", threads)
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://cluster")
    return threads


@pytest.mark.parametrize("kind", ["file", "view", "memory"])
def test_workers_embed_the_same_from_the_file_of_the_images(home, cluster, kind, capsys):
    data, teacher = scenes(), resolve_teacher("clip", "scenes")
    expected = teacher.embed_dataset(data, progress=False)
    images, cluster.losses = np.asanyarray(data.images), 2
    changed = replace(data, images={"file": images, "view": images[::-1][::-1], "memory": np.array(images)}[kind])
    made = embed_in_shards(resolve_teacher("clip", "scenes"), changed)
    assert same(made, expected) and len(cluster.made) == 5 and left(home) == []
    where = {rest[1] for rest in cluster.work}
    assert len(where) == 1 and (where == {Path(images.filename)}) == (kind == "file")
    assert capsys.readouterr().err.count("its process was killed") == 2


def test_a_teacher_of_ones_own_is_not_sent_to_a_cluster(dataset, cluster):
    embed_in_shards(Projection(), dataset, progress=False)
    assert cluster.made == []


@pytest.mark.parametrize(
    "fault, message",
    [
        ("weights", "teacher clip: a worker of the cluster finds other weights or code"),
        ("images", "a worker of the cluster finds other images in .*images.npy: it must see the same folder"),
        ("folder", "a worker of the cluster cannot read .*images.npy .*: it must see that folder"),
    ],
)
def test_a_worker_that_would_embed_something_else_refuses_in_one_line(home, cluster, monkeypatch, fault, message):
    data = scenes()
    data = replace(data, images=np.asanyarray(data.images))
    file = Path(data.images.filename)
    if fault == "weights":
        monkeypatch.setattr(teacher_shards, "_teacher", lambda name, dataset: resolve_teacher("clip-wide", "scenes"))
    elif fault == "folder":
        monkeypatch.setattr(teacher_shards, "_file_of", lambda *_: file.with_name("gone") / "images.npy")
    else:
        other = file.with_name("other") / "images.npy"
        other.parent.mkdir()
        np.save(other, data.images[::-1])
        monkeypatch.setattr(teacher_shards, "_file_of", lambda *_: other)
    with pytest.raises(DcmqError, match=message):
        embed_in_shards(resolve_teacher("clip", "scenes"), data, progress=False)


def test_a_shard_that_comes_damaged_is_named_and_embedded_here(home, cluster, monkeypatch, capsys):
    data, teacher = scenes(), resolve_teacher("clip", "scenes")
    embed_shard = teacher_shards._embed_shard

    def damaging(file, *rest):
        embed_shard(file, *rest)
        if file.name.startswith("0-"):
            file.write_bytes(file.read_bytes()[:-1] + b"?")

    monkeypatch.setattr(teacher_shards, "_embed_shard", damaging)
    made = embed_in_shards(teacher, replace(data, images=np.asanyarray(data.images)), progress=False)
    assert same(made, teacher.embed_dataset(data, progress=False))
    assert "0-120.safetensors is damaged: its images are embedded again" in capsys.readouterr().err


EMBED = """
import hashlib, os, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from dcmq.data.datasets import load_dataset
from dcmq.experiments import teacher_shards
from dcmq.teachers.registry import resolve_teacher

teacher_shards._SHARD = 1

if __name__ == "__main__":
    how, data = sys.argv[1], load_dataset("scenes", query=100, train=100, gallery=1900)
    data, teacher = replace(data, images=np.asanyarray(data.images)), resolve_teacher("clip", "scenes")
    if how == "cluster":
        from distributed import LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        Path(os.environ["DCMQ_HOME"], "begun").touch()
        os.environ["DCMQ_SCHEDULER"] = cluster.scheduler_address
    if how == "teacher":
        image, text = teacher.embed_dataset(data)
    else:
        made = teacher_shards.embed_in_shards(teacher, data)
        image, text = made.image, made.text
    print(hashlib.sha256(image.numpy()).hexdigest(), hashlib.sha256(text.numpy()).hexdigest())
"""
phase = kills.by_files(
    drawing="cache/scenes/*", embedding="cache/embeddings/*.shards/*", embedded="cache/embeddings/*.safetensors"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Undisturbed embedding, by this machine or a cluster: the words of the program, its folder, its end."""
    root, made = tmp_path_factory.mktemp("whole"), {}
    (root / "embed.py").write_text(EMBED)

    def get(how):
        if how not in made:
            made[how] = [root / "embed.py", how], root / how, kills.undisturbed([root / "embed.py", how], root / how)
        return made[how]

    return get


@pytest.mark.slow
def test_embedding_that_was_killed_goes_on_and_no_bit_is_another(whole, tmp_path):
    words, folder, done = whole("here")
    assert done.out == whole("teacher")[2].out
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        kills.killed(words, home, kills.EVERYONE, seed, done, phase)
        again = kills.undisturbed(words, home)
        assert again.out == done.out and "damaged" not in again.err
        kills.assert_same(home, folder)


@pytest.mark.slow
def test_a_cluster_embeds_the_same_also_where_a_worker_is_killed(whole, tmp_path):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    words, folder, done = whole("cluster")
    assert done.out == whole("teacher")[2].out
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        killed = kills.killed(words, home, kills.WORKER, seed, done, phase)
        assert (killed.code, killed.out) == (0, done.out), killed.err[-3000:]
        kills.assert_same(home, folder)

"""Whatever lies on disk, with a byte flipped or its end cut off: what is read is as it was, or made again as it was, or refused in
a line that names the file. Nothing else happens, and nothing that was damaged is written as if it were whole.

``DCMQ_FLIPS`` says how many bytes are flipped, over all files; a fifth as many files are cut.
"""

import errno
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import miniature
import numpy as np
import pytest
import torch
from PIL import Image
from tiny import config, tiny_dataset

from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.data import decode
from dcmq.data.datasets import load_dataset
from dcmq.data.scenes.load import load_scenes
from dcmq.experiments import runs
from dcmq.experiments.run_files import CHECKPOINT, INPUTS, RECORD
from dcmq.experiments.run_list import read_record
from dcmq.networks.inputs import resized_images
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent
from dcmq.search.runs import model_of
from dcmq.teachers.embeddings import kept

pytestmark = pytest.mark.slow
FLIPS = int(os.environ.get("DCMQ_FLIPS", "500"))


@dataclass(frozen=True)
class Kind:
    """Files in ``folder`` that match ``pattern``, and ``read``, which returns a digest of all that is in them."""

    name: str
    folder: Path
    pattern: str
    read: Callable[[], str]


def state(student: PretrainedStudent) -> str:
    weights = student.student.state_dict()
    facts = (
        student.config.model_dump(mode="json"),
        student.vocabulary,
        student.dataset_image_size,
        student.word_pattern,
    )
    return digest(*facts, sorted(weights), *(weights[name] for name in sorted(weights)))


def contents(data) -> str:
    texts = [list(map(list, data.captions)), list(map(list, data.tags)), list(data.vocabulary), list(data.classes)]
    arrays = (
        data.labels,
        data.train_labels,
        np.array(data.images),
        data.bow.toarray(),
        np.array(list(map(str, data.ids))),
    )
    return digest(data.name, data.fingerprint, data.choices, data.split.hash, *texts, *arrays)


def searched(folder: Path) -> str:
    collection = Collection(folder)
    hits = [
        [(hit.id, hit.score, hit.duplicates) for hit in collection.search(kind, text="red blue", k=6, fold=fold)]
        for kind in ("images", "texts")
        for fold in (False, True)
    ]
    listing = collection.image_listing()
    files = (listing.ids.tolist(), listing.size.tolist(), listing.time.tolist(), listing.place.tolist())
    return digest(str(hits), str(files), str(collection.source), str(collection.root))


def index_of(path: Path, queries: torch.Tensor) -> str:
    index = CodeIndex.load(path)
    results = [index.search(queries, 7, engine, 2) for engine in ("exact", "lists")]
    found = [[result.scores.tolist(), result.ids.tolist()] for result in results]
    return digest(found, index.ids.tolist(), index.codes, index.lists, index.centroids, index.codebooks)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    home = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCMQ_HOME", str(home))
        patch.delenv("DCMQ_PUBLISHED", raising=False)
        yield list(made(home))


def made(home: Path):
    dataset, teacher = tiny_dataset()
    dataset, settings = replace(dataset, vocabulary=("red", "green", "blue")), config(epochs=1)
    record = runs.run(settings, dataset, teacher, r=10)
    run = runs.run_folder(settings, record["key"])

    def result() -> str:
        found = runs.run(settings, dataset, teacher, r=10)
        evaluation = {name: value for name, value in found["evaluation"].items() if name != "seconds"}
        return digest(evaluation, found["losses"], found["key"], found["config"])

    yield Kind("a record that the next run wants", run, RECORD, result)
    yield Kind("a record that is listed", run, RECORD, lambda: digest(read_record(run)))
    yield Kind("a checkpoint", run, CHECKPOINT, lambda: state(model_of(run)))
    yield Kind("inputs of a run", run, INPUTS, lambda: state(model_of(run)))

    model_of(run).save(home / "student" / "model.safetensors")
    yield Kind("a student", home / "student", "*", lambda: state(PretrainedStudent.from_pretrained(home / "student")))

    own = miniature.folder(home / "own")
    miniature.prepared("folder", own)
    prepared = own / "prepared" / "folder"
    yield Kind("a prepared set", prepared, "*", lambda: contents(load_dataset("folder", str(own))))
    yield Kind("its split", prepared, "splits/*.json", lambda: contents(load_dataset("folder", str(own))))
    images = load_dataset("folder", str(own)).images

    def resized() -> str:
        return digest(np.array(resized_images(images, 4)))

    resized()
    yield Kind("resized images", prepared, "images-*", resized)

    files = sorted((own / "bilder").glob("*.jpg"))
    (own / "bilder" / "broken.jpg").write_bytes(b"")
    files.insert(3, own / "bilder" / "broken.jpg")

    def decoded() -> str:
        pixels, broken = decode.decoded(home / "decoded", "key", files, 8, "data")
        return digest(np.array(pixels), sorted(broken.items()))

    decoded()
    yield Kind("decoded images", home / "decoded", "*", decoded)

    def scenes() -> str:
        return contents(load_scenes(query=4, train=8, gallery=16))

    scenes()
    yield Kind("drawn images", home / "cache" / "scenes", "*", scenes)
    yield Kind("a drawn split", home / "cache" / "splits", "*", scenes)

    def embeddings() -> str:
        vectors = kept("key", lambda: {"image": torch.eye(9, 4)}, "teacher", {"dataset": "data"})
        return digest(vectors["image"])

    embeddings()
    yield Kind("embeddings", home / "cache" / "embeddings", "*", embeddings)

    photos, random_pixels = home / "photos", np.random.default_rng(0)
    photos.mkdir()
    for number in range(12):
        pixels = random_pixels.integers(0, 256, (18, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(photos / f"photo {number}.png")
    collection = Collection.create(home / "collection", model_of(run))
    collection.update_images(photos)
    collection.add_texts([f"red or {color}, number {i}" for i, color in enumerate(("red", "green", "blue") * 4)])
    yield Kind("a collection", home / "collection", "*", lambda: searched(home / "collection"))

    draw = torch.Generator().manual_seed(0)
    index, queries = CodeIndex(torch.randn(8, 16, 4, generator=draw)), torch.randn(3, 32, generator=draw)
    codes = random_pixels.integers(0, 256, (3000, 4)).astype(np.uint8)
    for name, ids in (("texts", [f"text {i}" for i in range(3000)]), ("numbers", np.arange(3000))):
        part = CodeIndex(index.codebooks)
        part.add(codes, ids)
        part.cluster(9)
        path = home / "indexes" / name
        part.save(path)
        yield Kind(f"an index of {name}", path.parent, name, lambda path=path: index_of(path, queries))


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def restore(folder: Path, files: dict[Path, bytes]) -> None:
    for file, content in snapshot(folder).items():
        if file not in files:
            file.unlink()
        elif content != files[file]:
            file.write_bytes(files[file])
    for file in files.keys() - snapshot(folder).keys():
        file.write_bytes(files[file])


def files_of(kind: Kind) -> list[Path]:
    found = [file for file in sorted(kind.folder.glob(kind.pattern)) if file.is_file()]
    return [file for file in found if not file.name.startswith(".") and file.suffix != ".lock"]


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    # Half of them near the beginning, where headers are, which are short beside what they describe.
    place = rng.randrange(min(len(content), 600) if rng.random() < 0.5 else len(content))
    changed[place] ^= rng.randrange(1, 256)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def damages(kinds: list[Kind]) -> list[tuple[Kind, Path, Callable]]:
    """Every file in turn, whatever its size."""
    every = [(kind, file) for kind in kinds for file in files_of(kind)]
    return [
        (*every[number % len(every)], damage)
        for damage, times in ((flipped, FLIPS), (cut, FLIPS // 5))
        for number in range(times)
    ]


def test_damage_is_made_good_or_named_in_a_line_and_never_believed(kinds, capsys):
    wanted = {kind.name: kind.read() for kind in kinds}
    files = {kind.folder: snapshot(kind.folder) for kind in kinds}
    wrong, outcomes = [], {"as it was": 0, "refused": 0}
    for seed, (kind, file, damage) in enumerate(damages(kinds)):
        file.write_bytes(damage(files[kind.folder][file], random.Random(seed)))
        try:
            same = kind.read() == wanted[kind.name]
            outcomes["as it was"] += 1
            if not same:
                wrong.append(f"{kind.name}: {file.name}, {damage.__name__} {seed}: another result")
        except DcmqError as error:
            outcomes["refused"] += 1
            if "\n" in str(error) or file.name.split(".")[0] not in str(error):
                wrong.append(f"{kind.name}: {file.name}, {damage.__name__} {seed}: {error}")
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what must not be)
            wrong.append(f"{kind.name}: {file.name}, {damage.__name__} {seed}: {type(error).__name__}: {error}")
        restore(kind.folder, files[kind.folder])
    capsys.readouterr()  # lines that say what is made again
    assert wrong == [] and min(outcomes.values()) > 0, outcomes
    assert {kind.name: kind.read() for kind in kinds} == wanted


def test_a_record_that_was_edited_is_set_aside_and_measured_anew(kinds, capsys):
    kind = kinds[0]
    files, wanted = snapshot(kind.folder), kind.read()
    path = kind.folder / RECORD
    edited = json.loads(path.read_text())
    edited["evaluation"]["i2t"]["gallery"]["mAP@all"] = 0.999
    for content in (json.dumps(edited).encode(), b"", b"{}\x00", b"\xff\xfe", b"[" * 100_000, b"[]", b"{}"):
        path.write_bytes(content)
        assert kind.read() == wanted and path.with_name("record.json.damaged").read_bytes() == content
        said = capsys.readouterr().err
        assert "record.json" in said and "set aside as record.json.damaged" in said
        restore(kind.folder, files)


def test_what_is_finished_is_read_where_nothing_can_be_written(kinds, monkeypatch):
    """As from a read-only disk, which refuses root too: no lock is asked for, and nothing is written."""
    wanted = {kind.name: kind.read() for kind in kinds}

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    opened, writing = os.open, os.O_WRONLY | os.O_RDWR | os.O_CREAT
    monkeypatch.setattr(
        os,
        "open",
        lambda file, flags, *rest, **more: (read_only if flags & writing else opened)(file, flags, *rest, **more),
    )
    for name in ("replace", "unlink", "rename"):
        monkeypatch.setattr(os, name, read_only)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert {kind.name: kind.read() for kind in kinds} == wanted

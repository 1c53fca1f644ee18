"""Rankers score as the package does: students by codes, teachers by cosines, collections as their own search."""

import numpy as np
import pytest
import torch
from benches import random_student
from finished_run import CONFIG, VOCABULARY
from PIL import Image
from tiny import several_labels, tiny_dataset
from torch.nn import functional as F

from dcmq.codes.assign import assign, lookup_tables
from dcmq.config import MethodConfig
from dcmq.core.errors import DcmqError
from dcmq.data.words import LETTERS
from dcmq.explore.bench import Bench
from dcmq.explore.items import items_of_collection
from dcmq.explore.rankers import ranker_of_collection, ranker_of_run, ranker_of_teacher
from dcmq.explore.search import query_ranking
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent

ROWS = np.array([5, 2, 80])


def test_a_student_sums_the_cosines_that_codes_point_to():
    student = random_student()
    query = student.embedding("texts", 3)
    scores = student.scorer("images", ROWS)(query)[0]
    table, codes = lookup_tables(query, student.codebooks)[0], assign(student.embeddings["images"], student.codebooks)
    expected = [sum(float(table[m, codes[row, m]]) for m in range(4)) for row in ROWS]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)
    assert student.scale == 4 and abs(scores / student.scale).max() <= 1


def test_a_teacher_scores_by_the_cosine():
    data, embeddings = several_labels()
    teacher = ranker_of_teacher(embeddings, data)
    scores = teacher.scorer("texts", ROWS)(3 * teacher.embedding("images", 1))[0]
    expected = [float(F.cosine_similarity(embeddings.image[1], embeddings.text[row], dim=0)) for row in ROWS]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)
    assert teacher.scale == 1
    with pytest.raises(DcmqError, match="teacher tiny has no codes"):
        _ = teacher.codes


def test_a_teacher_of_embeddings_alone_reads_no_other_words():
    data, embeddings = tiny_dataset()
    with pytest.raises(DcmqError, match="teacher tiny is known by its embeddings alone"):
        ranker_of_teacher(embeddings, data).read("red")


def test_only_students_of_dcmq_on_the_same_words_are_explored(tmp_path):
    data, embeddings = tiny_dataset()
    other = MethodConfig(method="DCMH")
    with pytest.raises(DcmqError, match="a: only students of DCMQ can be explored, not a run of DCMH"):
        ranker_of_run("a", other, data, embeddings)
    with pytest.raises(DcmqError, match="is neither a finished run"):
        ranker_of_run("a", tmp_path, data, embeddings)


@pytest.fixture
def collection(tmp_path):
    """Five images and two texts, with a student that nobody trained."""
    root, rng = tmp_path / "images", np.random.default_rng(0)
    root.mkdir()
    for name in "abcde":
        Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(root / f"{name}.png")
    model = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    collection = Collection.create(tmp_path / "mine", model)
    collection.update_images(root)
    collection.add_texts(["red boat", "blue sea"])
    return collection


def test_a_collection_is_ranked_as_its_own_search_does(collection):
    bench = Bench(items_of_collection(collection), [ranker_of_collection(collection)])
    for gallery in ("images", "texts"):
        bench.set("gallery", gallery)
        bench.set("query", {"kind": "words", "text": "red sea"})
        hits = collection.search(gallery, text="red sea", k=len(bench.items.gallery(gallery)))
        ranking = query_ranking(bench, bench.rankers["student"])
        assert ranking.scores.tolist() == pytest.approx([hit.score for hit in hits], abs=1e-6)
        assert set(bench.items.ids[ranking.rows]) == {hit.id for hit in hits}


def test_an_image_of_a_collection_asks_uncompressed_and_does_not_find_itself(collection):
    bench = Bench(items_of_collection(collection), [ranker_of_collection(collection)])
    bench.set("query", {"kind": "image", "row": 2})
    ranking = query_ranking(bench, bench.rankers["student"])
    hits = collection.search("images", image=collection.root / "c.png", k=5)
    assert sorted(ranking.rows.tolist()) == [0, 1, 3, 4]
    expected = {hit.id: hit.score for hit in hits}
    for row, score in zip(ranking.rows, ranking.scores, strict=True):
        assert score == pytest.approx(expected[bench.items.ids[row]], abs=1e-6)
    (collection.root / "c.png").unlink()
    with pytest.raises(DcmqError, match="c.png is gone or no image"):
        query_ranking(bench, bench.rankers["student"])


def test_the_codes_of_a_collection_are_those_that_it_stores(collection):
    ranker, indexes = ranker_of_collection(collection), [collection.load_index(k) for k in ("images", "texts")]
    stored = [np.unpackbits(index.codes, axis=1).reshape(-1, 8, 4) @ (8, 4, 2, 1) for index in indexes]
    assert ranker.codes["images"][:5].tolist() == stored[0].tolist()
    assert ranker.codes["texts"][5:].tolist() == stored[1].tolist()
    assert not ranker.embeddings["images"][5:].any() and not ranker.embeddings["texts"][:5].any()


def test_codes_are_the_same_however_many_items_are_taken_at_a_time(monkeypatch):
    student = random_student()
    monkeypatch.setattr("dcmq.explore.rankers._CHUNK", 7)
    assert torch.equal(student.codes["texts"], assign(student.embeddings["texts"], student.codebooks))


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_a_collection_of_one_kind_alone_is_ranked(collection, kind, tmp_path):
    alone = Collection.create(tmp_path / "alone", collection.model)
    alone.save_index(kind, collection.load_index(kind))
    ranker, other = ranker_of_collection(alone), "texts" if kind == "images" else "images"
    both, rows = ranker_of_collection(collection), slice(0, 5) if kind == "images" else slice(5, 7)
    assert ranker.embeddings[kind].tolist() == both.embeddings[kind][rows].tolist()
    assert ranker.embeddings[kind].shape == ranker.embeddings[other].shape and not ranker.embeddings[other].any()

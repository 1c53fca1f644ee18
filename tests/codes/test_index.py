"""The index: every engine against sums worked by hand, round trips, growth, and files that are not what they seem."""

import json
import re
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.nn import functional as F

import dcmq.codes.faiss_engines as faiss_engines
from dcmq.codes import export
from dcmq.codes.assign import lookup_tables
from dcmq.codes.candidates import candidate_scores
from dcmq.codes.engines import ENGINES, Engine, Gallery, Queries, register_engine
from dcmq.codes.export import export_index
from dcmq.codes.ids import new_ids
from dcmq.codes.index import CodeIndex
from dcmq.codes.pack import pack, unpack
from dcmq.codes.quantize import quantize
from dcmq.codes.ranking import equal_scores, first_k, ranking_keys, scores_and_positions
from dcmq.codes.score import scores
from dcmq.core import storage
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors

SHAPES = [(16, 16), (7, 16), (8, 256), (5, 32), (3, 2), (4, 16), (32, 16)]  # M odd, K not 16, 16 to 128 bits
each_shape = pytest.mark.parametrize(("num_codebooks", "num_codewords"), SHAPES)


def needs_faiss():
    return pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")


def gallery(num_codebooks=16, num_codewords=16, n=3000, q=9, seed=0):
    """Codebooks, the indices of n items, and q queries; a tenth of the items are copies of others, so there are ties."""
    draw = torch.Generator().manual_seed(seed)
    codebooks = torch.randn(num_codebooks, num_codewords, 6, generator=draw)
    indices = torch.randint(0, num_codewords, (n, num_codebooks), generator=draw)
    indices[n - n // 10 :] = indices[: n // 10]
    return codebooks, indices, torch.randn(q, num_codebooks * 6, generator=draw)


def make_index(num_codebooks=16, num_codewords=16, n=3000, **options):
    codebooks, indices, queries = gallery(num_codebooks, num_codewords, n, **options)
    index = CodeIndex(codebooks)
    index.add(pack(indices, num_codewords), [f"item {i}" for i in range(n)])
    return index, indices, queries


def whole_gallery(index):
    return Gallery(index.codebooks, index.codes, index.centroids, index.lists, index.nlist)


def queries_of(index, embeddings):
    return Queries.from_embeddings(embeddings.numpy(), F.normalize(index.codebooks, dim=2).numpy())


# ---- ranking and engines


def test_keys_rank_by_score_then_position_and_give_both_back():
    scores = np.array([[0.5, -0.0, -2.0, 0.5, 0.0, 1e-20]], np.float32)
    keys = ranking_keys(scores, np.arange(6))
    best = first_k(keys, 6)
    ranked_scores, positions = scores_and_positions(best)
    assert positions.tolist() == [[0, 3, 5, 1, 4, 2]]
    np.testing.assert_array_equal(ranked_scores, scores[:, positions[0]])
    assert equal_scores(best[0]).tolist() == [True, False, False, True, False]
    assert scores_and_positions(first_k(keys, 2))[1].tolist() == [[0, 3]]


@each_shape
def test_the_reference_is_a_loop_over_items_and_codebooks(num_codebooks, num_codewords):
    index, indices, queries = make_index(num_codebooks, num_codewords, 200, q=3)
    codebooks = index.codebooks
    ranking = ENGINES["exact"](whole_gallery(index)).search(queries_of(index, queries), 20)
    for query, row in zip(queries, ranking, strict=True):
        parts = query.view(num_codebooks, -1)
        total = [
            sum(F.cosine_similarity(parts[m], codebooks[m, item[m]], dim=0).item() for m in range(num_codebooks))
            for item in indices
        ]
        score, position = (part[0] for part in scores_and_positions(row[None]))
        np.testing.assert_allclose(score, [total[i] for i in position], atol=1e-5)
        np.testing.assert_allclose(score, sorted(total, reverse=True)[:20], atol=1e-5)
        neighbours = zip(score, score[1:], position, position[1:], strict=False)
        assert all(a > b or (a == b and i < j) for a, b, i, j in neighbours)


@each_shape
@pytest.mark.parametrize(("q", "c"), [(1, 1), (1, 164), (9, 50), (300, 70)])
def test_candidates_score_as_the_whole_gallery_does_to_the_bit(num_codebooks, num_codewords, q, c):
    codebooks, indices, queries = gallery(num_codebooks, num_codewords, q=q)
    tables = lookup_tables(queries, codebooks)
    positions = torch.randint(0, len(indices), (q, c), generator=torch.Generator().manual_seed(1))
    found = candidate_scores(tables.numpy(), pack(indices, num_codewords), positions.numpy())
    assert torch.equal(torch.from_numpy(found), scores(tables, indices).gather(1, positions))


@each_shape
@pytest.mark.parametrize("k", [1, 10, 100])
def test_faiss_ranks_exactly_as_the_reference(num_codebooks, num_codewords, k):
    needs_faiss()
    index, _, queries = make_index(num_codebooks, num_codewords)
    exact, fast = index.search(queries, k, "exact"), index.search(queries, k, "faiss")
    np.testing.assert_array_equal(exact.ids, fast.ids)
    np.testing.assert_array_equal(exact.scores, fast.scores)


def test_faiss_asks_for_more_until_nothing_can_be_missing(monkeypatch):
    """A gallery in which all scores lie within the fast scan's rounding: the first candidates cannot settle it."""
    needs_faiss()
    draw = torch.Generator().manual_seed(0)
    codebooks = F.normalize(
        torch.randn(16, 1, 6, generator=draw) + 1e-3 * torch.randn(16, 16, 6, generator=draw), dim=2
    )
    codebooks[0, 0] *= -1  # one table spans 2, so that steps are coarse for all
    indices = torch.randint(1, 16, (20_000, 16), generator=draw)
    index = CodeIndex(codebooks)
    index.add(pack(indices), np.arange(20_000))
    engine = ENGINES["faiss"](whole_gallery(index))
    queries = queries_of(index, codebooks[:, 1].flatten()[None])
    assert not engine._best_candidates(queries, 10, 74)[1].any()
    np.testing.assert_array_equal(engine.search(queries, 10), engine.exact.search(queries, 10))


@each_shape
def test_faiss_packs_codes_as_ours_unpack(num_codebooks, num_codewords):
    faiss = needs_faiss()
    codebooks, indices, _ = gallery(num_codebooks, num_codewords, 50)
    packed = pack(indices, num_codewords)
    product = faiss_engines.product_index(codebooks, packed)
    restored = product.reconstruct_n(0, 50)
    np.testing.assert_allclose(restored, faiss_engines.reconstruct(codebooks, packed), atol=1e-6)
    np.testing.assert_array_equal(unpack(packed, num_codebooks, num_codewords), indices)
    assert faiss.vector_to_array(product.codes).reshape(50, -1).shape == packed.shape


@each_shape
def test_all_lists_together_are_exact_and_some_miss_items(num_codebooks, num_codewords):
    needs_faiss()
    index, _, queries = make_index(num_codebooks, num_codewords)
    index.cluster(16)
    exact = index.search(queries, 100, "exact")
    np.testing.assert_array_equal(exact.ids, index.search(queries, 100, nprobe=16).ids)
    some = index.search(queries, 100, "lists", nprobe=4)
    assert (some.scores <= exact.scores).all()
    index.cluster(len(index) // 2)  # lists too small to hold a hundred: the query looks at all
    np.testing.assert_array_equal(exact.ids, index.search(queries, 100, nprobe=1).ids)


def test_a_gallery_in_shards_ranks_as_the_reference_for_one_query_and_for_many(monkeypatch):
    needs_faiss()
    monkeypatch.setattr(faiss_engines, "_SHARD", 500)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    index, _, queries = make_index(n=3001)
    exact = index.search(queries, 20, "exact")
    fast = index.search(queries, 20, "faiss")
    assert len(index._engine("faiss", 0).shards) == 4
    np.testing.assert_array_equal(exact.ids, fast.ids)
    for row in range(len(queries)):
        alone = index.search(queries[row : row + 1], 20, "faiss")
        np.testing.assert_array_equal(alone.ids[0], exact.ids[row])
        np.testing.assert_array_equal(alone.scores[0], exact.scores[row])


@each_shape
@pytest.mark.parametrize("shard", [200, 1 << 18])
def test_engines_grow_with_the_index_and_rank_as_new_ones(monkeypatch, num_codebooks, num_codewords, shard):
    """Items come in portions, with a search after each; codes, ids and rankings are those of an index made at once."""
    needs_faiss()
    monkeypatch.setattr(faiss_engines, "_SHARD", shard)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    codebooks, indices, queries = gallery(num_codebooks, num_codewords, 4000)
    codes, index, engines = pack(indices, num_codewords), CodeIndex(codebooks), []
    index.add(codes[:1000], np.arange(1000))
    index.cluster(8)
    for start, stop in ((1000, 1001), (1001, 1200), (1200, 1450), (1450, 3000), (3000, 4000)):
        index.add(codes[start:stop], np.arange(start, stop))
        whole = CodeIndex(codebooks)
        whole.add(codes[:stop], np.arange(stop))
        np.testing.assert_array_equal(index.codes, whole.codes)
        np.testing.assert_array_equal(index.ids, whole.ids)
        wanted = whole.search(queries, 30, "exact")
        for engine, nprobe in (("exact", 0), ("faiss", 0), ("lists", 8)):
            found = index.search(queries, 30, engine, nprobe)
            np.testing.assert_array_equal(found.ids, wanted.ids)
            np.testing.assert_array_equal(found.scores, wanted.scores)
        engines.append(index._engine("faiss", 0))
    assert len({*map(id, engines)}) < len(engines)  # some grew in place
    index.remove(np.arange(0, 4000, 3))
    left = index.search(queries, 30, "exact")
    np.testing.assert_array_equal(index.search(queries, 30, "faiss").ids, left.ids)


def test_codes_given_out_stay_as_they_were_when_items_are_added():
    codebooks, indices, _ = gallery()
    codes, index = pack(indices), CodeIndex(codebooks)
    given = []
    for start in range(0, 3000, 100):
        index.add(codes[start : start + 100], np.arange(start, start + 100))
        given.append(index.codes)
    codes_then = codes.copy()
    codes[:] = 0  # what was added is a copy
    for number, some in enumerate(given, 1):
        np.testing.assert_array_equal(some, codes_then[: 100 * number])


def test_lists_are_as_many_as_the_wanted_recall_needs_and_the_recall_is_measured(tmp_path):
    needs_faiss()
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 96, generator=draw)
    index = CodeIndex(torch.randn(16, 16, 6, generator=draw))
    items = centres[torch.randint(40, (8000,), generator=draw)] + 0.3 * torch.randn(8000, 96, generator=draw)
    index.add(quantize(items, index.codebooks), np.arange(8000))
    queries = centres[torch.arange(40)] + 0.3 * torch.randn(40, 96, generator=draw)
    found = []
    for recall in (0.5, 0.95, 1.0):
        index.cluster(64, recall=recall, queries=queries)
        lists, exact = index.search(queries, 100).ids, index.search(queries, 100, "exact").ids
        shares = [len(np.intersect1d(a, b)) / 100 for a, b in zip(lists, exact, strict=True)]
        assert index.recall == pytest.approx(np.mean(shares[1::2])) and np.mean(shares[::2]) >= recall
        found.append(index.nprobe)
    assert found == sorted(found) and found[0] < found[-1] <= 64
    index.save(tmp_path / "index")
    again = CodeIndex.load(tmp_path / "index")
    assert (again.nprobe, again.recall) == (index.nprobe, index.recall)
    index.cluster(64)  # without queries, some of the items are asked for
    assert 0 < index.recall <= 1


class WorstFirst(Engine):
    """An engine of a user's own: the exact ranking of the whole gallery, backwards."""

    def __init__(self, gallery):
        self.exact, self.n = ENGINES["exact"](gallery), len(gallery.codes)

    def search(self, queries, k):
        return self.exact.search(queries, self.n)[:, ::-1][:, :k]


def test_an_engine_of_ones_own_is_searched_with_by_its_name(monkeypatch):
    monkeypatch.setattr(ENGINES, "_entries", dict(ENGINES))
    index, _, queries = make_index(n=50)
    register_engine("worst-first")(WorstFirst)
    ranking = index.search(queries, 50, "exact").ids
    np.testing.assert_array_equal(index.search(queries, 50, "worst-first").ids, ranking[:, ::-1])
    with pytest.raises(DcmqError, match="package's own"):
        register_engine("exact")(WorstFirst)


# ---- quantizing


@each_shape
def test_quantized_codewords_are_the_nearest(num_codebooks, num_codewords):
    codebooks, _, items = gallery(num_codebooks, num_codewords)
    codes = unpack(quantize(items, codebooks), num_codebooks, num_codewords)
    for item, row in zip(items, codes, strict=True):
        for m, part in enumerate(item.view(num_codebooks, -1)):
            assert row[m] == F.cosine_similarity(part[None], codebooks[m], dim=1).argmax()
    assert quantize(items[:0], codebooks).shape == (0, CodeIndex(codebooks).code_size)


# ---- growth


def test_a_gallery_grows_in_steps_as_at_once():
    index, indices, queries = make_index()
    packed, steps = pack(indices), CodeIndex(index.codebooks)
    for start in range(0, 3000, 700):
        steps.add(packed[start : start + 700], index.ids[start : start + 700])
        steps.search(queries, 5)
    np.testing.assert_array_equal(steps.search(queries, 50).ids, index.search(queries, 50).ids)
    assert len(steps) == 3000 and steps.ids.tolist() == index.ids.tolist()


@pytest.mark.parametrize("engine", ["exact", "faiss", "lists"])
def test_a_removed_id_never_comes_back(tmp_path, engine):
    if engine != "exact":
        needs_faiss()
    index, indices, queries = make_index()
    if engine == "lists":
        index.cluster(8)
    gone = set(index.search(queries, 30, engine, 8).ids.ravel())
    index.remove(sorted(gone))
    index.save(tmp_path / "index")
    index = CodeIndex.load(tmp_path / "index")
    index.add(pack(indices[:5]), [f"new {i}" for i in range(5)])
    assert not gone & set(index.ids) and len(index) == 3005 - len(gone)
    result = index.search(queries, len(index), engine, 8)
    assert not gone & set(result.ids.ravel())
    rest = [i for i in range(3000) if f"item {i}" not in gone]
    again = CodeIndex(index.codebooks)
    again.add(pack(torch.cat([indices[rest], indices[:5]])), index.ids)
    np.testing.assert_array_equal(result.ids, again.search(queries, len(index), "exact").ids)


def test_ids_are_whole_numbers_or_texts_of_any_script():
    codebooks, indices, queries = gallery(n=4)
    for ids in ([7, -3, 2**40, 0], ["größe 1.jpg", "写真", "a", "b\n"]):
        index = CodeIndex(codebooks)
        index.add(pack(indices), ids)
        assert index.ids.tolist() == ids and set(index.search(queries, 4).ids[0]) == set(ids)


def test_ids_are_given_in_any_form_that_holds_whole_numbers_or_texts(tmp_path):
    codebooks, indices, _ = gallery(n=3)
    texts, numbers = ["a.png", "größe", "c"], [1, 2, 2**63 - 1]
    forms = [
        (pd.Series(texts), texts), (pd.Index(texts), texts), (pd.Series(texts, dtype="string"), texts),
        (np.array(texts, object), texts), (np.array(texts, np.dtypes.StringDType()), texts), (pa.array(texts), texts),
        (pa.chunked_array([texts[:1], texts[1:]]), texts), (tuple(texts), texts), ([Path("a/b"), Path("c"), "d"], ["a/b", "c", "d"]),
        (pd.Series(numbers), numbers), (np.array(numbers, np.uint64), numbers), (np.array(numbers, object), numbers),
        (pd.Series(numbers, dtype="Int64"), numbers), (pa.array(numbers), numbers), (range(3), [0, 1, 2]),
    ]  # fmt: skip
    for form, wanted in forms:
        index = CodeIndex(codebooks)
        index.add(pack(indices), form)
        index.save(tmp_path / "index", overwrite=True)
        for one in (index, CodeIndex.load(tmp_path / "index")):
            assert one.ids.tolist() == wanted and one.positions(form).tolist() == [0, 1, 2]
            one.remove(wanted[1:2])
            assert one.ids.tolist() == [wanted[0], wanted[2]]


@pytest.mark.parametrize(
    "ids",
    [
        np.array([1, 2**63], np.uint64), [1, 2**63], [1, -(2**63) - 1], [1, "a"], [1, None], [1.0, 2.0], [True, False], ["a", ""],
        [b"a", b"b"], np.zeros((2, 1), int), "ab", {"a": 1, "b": 2}, 7, (one for one in "ab"), [1, np.nan], ["a", "\udce9.png"],
        [["a"], ["b"]], np.array([["a"], ["b"]]), np.array(["2020", "2021"], "datetime64[Y]"), pd.Series(["a", None]),
    ],
)  # fmt: skip
def test_other_ids_are_refused_in_a_line_and_nothing_is_added(ids):
    codebooks, indices, _ = gallery(n=2)
    index = CodeIndex(codebooks)
    with pytest.raises(DcmqError) as caught:
        index.add(pack(indices), ids)
    assert len(index) == 0 and "\n" not in str(caught.value)


@given(st.lists(st.lists(st.one_of(st.integers(-50, 50)), max_size=9), max_size=9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_index_knows_its_ids_as_a_dictionary_does(portions, text):
    """Adding in portions, removing and looking up, against a loop."""
    index, known = CodeIndex(torch.randn(4, 16, 2)), []
    for number, portion in enumerate(portions):
        ids = [f"id {i}" for i in portion] if text else portion
        codes = np.full((len(ids), index.code_size), number, np.uint8)
        if number % 3 == 2:
            ids = list(dict.fromkeys(one for one in ids if one in known))
            index.remove(ids)
            known = [one for one in known if one not in ids]
        elif len(set(ids)) < len(ids) or set(ids) & set(known):
            with pytest.raises(DcmqError, match="already or are given twice"):
                index.add(codes, ids)
        else:
            index.add(codes, ids)
            known += ids
        assert index.ids.tolist() == known
    everything = [f"id {i}" for i in range(-50, 51)] if text else list(range(-50, 51))
    wanted = [known.index(one) if one in known else -1 for one in everything]
    assert index.positions(everything).tolist() == wanted


def test_portions_take_the_time_of_all_at_once():
    """Comparisons of work, not of seconds: no number is sorted more often than there are doublings."""
    moved, sort = [], np.argsort
    ids = new_ids(np.arange(4))
    ids.rows_of(np.arange(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "argsort", lambda array, **options: moved.append(len(array)) or sort(array, **options))
        for start in range(4, 4096, 4):
            ids.append(np.arange(start, start + 4))
    assert sum(moved) <= 4096 * 12 and (ids.rows_of(np.arange(4100)) == [*range(4096), *[-1] * 4]).all()


def test_ids_take_the_space_of_their_text(tmp_path):
    codebooks, indices, queries = gallery(n=500)
    texts = [f"text {i}" for i in range(499)] + ["long " * 10_000]
    index = CodeIndex(codebooks)
    index.add(pack(indices), texts)
    index.save(tmp_path / "index")
    assert (tmp_path / "index").stat().st_size < 3 * sum(map(len, texts))
    read = CodeIndex.load(tmp_path / "index")
    assert set(read.search(queries, 500).ids[0].tolist()) == set(texts)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DcmqError, match="one id has 50,000 letters .'long long.*parquet"):
        patch.setattr(export, "_LARGEST_IDS", 10**6)
        export_index(read, tmp_path / "out", with_faiss=False)


def test_arrays_of_numpy_are_searched_too_and_no_query_gives_no_result():
    index, _, queries = make_index(n=50)
    other = CodeIndex(index.codebooks.numpy())
    other.add(index.codes, index.ids)
    wanted = index.search(queries, 3)
    np.testing.assert_array_equal(other.search(queries.numpy(), np.int64(3)).ids, wanted.ids)
    np.testing.assert_array_equal(other.search(queries.double(), 3).scores, wanted.scores)
    np.testing.assert_array_equal(quantize(queries.numpy(), index.codebooks.numpy()), quantize(queries, index.codebooks))
    none = index.search(queries[:0], 3)
    assert none.scores.shape == none.ids.shape == (0, 3)


def test_the_length_of_an_embedding_changes_no_bit():
    index, _, queries = make_index(n=50)
    wanted = index.search(queries, 9)
    for factor in (2.0**100, 2.0**-60, 2.0**1):
        found = index.search(queries * factor, 9)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_array_equal(found.scores, wanted.scores)
        np.testing.assert_array_equal(quantize(queries * factor, index.codebooks), quantize(queries, index.codebooks))
    with pytest.raises(DcmqError, match="item 0 is all zero"):
        quantize(queries[:1] * 0, index.codebooks)


@pytest.mark.parametrize(
    "change",
    [
        dict(nlist=-1), dict(nlist=2.0), dict(nlist=True), dict(nlist="8"), dict(seed=-1), dict(seed=0.5),
        dict(recall=0), dict(recall=1.1), dict(recall=float("nan")), dict(recall="high"), dict(recall=True),
        dict(queries=[]), dict(queries=torch.ones(3, 5)), dict(queries=torch.zeros(3, 96)), dict(queries="boat"),
    ],
)  # fmt: skip
def test_lists_of_odd_numbers_get_one_line_and_change_nothing(change):
    needs_faiss()
    index, _, _ = make_index(n=300)
    with pytest.raises(DcmqError) as caught:
        index.cluster(**change)
    assert "\n" not in str(caught.value) and index.nlist == 0


@pytest.mark.parametrize(
    "codebooks",
    [
        None, "books", {}, [], [[1.0]], np.ones((2, 4)), np.ones((2, 4, 3), int), np.ones((2, 4, 3), bool),
        np.ones((2, 4, 3), complex), np.ones((2, 3, 3)), np.ones((0, 4, 3)), np.ones((2, 4, 0)), np.full((2, 4, 3), np.nan),
        np.full((2, 4, 3), 1e300), torch.ones(2, 4, 3, dtype=torch.int8), pd.DataFrame([[1.0]]), sparse.eye(3),
    ],
)  # fmt: skip
def test_codebooks_that_are_none_get_one_line(codebooks):
    for use in (CodeIndex, lambda given: quantize(torch.ones(1, 6), given)):
        with pytest.raises(DcmqError) as caught:
            use(codebooks)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_every_width_are_read(dtype):
    codebooks, _, queries = gallery(2, 4)
    wanted = quantize(queries.to(dtype).float(), codebooks.to(dtype).float())
    np.testing.assert_array_equal(quantize(queries.to(dtype), codebooks.to(dtype)), wanted)
    np.testing.assert_array_equal(quantize(pd.DataFrame(queries.numpy()), codebooks), quantize(queries, codebooks))


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", [], {}])
def test_what_names_no_file_gets_one_line(path):
    index = make_index(n=5)[0]
    for use in (index.save, CodeIndex.load):
        with pytest.raises(DcmqError) as caught:
            use(path)
        assert "\n" not in str(caught.value)


# ---- files


@each_shape
@pytest.mark.parametrize("nlist", [0, 8])
def test_a_saved_index_is_the_same(tmp_path, num_codebooks, num_codewords, nlist):
    index, _, queries = make_index(num_codebooks, num_codewords)
    if nlist:
        needs_faiss()
        index.cluster(nlist)
    index.save(tmp_path / "index")
    again = CodeIndex.load(tmp_path / "index", verify=True)
    assert again.nlist == nlist
    for part in ("codes", "ids", "codebooks", "centroids", "lists"):
        np.testing.assert_array_equal(getattr(again, part), getattr(index, part))
    np.testing.assert_array_equal(index.search(queries, 20).ids, again.search(queries, 20).ids)


def test_an_empty_index_is_saved_too(tmp_path):
    index = CodeIndex(gallery()[0])
    index.save(tmp_path / "index")
    assert len(CodeIndex.load(tmp_path / "index")) == 0


def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    index, indices, _ = make_index(n=50)
    index.save(tmp_path / "index")
    index.add(pack(indices[:1]), ["one more"])
    monkeypatch.setattr(storage.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(DcmqError, match="cannot write"):
        index.save(tmp_path / "index")
    assert len(CodeIndex.load(tmp_path / "index", verify=True)) == 50
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith("lock")] == ["index"]


def _add_one(path, name):
    index = CodeIndex.load(path)
    index.add(index.codes[:1], [name])
    try:
        index.save(path)
    except DcmqError:
        return ""
    return name


@pytest.mark.slow
def test_of_two_processes_writing_none_undoes_the_other(tmp_path):
    path = tmp_path / "index"
    make_index(n=50)[0].save(path)
    with get_context("spawn").Pool(2) as pool:
        saved = [name for name in pool.starmap(_add_one, [(path, "a"), (path, "b")]) if name]
    index = CodeIndex.load(path, verify=True)
    assert saved and index.ids[50:].tolist() == sorted(saved, key=index.ids.tolist().index)
    assert len(index) == 50 + len(saved)


def test_a_file_that_changed_since_is_not_overwritten(tmp_path):
    path = tmp_path / "index"
    make_index(n=50)[0].save(path)
    mine, theirs = CodeIndex.load(path), CodeIndex.load(path)
    theirs.remove(["item 0"])
    theirs.save(path)
    theirs.remove(["item 1"])
    theirs.save(path)  # one's own file may be written again
    with pytest.raises(DcmqError, match="changed since"):
        mine.save(path)
    assert len(CodeIndex.load(path)) == 48
    mine.save(path, overwrite=True)
    assert len(CodeIndex.load(path)) == 50


def test_files_that_are_no_index_are_refused_by_what_is_wrong(tmp_path):
    path = tmp_path / "index"
    with pytest.raises(DcmqError, match="there is no index"):
        CodeIndex.load(path)
    make_index(n=50)[0].save(path)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[: len(whole) // 2], whole[:20], b"", b"\x80\x04." * 40):
        path.write_bytes(content)
        with pytest.raises(DcmqError, match="no index or was damaged"):
            CodeIndex.load(path)
    path.write_bytes(whole)
    tensors, meta = load_tensors(path)
    for change, message in (
        ({"version": "1"}, "format version 1, this dcmq reads 3: build it anew"),
        ({"format": "other"}, "no index of codes"),
        ({"more": "facts"}, "checksum in its header"),
    ):
        save_tensors(path, tensors, meta | change)
        with pytest.raises(DcmqError, match=message):
            CodeIndex.load(path)
    for change in ({"codes": tensors["codes"][:, :-1]}, {"blocks.codes": tensors["blocks.codes"].int()}):
        save_tensors(path, tensors | change, meta)
        with pytest.raises(DcmqError, match="checksum in its header"):
            CodeIndex.load(path)
    with pytest.raises(DcmqError, match="is a folder"):
        make_index(n=50)[0].save(tmp_path)


def test_a_file_of_the_version_before_is_read_whole(tmp_path):
    """Its ids are of one width, and one checksum is of all."""
    index, _, queries = make_index(n=50)
    ids = np.array([name.encode() for name in index.ids])
    arrays = {"codebooks": index.codebooks, "codes": index.codes, "ids": ids[:, None].view(np.uint8)}
    save_tensors(tmp_path / "index", arrays, {"format": "dcmq index", "version": "2"})
    former = CodeIndex.load(tmp_path / "index")
    assert former.ids.tolist() == index.ids.tolist()
    np.testing.assert_array_equal(former.search(queries, 9).ids, index.search(queries, 9).ids)
    former.save(tmp_path / "index")
    assert CodeIndex.load(tmp_path / "index", verify=True).ids.tolist() == index.ids.tolist()
    save_tensors(tmp_path / "index", arrays, {"format": "dcmq index", "version": "2"})
    flip(tmp_path / "index", -1)
    with pytest.raises(DcmqError, match="does not match its checksum"):
        CodeIndex.load(tmp_path / "index")
    save_tensors(tmp_path / "index", {"codes": index.codes}, {"format": "dcmq index", "version": "2"})
    with pytest.raises(DcmqError, match="has no codebooks, ids"):
        CodeIndex.load(tmp_path / "index")


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("text", [False, True])
def test_damage_is_noticed_by_what_reads_it_and_never_saved_again(tmp_path, text):
    """70,000 items, so that each array has several blocks: the last one of each is damaged in turn."""
    codebooks, indices, queries = gallery(n=70_000)
    index, path = CodeIndex(codebooks), tmp_path / "index"
    index.add(pack(indices), [f"item {i}" for i in range(70_000)] if text else np.arange(70_000))
    index.save(path)
    whole = path.read_bytes()
    wanted = index.search(queries, 1, "exact")
    queries = queries[index.positions(wanted.ids[:, 0]) < 50_000]
    wanted = index.search(queries, 1, "exact")
    for array, value in (("codes", index.codes[-1].tobytes()), ("ids", np.int64(69_999).tobytes()), ("texts", b"item 69999")):
        place = whole.rfind(value)
        if place < 0 or (array == "texts") != text and array != "codes":
            continue
        path.write_bytes(whole)
        flip(path, place)
        damaged = CodeIndex.load(path)
        if array != "codes":  # the ids that are wanted lie in other blocks
            np.testing.assert_array_equal(damaged.search(queries, 1, "exact").ids, wanted.ids)
        with pytest.raises(DcmqError, match=rf"index \({array}\) is damaged from row") as caught:
            damaged.search(queries, 70_000, "exact")
        assert "\n" not in str(caught.value)
        again = CodeIndex.load(path)
        with pytest.raises(DcmqError, match="is damaged"):
            again.add(index.codes[:1], ["new"] if text else [70_000])
            again.save(path)
        with pytest.raises(DcmqError, match="checksum"):
            CodeIndex.load(path, verify=True)


def test_what_a_killed_writer_left_goes_at_the_next_save(tmp_path):
    index = make_index(n=50)[0]
    (tmp_path / ".index.ab12_cd3").write_bytes(b"half")
    (tmp_path / ".other.ab12_cd3").write_bytes(b"of another file")
    index.save(tmp_path / "index")
    assert {path.name for path in tmp_path.iterdir()} == {"index", ".index.lock", ".other.ab12_cd3"}


# ---- bad input


@pytest.mark.parametrize(
    ("codes", "ids", "message"),
    [
        (np.zeros((2, 8), np.int64), [1, 2], "int64"),
        (np.zeros((2, 7), np.uint8), [1, 2], "not uint8 .n, 8."),
        (np.zeros(8, np.uint8), [1], "not uint8"),
        (np.zeros((2, 8), np.uint8), [1], "2 codes and 1 ids"),
        (np.zeros((2, 8), np.uint8), [1, 1], "given twice .first: 1."),
        (np.zeros((2, 8), np.uint8), ["a", "b"], "of the other kind"),
        (np.zeros((2, 8), np.uint8), [10, 3], "already or are given twice .first: 3."),
        (np.zeros((1, 8), np.uint8), [1.5], "1.5 is none of both"),
    ],
)
def test_what_cannot_be_added_leaves_the_index_as_it_was(codes, ids, message):
    codebooks, indices, queries = gallery(n=5)
    index = CodeIndex(codebooks)
    index.add(pack(indices), np.arange(5))
    before = index.search(queries, 5).ids
    with pytest.raises(DcmqError, match=message):
        index.add(codes, ids)
    assert len(index) == 5 and (index.search(queries, 5).ids == before).all()


def test_codes_of_another_m_or_k_are_refused():
    index = CodeIndex(gallery(7)[0])
    with pytest.raises(DcmqError, match="last 4 bits"):
        index.add(np.full((1, 4), 255, np.uint8), [0])
    with pytest.raises(DcmqError, match="outside 0..15"):
        pack(np.full((1, 7), 16))
    with pytest.raises(DcmqError, match="power of two"):
        CodeIndex(torch.randn(4, 10, 6))
    with pytest.raises(DcmqError, match="NaN"):
        CodeIndex(torch.full((4, 16, 6), torch.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(k=0), "the index holds 50 items, and k is 0: it has to be a whole number from 1 to 50"),
        (dict(k=51), "k is 51"),
        (dict(k=2.0), "k is 2.0"),
        (dict(k=True), "k is True"),
        (dict(k="5"), "k is '5'"),
        (dict(nprobe=-1), "nprobe is -1: it has to be a whole number from 0"),
        (dict(nprobe=1.5), "nprobe is 1.5"),
        (dict(nprobe=None), "nprobe is None"),
        (dict(engine=None), "None is not registered"),
        (dict(engine=["faiss"]), "is not registered"),
        (dict(embeddings=None), "not an array of floats"),
        (dict(embeddings={"a": 1}), "dict of objects"),
        (dict(embeddings=pd.DataFrame([["a"] * 96])), "not an array of floats"),
        (dict(embeddings=sparse.random(2, 96, format="csr")), "not an array of floats"),
        (dict(embeddings=np.ones((2, 96), complex)), "complex128"),
        (dict(embeddings=np.ones((2, 96), bool)), "bool"),
        (dict(embeddings=[[1.0], [1.0, 2.0]]), "no array of numbers"),
        (dict(embeddings=[["a"]]), "not float .n, 96."),
        (dict(embeddings=torch.full((2, 96), torch.nan)), "query 0 holds NaN"),
        (dict(embeddings=torch.stack([torch.ones(96), torch.zeros(96)])), "query 1 is all zero"),
        (dict(embeddings=torch.ones(2, 95)), "not float .n, 96."),
        (dict(embeddings=torch.ones(96)), "not float .n, 96."),
        (dict(embeddings=torch.ones(2, 96, dtype=torch.long)), "int64"),
        (dict(engine="fiass"), "'fiass' is not registered; did you mean faiss. .known: exact, faiss, lists"),
        (dict(engine="lists"), "call cluster"),
    ],
)
def test_a_query_that_makes_no_sense_gets_one_line(change, message):
    index, _, queries = make_index(n=50)
    with pytest.raises(DcmqError, match=message) as caught:
        index.search(**(dict(embeddings=queries, k=3) | change))
    assert "\n" not in str(caught.value)


def test_more_refusals():
    codebooks, _, queries = gallery()
    with pytest.raises(DcmqError, match="empty"):
        CodeIndex(codebooks).search(queries, 1)
    with pytest.raises(DcmqError, match="holds NaN"):
        quantize(queries / 0 * 0, codebooks)
    index = make_index(n=50)[0]
    with pytest.raises(DcmqError, match="1 ids are not in the index .first: 'nobody'"):
        index.remove(["item 1", "nobody"])
    with pytest.raises(DcmqError, match="not in the index"):
        index.remove([3])
    assert len(index) == 50
    with pytest.raises(DcmqError, match="nlist is 51: it has to be a whole number from 0 to 50"):
        index.cluster(51)


def test_without_faiss_the_reference_searches_and_the_rest_says_what_to_install(monkeypatch):
    index, _, queries = make_index(n=12_000)
    result = index.search(queries, 5, "exact")
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    np.testing.assert_array_equal(index.search(queries, 5).ids, result.ids)
    with pytest.raises(DcmqError, match="pip install 'dcmq.faiss.'"):
        index.search(queries, 5, "faiss")


# ---- export


@each_shape
@pytest.mark.parametrize("nlist", [0, 8])
def test_exported_files_search_as_the_index_does(tmp_path, num_codebooks, num_codewords, nlist):
    """The README's own code, run on the files, and plain faiss."""
    faiss = needs_faiss()
    index, _, queries = make_index(num_codebooks, num_codewords)
    if nlist:
        index.cluster(nlist)
    folder = export_index(index, tmp_path / "out")
    exact = index.search(queries, 10, "exact")
    readme = (folder / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    plain = next(block for block in code if "unpackbits" in block).replace('f"{name}.npy"', f'f"{folder}/{{name}}.npy"')
    for query, score in zip(queries.numpy(), exact.scores, strict=True):
        variables = {"query": query, "print": lambda ids: None}
        exec(plain, variables)
        np.testing.assert_allclose(np.sort(variables["scores"])[::-1][:10], score, atol=1e-4)
    read = faiss.read_index(str(folder / "index.faiss"))
    if nlist:
        faiss.downcast_index(read.base_index).nprobe = nlist
    normalized = F.normalize(queries.view(len(queries), num_codebooks, -1), dim=2).flatten(1).numpy()
    score, rows = read.search(normalized, 10)
    np.testing.assert_allclose(score, exact.scores, atol=1e-4)
    distinct = np.load(folder / "codes.npy")
    for row, mine in zip(rows, exact.ids, strict=True):  # equal codes may change places
        theirs = [distinct[i].tobytes() for i in row]
        assert (
            theirs == [index.codes[index.ids.tolist().index(name)].tobytes() for name in mine] or len(set(theirs)) < 10
        )
    assert np.load(folder / "ids.npy").tolist() == index.ids.tolist()


def test_an_export_is_whole_or_not_there(tmp_path):
    index = make_index(n=50)[0]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text(json.dumps("mine"))
    with pytest.raises(DcmqError, match="not empty"):
        export_index(index, tmp_path / "full", with_faiss=False)
    with pytest.raises(DcmqError, match="empty; add codes"):
        export_index(CodeIndex(index.codebooks), tmp_path / "new", with_faiss=False)
    with pytest.raises(DcmqError, match="cannot write"):
        export_index(index, tmp_path / "full" / "file" / "new", with_faiss=False)
    export_index(index, tmp_path / "new", with_faiss=False)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "README.md",
        "codebooks.npy",
        "codes.npy",
        "ids.npy",
    ]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


# ---- a large gallery


@pytest.mark.slow
@pytest.mark.parametrize("bits", [16, 32, 64, 128])
def test_a_million_codes_rank_exactly(tmp_path, bits):
    needs_faiss()
    codebooks, indices, queries = gallery(bits // 4, 16, 1_000_000, 20)
    index = CodeIndex(codebooks)
    index.add(pack(indices), np.arange(1_000_000))
    exact, fast = index.search(queries, 100, "exact"), index.search(queries, 100, "faiss")
    np.testing.assert_array_equal(exact.ids, fast.ids)
    np.testing.assert_array_equal(exact.scores, fast.scores)

"""A gallery as a Lance table: Lance searches the student's own codes, by its own codebooks."""

import sys

import numpy as np
import pytest
from galleries import assert_ranks_as, make_index

from dcmq.codes.assign import unit_subvectors
from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.sharing.lance_export import export_lance

K = 50


@pytest.fixture
def lance():
    return pytest.importorskip("lance", reason="lance is not installed: pip install 'dcmq[lance]'")


def nearest(table, queries, num_codebooks, dtype=np.float32, **options):
    """(q, K) ids and scores, as plain Lance finds them."""
    hits = [
        table.to_table(columns=["id", "_distance"], nearest={"column": "decoded", "q": query, "k": K, **options})
        for query in unit_subvectors(queries, num_codebooks).numpy().astype(dtype)
    ]
    return np.array([one["id"].to_pylist() for one in hits]), np.array(
        [1 - one["_distance"].to_numpy() for one in hits]
    )


@pytest.mark.parametrize(("num_codebooks", "num_codewords"), [(16, 16), (32, 16), (2, 16), (8, 256), (3, 256)])
def test_plain_lance_ranks_as_the_index_does(tmp_path, lance, num_codebooks, num_codewords):
    index, queries = make_index(num_codebooks, num_codewords)
    table = lance.dataset(export_lance(index, tmp_path / "all.lance"))
    assert table.schema.names == ["id", "code", "decoded"] and b"dcmq" in table.schema.metadata
    assert table.count_rows() == len(index)
    assert b"".join(table.to_table()["code"].to_pylist()) == index.codes.tobytes()
    (described,) = table.describe_indices()
    assert described.field_names == ["decoded"] and described.num_rows_indexed == len(index)
    by_codes, by_vectors = (
        nearest(table, queries, num_codebooks),
        nearest(table, queries, num_codebooks, use_index=False, metric="dot"),
    )
    assert_ranks_as(index, queries, *by_codes)
    assert_ranks_as(index, queries, *by_vectors)


def test_what_is_searched_are_the_codes(tmp_path, lance):
    """With other codebooks the index finds what they say, whatever the vectors are."""
    index, queries = make_index()
    table = lance.dataset(export_lance(index, tmp_path / "all.lance"))
    table.create_index(
        "decoded",
        "IVF_PQ",
        metric="dot",
        replace=True,
        num_partitions=1,
        num_sub_vectors=16,
        num_bits=4,
        ivf_centroids=np.zeros((1, queries.shape[1]), np.float32),
        pq_codebook=np.random.default_rng(0).normal(size=(16, 16, 6)).astype(np.float32),
    )
    with pytest.raises(AssertionError):
        assert_ranks_as(index, queries, *nearest(lance.dataset(tmp_path / "all.lance"), queries, 16))


def test_half_the_size_costs_a_rounding(tmp_path, lance):
    index, queries = make_index()
    table = lance.dataset(export_lance(index, tmp_path / "half.lance", "float16"))
    assert_ranks_as(index, queries, *nearest(table, queries, 16, np.float16), atol=16 / 1024)


def test_a_gallery_of_one_item_is_searched(tmp_path, lance):
    index, queries = make_index(n=1)
    table = lance.dataset(export_lance(index, tmp_path / "one.lance"))
    assert_ranks_as(index, queries, *nearest(table, queries, 16))


def test_mistakes_are_one_line_and_leave_nothing(tmp_path, monkeypatch):
    index, _ = make_index()
    for shape, message in (((5, 32), "16 or 256 codewords, not 32"), ((7, 16), "even number of codebooks, not 7")):
        with pytest.raises(DcmqError, match=message):
            export_lance(make_index(*shape)[0], tmp_path / "new.lance")
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(DcmqError, match=r"pip install 'dcmq\[lance\]'"):
        export_lance(index, tmp_path / "new.lance")
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_whole_or_not_there(tmp_path, lance):
    index, _ = make_index()
    (tmp_path / "full").mkdir()
    with pytest.raises(DcmqError, match="full is there already"):
        export_lance(index, tmp_path / "full")
    with pytest.raises(DcmqError, match="the index is empty"):
        export_lance(CodeIndex(index.codebooks), tmp_path / "new")

    def gone(ids):
        raise DcmqError("shard.tar was changed while it was read: build again")

    with pytest.raises(DcmqError, match=r"shard.tar was changed while it was read: build again"):
        export_lance(index, tmp_path / "new", thumbnails=gone)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]

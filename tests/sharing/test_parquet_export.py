"""A gallery as parquet: read by pyarrow and numpy alone and by DuckDB, it ranks as the index does."""

import base64
import io
import json
import math
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from finished_run import write_finished_run
from galleries import assert_ranks_as, make_index
from PIL import Image

import dcmq.sharing.gallery_table as gallery_table
from dcmq.codes.assign import unit_subvectors
from dcmq.codes.index import CodeIndex
from dcmq.codes.pack import pack
from dcmq.core.errors import DcmqError
from dcmq.search.collection import Collection
from dcmq.search.runs import model_of
from dcmq.search.thumbnails import SIDE
from dcmq.sharing.parquet_export import export_parquet
from dcmq.sharing.thumbnails import CollectionThumbnails

each_shape = pytest.mark.parametrize(("num_codebooks", "num_codewords"), [(16, 16), (7, 16), (8, 256), (5, 32), (3, 2)])


def test_an_item_is_its_id_its_code_and_its_unit_codewords(tmp_path):
    codebooks = torch.tensor([[[3.0, 4.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, -5.0]]])
    index = CodeIndex(codebooks)
    index.add(pack(np.array([[0, 0], [1, 0], [0, 1]]), 2), ["größe", "b", "c"])
    table = pq.read_table(export_parquet(index, tmp_path / "new" / "few.parquet"))
    assert table.column_names == ["id", "code", "decoded"] and table["id"].to_pylist() == ["größe", "b", "c"]
    assert table["code"].to_pylist() == [b"\x00", b"\x80", b"\x40"]
    np.testing.assert_allclose(table["decoded"].to_pylist(), [[0.6, 0.8, 1, 0], [0, 1, 1, 0], [0.6, 0.8, 0, -1]])
    assert table.schema.field("code").type == pa.binary(1)
    assert table.schema.field("decoded").type == pa.list_(pa.float32(), 4)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["few.parquet"]


@each_shape
def test_the_file_explains_itself_and_ranks_as_the_index_does(tmp_path, num_codebooks, num_codewords):
    index, queries = make_index(num_codebooks, num_codewords)
    table = pq.read_table(export_parquet(index, tmp_path / "all.parquet"))
    told = json.loads(table.schema.metadata[b"dcmq"])
    m, k, d = told["num_codebooks"], told["num_codewords"], told["subvector_dim"]
    assert (m, k, told["bits"], told["format"]) == (num_codebooks, num_codewords, index.bits, 1)
    codebooks = np.frombuffer(base64.b64decode(told["codebooks"]), "<f4").reshape(m, k, d)
    decoded, bits_each = np.stack(table["decoded"].to_numpy()), int(math.log2(k))
    for code, vector in list(zip(table["code"].to_pylist(), decoded, strict=True))[:50]:
        bits = "".join(f"{byte:08b}" for byte in code)
        numbers = [int(bits[i * bits_each : (i + 1) * bits_each], 2) for i in range(m)]
        assert vector.tolist() == [x for i in range(m) for x in codebooks[i, numbers[i]].tolist()]
    scores = unit_subvectors(queries, m).numpy() @ decoded.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    assert_ranks_as(index, queries, table["id"].to_numpy()[order], np.take_along_axis(scores, order, 1))


@each_shape
def test_plain_duckdb_ranks_as_the_index_does(tmp_path, num_codebooks, num_codewords):
    duckdb = pytest.importorskip("duckdb", reason="needs the extra test")
    index, queries = make_index(num_codebooks, num_codewords)
    file = export_parquet(index, tmp_path / "all.parquet")
    for product in (
        "list_dot_product(decoded, $query)",
        "array_inner_product(decoded::FLOAT[{d}], $query::FLOAT[{d}])",
    ):
        sql = f"SELECT id, {product} AS score FROM '{file}' ORDER BY score DESC LIMIT 50"
        hits = [
            duckdb.execute(sql.format(d=queries.shape[1]), {"query": query.tolist()}).fetchall()
            for query in unit_subvectors(queries, num_codebooks)
        ]
        ids, scores = (np.array([[hit[i] for hit in one] for one in hits]) for i in (0, 1))
        assert_ranks_as(index, queries, ids, scores)


def test_half_the_memory_costs_less_than_a_2048th_for_each_codebook(tmp_path):
    index, queries = make_index()
    table = pq.read_table(export_parquet(index, tmp_path / "half.parquet", "float16"))
    assert table.schema.field("decoded").type == pa.list_(pa.float16(), queries.shape[1])
    decoded = np.stack(table["decoded"].to_numpy()).astype(np.float32)
    scores = unit_subvectors(queries, index.num_codebooks).numpy() @ decoded.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    ids, found = table["id"].to_numpy()[order], np.take_along_axis(scores, order, 1)
    assert_ranks_as(index, queries, ids, found, atol=index.num_codebooks / 2048)
    with pytest.raises(AssertionError):
        assert_ranks_as(index, queries, ids, found)


def test_rows_are_written_in_parts_and_numbers_stay_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery_table, "_ROWS", 700)
    index, _ = make_index()
    numbered = CodeIndex(index.codebooks)
    numbered.add(index.codes, np.arange(len(index))[::-1].copy())
    file = pq.ParquetFile(export_parquet(numbered, tmp_path / "numbers.parquet"))
    assert file.num_row_groups == 5 and file.schema_arrow.field("id").type == pa.int64()
    table = file.read()
    assert table["id"].to_pylist() == list(range(len(index)))[::-1]
    assert b"".join(table["code"].to_pylist()) == index.codes.tobytes()


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    index, _ = make_index()
    (tmp_path / "full").write_text("")
    with pytest.raises(DcmqError, match=r"full is there already; choose another name"):
        export_parquet(index, tmp_path / "full")
    with pytest.raises(DcmqError, match="the index is empty"):
        export_parquet(CodeIndex(index.codebooks), tmp_path / "new")
    with pytest.raises(DcmqError, match="cannot write .*new: "):
        export_parquet(index, tmp_path / "full" / "new")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patched,
        pytest.raises(DcmqError, match="cannot write .*new: No space left on device"),
    ):
        patched.setattr(pq.ParquetWriter, "write_batch", no_space)
        export_parquet(index, tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        export_parquet(index, tmp_path / "new", thumbnails=lambda ids: (_ for _ in ()).throw(KeyboardInterrupt))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


# ---- thumbnails


def image_bytes(red, form="PNG", size=(500, 400)):
    content = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(content, form)
    return content.getvalue()


def red_of(thumbnail):
    with Image.open(io.BytesIO(thumbnail)) as image:
        assert image.format == "JPEG" and max(image.size) == SIDE
        return image.getpixel((0, 0))[0]


def write_source(folder, form):
    """90 images that are told apart by their red, in files, a tar or a parquet file; and the source's path."""
    contents = {f"{red}.png": image_bytes(red) for red in range(0, 180, 2)}
    folder.mkdir()
    if form == "files":
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return folder
    if form == "tar":
        with tarfile.open(folder / "all.tar", "w") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    else:
        table = pa.table({"id": list(contents), "image": [{"bytes": content} for content in contents.values()]})
        pq.write_table(table, folder / "all.parquet", row_group_size=40)
    return folder / f"all.{form}"


@pytest.fixture
def collection(home, tmp_path):
    """A function of a source's form to a collection of it."""

    def build(form):
        opened = Collection.create(tmp_path / "c", model_of(write_finished_run(home)))
        opened.update_images(write_source(tmp_path / "images", form))
        return opened

    return build


@pytest.mark.parametrize("form", ["files", "tar", "parquet"])
def test_thumbnails_stand_beside_their_ids_whatever_the_order(tmp_path, collection, form, monkeypatch):
    monkeypatch.setattr(gallery_table, "_ROWS_WITH_THUMBNAILS", 70)
    opened = collection(form)
    index = opened.load_index("images")
    mixed = CodeIndex(index.codebooks)
    order = np.random.default_rng(0).permutation(len(index))
    mixed.add(index.codes[order], index.ids[order])
    made = CollectionThumbnails(opened)
    table = pq.read_table(export_parquet(mixed, tmp_path / "images.parquet", thumbnails=made))
    assert table["id"].to_pylist() == index.ids[order].tolist() and made.missing == 0
    for name, thumbnail in zip(table["id"].to_pylist(), table["thumbnail"].to_pylist(), strict=True):
        assert abs(red_of(thumbnail) - int(name.rsplit("/")[-1].removesuffix(".png"))) <= 1


def test_an_image_that_is_gone_or_broken_has_none(tmp_path, collection):
    opened = collection("files")
    (tmp_path / "images" / "4.png").unlink()
    (tmp_path / "images" / "8.png").write_bytes(b"no image")
    made = CollectionThumbnails(opened)
    table = pq.read_table(export_parquet(opened.load_index("images"), tmp_path / "out.parquet", thumbnails=made))
    none = [
        name
        for name, thumbnail in zip(*map(pa.ChunkedArray.to_pylist, table.columns[::3]), strict=True)
        if not thumbnail
    ]
    assert sorted(none) == ["4.png", "8.png"] and made.missing == 2
    assert made(["nobody.png", "6.png"])[0] is None and made.missing == 3


def test_images_of_a_file_that_was_changed_are_not_taken_for_those_of_before(tmp_path, collection):
    opened = collection("tar")
    with (tmp_path / "images" / "all.tar").open("ab") as file:
        file.write(b"\0" * 512)
    with pytest.raises(DcmqError, match=r"all.tar was changed while it was read: build again"):
        export_parquet(opened.load_index("images"), tmp_path / "out.parquet", thumbnails=CollectionThumbnails(opened))
    assert not (tmp_path / "out.parquet").exists()


def test_images_that_are_no_files_have_no_thumbnails(home, tmp_path):
    opened = Collection.create(tmp_path / "c", model_of(write_finished_run(home)))
    with pytest.raises(DcmqError, match="has no image files, so there are no thumbnails"):
        CollectionThumbnails(opened)

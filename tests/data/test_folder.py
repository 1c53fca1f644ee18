"""A user's own images with a table, as spreadsheets and people write them."""

import unicodedata
from functools import partial

import miniature
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import load_dataset
from dcmq.data.prepare import prepare
from dcmq.data.readers.folder import read_folder

pytestmark = pytest.mark.usefixtures("home")


prepared = partial(miniature.prepared, "folder")


def table(root, **columns):
    """Replace the table of ``root`` by its columns with changes; a column that is None goes."""
    path = root / "table.csv"
    frame = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    for column, values in columns.items():
        frame = frame.drop(columns=column) if values is None else frame.assign(**{column: values})
    frame.to_csv(path, index=False)


def test_a_table_as_a_spreadsheet_writes_it(own):
    data = prepared(own)
    assert data.name == "folder" and data.classes == ("Boot", "café", "dog", "城市")
    assert data.ids.dtype.kind == "i" and len(data.ids) == 30
    assert data.captions[0] == ("Ein schöner Tag, Nummer 0: ночь aaa", "noch ein Satz")
    assert data.labels[0].tolist() == [1, 0, 1, 0]  # the two rows of one image
    assert {"schöner", "ночь"} <= set(data.vocabulary)
    assert data.images.shape == (30, 8, 8, 3) and len(data.split.query) == 3 and len(data.split.train) == 27
    again = load_dataset("folder", str(own))
    assert again.fingerprint == data.fingerprint
    assert load_dataset("folder", str(own), query=4, train=10).fingerprint != data.fingerprint
    with pytest.raises(DcmqError, match="prepared with words=2026, not 5"):
        load_dataset("folder", str(own), words=5)
    with pytest.raises(DcmqError, match="no option 'wrods'"):
        load_dataset("folder", str(own), wrods=5)


def test_parquet_tags_and_given_splits(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig").iloc[:30]
    frame["tags"] = [["rot", "new york"] if i % 2 else ["blau"] for i in range(30)]
    frame["split"] = ["test"] * 5 + ["train"] * 15 + ["database"] * 10
    frame["Labels"] = frame.Labels.str.split(";")
    frame["id"] = [f"p{i}" for i in range(30)]
    (own / "table.csv").unlink()
    frame.drop(columns="Text").to_parquet(own / "table.parquet")
    data = prepared(own)
    assert (
        data.tags[1] == ("rot", "new york")
        and not data.captions
        and set(data.vocabulary) == {"blau", "new", "rot", "york"}
    )
    assert data.split.query.tolist() == list(range(5)) and data.split.train.tolist() == list(range(5, 20))
    assert len(data.split.gallery) == 25 and data.ids[0] == "p0"
    with pytest.raises(DcmqError, match="given with the data"):
        load_dataset("folder", str(own), query=4)


def test_rows_without_label_or_words_are_left_out_and_counted(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    texts, labels = frame.Text.tolist(), frame.Labels.tolist()
    texts[3], labels[4], labels[5] = "7 !", "", " ; "
    table(own, Text=texts, Labels=labels)
    data = prepared(own)
    assert data.choices["dropped"] == {"without label": 2, "without text": 1, "not decodable": 0}
    assert not {3, 4, 5} & set(data.ids.tolist())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (dict(Labels=None), "no column 'labels'.*it has id, Image, Text"),
        (dict(Labels="dog"), "one class only, 'dog'"),
        (dict(Text="1 2 3"), "no row of .* has both"),
        (dict(id=[1, 1, *range(2, 31)]), "id 1 stands at two"),
        (dict(id=["", *range(1, 31)]), "1 of 30 images have no id"),
        (dict(id="1.23E+05"), "id 123000 stands at two"),
        (dict(split="tset"), "split 'tset'"),
        (dict(split="train"), "leaves 0 queries"),
        (dict(Image=""), "line 2 of table.csv names no image"),
    ],
)
def test_tables_that_cannot_be_used(own, columns, words):
    table(own, **columns)
    with pytest.raises(DcmqError, match=words):
        prepared(own)


def test_tables_that_are_none(own, tmp_path):
    with pytest.raises(DcmqError, match="there is no table"):
        prepared(own, table="tabel.csv")
    (own / "b.csv").write_text("x")
    with pytest.raises(DcmqError, match="b.csv, table.csv.*--table"):
        prepared(own)
    with pytest.raises(DcmqError, match="no column 'image'"):
        prepared(own, table="b.csv")
    (own / "b.csv").write_bytes("image,text,labels\nä,ö,ü\n".encode("latin-1"))
    with pytest.raises(DcmqError, match="not UTF-8"):
        prepared(own, table="b.csv")
    (own / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DcmqError, match="is no table"):
        prepared(own, table="b.parquet")
    with pytest.raises(DcmqError, match="folder is not prepared under .*: dcmq data prepare folder --root"):
        load_dataset("folder", str(own))


@pytest.mark.parametrize("written", ["{}.0", "{}.00", "{},0", "{}E+05", "{}e+16"])
def test_ids_as_a_spreadsheet_writes_numbers(own, written):
    table(own, id=[written.format(i % 10) for i in range(31)])
    frame = pd.read_csv(own / "table.csv", dtype=str).iloc[:10]
    frame.to_csv(own / "table.csv", index=False)
    factor = {"E+05": 10**5, "e+16": 10**16}.get(written.removeprefix("{}"), 1)
    assert read_folder(own).ids.tolist() == [i * factor for i in range(10)]


@pytest.mark.parametrize("names", [["1E05", "2E07", "3E01"], ["1.5", "2.5", "3.0"], ["1.23E+01", "1E+01", "2E+01"]])
def test_ids_that_are_no_whole_numbers_stay_names(own, names):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig").iloc[:3].assign(id=names)
    frame.to_csv(own / "table.csv", index=False)
    assert read_folder(own).ids.tolist() == names


def test_one_image_written_in_several_ways_is_one_sample(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    first = frame.Image[0]
    ways = [
        f"./{first}",
        str(own / first),
        f"bilder/../{first}",
        first.replace("/", "\\"),
        unicodedata.normalize("NFD", first),
    ]
    more = pd.DataFrame({"id": "0.0", "Image": ways, "Text": "wieder dasselbe", "Labels": "dog"})
    pd.concat([frame, more]).to_csv(own / "table.csv", index=False)
    source = read_folder(own)
    assert len(source.ids) == 30 and len(source.captions[0]) == 2 + len(ways) and source.files[0].is_file()


def test_sizes_that_cannot_be(own):
    for option in ("query", "train", "words", "image_size"):
        for value in (0, -2):
            with pytest.raises(DcmqError, match=f"folder: {option} is {value}, and must be at least 1"):
                prepared(own, **{option: value})
    table(own, split=["query"] * 5 + ["train"] * 26)
    with pytest.raises(DcmqError, match="split is given with the data"):
        prepared(own, query=3)


def test_accents_may_be_spelt_in_two_ways(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    table(own, Image=[unicodedata.normalize("NFD", name) for name in frame.Image])
    assert len(prepared(own).ids) == 30


def test_queries_without_anything_relevant_are_counted(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    labels = ["lonely", *frame.Labels.tolist()[1:-1], "lonely"]
    table(own, Labels=labels, split=["query"] * 2 + ["train"] * 29)
    about = prepare(read_folder(own), own / "out", image_size=8)
    assert about["counts"]["queries without relevant item"] == 1


def test_an_image_that_is_replaced_is_decoded_again_whatever_its_size(own):
    """Bitmaps of one format and shape have the same number of bytes."""
    file = next(own.rglob("*.jpg"))
    before = prepared(own)
    Image.new("RGB", (20, 20), "red").save(file, "BMP")
    red = prepared(own)
    size = file.stat().st_size
    Image.new("RGB", (20, 20), "blue").save(file, "BMP")
    assert file.stat().st_size == size
    blue = prepared(own)
    (row,) = np.flatnonzero((np.asarray(red.images) != np.asarray(blue.images)).any((1, 2, 3)))
    assert blue.images[row, 0, 0].tolist() == [0, 0, 255]
    assert len({data.fingerprint for data in (before, red, blue)}) == 3

"""A user's own images with a table, as spreadsheets and people write them."""

import unicodedata
from functools import partial

import miniature
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import ReadOptions
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
        (dict(id=[1, 1, *range(2, 30), 1]), "id 1 stands at two"),
        (dict(id=["", *range(1, 30), ""]), "1 of 30 images have no id"),
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
    table(own, split=["query"] * 5 + ["train"] * 25 + ["query"])
    with pytest.raises(DcmqError, match="split is given with the data"):
        prepared(own, query=3)


def test_accents_may_be_spelt_in_two_ways(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    table(own, Image=[unicodedata.normalize("NFD", name) for name in frame.Image])
    assert len(prepared(own).ids) == 30


def test_queries_without_anything_relevant_are_counted(own):
    frame = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig")
    labels = ["lonely", *frame.Labels.tolist()[1:-1], "lonely"]
    table(own, Labels=labels, split=["query"] * 2 + ["train"] * 28 + ["query"])
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


def tabled(root, rows, name="table.csv", columns=("image", "text", "labels")):
    """Replace the table of ``root`` by ``rows`` with names of images that are there."""
    pd.DataFrame(rows, columns=list(columns)).to_csv(root / name, index=False)


A, B, C = (f"bilder/{name}.jpg" for name in ("straße 0", "größe 1", "größe 2"))


def test_labels_in_two_cases_or_two_separators_are_named(own):
    tabled(own, [(A, "ein Hund", "RED"), (B, "ein Boot", "red;round"), (C, "ein Haus", "red,square")])
    with pytest.warns(UserWarning) as caught:
        source = read_folder(own)
    notes = "\n".join(str(warning.message) for warning in caught)
    assert "labels of table.csv are cut at ';', and 1 cells hold ',' too: say --separator ';'" in notes
    assert "classes that look alike are kept apart: RED, red: --fold-case joins them" in notes
    assert source.classes == ("RED", "red", "red,square", "round")


@pytest.mark.filterwarnings("error")
def test_labels_are_cut_and_folded_as_it_is_asked(own):
    tabled(own, [(A, "ein Hund", "RED"), (B, "ein Boot", "red;round"), (C, "ein Haus", "red,square")])
    source = read_folder(own, ReadOptions(separator=";,", fold_case=True))
    assert source.choices == {"table": "table.csv", "separator": ";,", "texts": "captions", "fold_case": True}
    assert source.classes == ("red", "round", "square") and source.labels.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert read_folder(own, ReadOptions(separator="none", fold_case=True)).classes == ("RED", "red,square", "red;round")
    with pytest.raises(DcmqError, match="--separator 'x' would cut"):
        read_folder(own, ReadOptions(separator="x"))


@pytest.mark.filterwarnings("error")
def test_lists_of_labels_and_captions_whatever_wrote_them(own):
    frame = pd.DataFrame(
        {"image": [A, B], "caption": [["a dog", "one, two"], ["a cat"]], "labels": [["sofa, couch", "dog"], ["cat"]]}
    )
    (own / "table.csv").unlink()
    for name, write in (("t.csv", frame.to_csv), ("t.parquet", frame.to_parquet)):
        write(own / name, index=False)
        source = read_folder(own)
        assert source.classes == ("cat", "dog", "sofa, couch")
        assert source.captions == (("a dog", "one, two"), ("a cat",))
        (own / name).unlink()
    tabled(own, [(A, '["so] it begins"', "dog"), (B, "(said)", "['cat'")])
    with pytest.raises(DcmqError, match="line 3 of table.csv has a list that does not end as labels"):
        read_folder(own)
    tabled(own, [(A, '["so] it begins"', "dog"), (B, "(said)", "cat")])
    assert read_folder(own).captions == (('["so] it begins"',), ("(said)",))


def test_columns_that_stand_twice_are_asked_for(own):
    names = ("image", "caption", "text", "labels")
    tabled(own, [(A, "one", "two words", "dog"), (B, "three", "four", "cat")], columns=names)
    with pytest.raises(DcmqError, match="several columns for 'text', caption, text: say which with --text-column, or "):
        read_folder(own)
    assert read_folder(own, ReadOptions(text_column="Caption")).captions == (("one",), ("three",))
    assert read_folder(own, ReadOptions(text_column="text,caption")).captions[0] == ("one", "two words")
    with pytest.raises(DcmqError, match="no column 'texd'; did you mean text"):
        read_folder(own, ReadOptions(text_column="texd"))
    for column in ("label", "path"):
        tabled(own, [(A, "one", "dog", "x")], columns=("image", "text", "labels", column))
        with pytest.raises(DcmqError, match=f"several columns for .*{column}.*: rename those that are not meant"):
            read_folder(own)
    tabled(own, [(A, "one", "rot blau", "dog"), (B, "two", "grau", "cat")], columns=("image", "text", "tags", "labels"))
    with pytest.raises(DcmqError, match="tags and captions"):
        read_folder(own, ReadOptions(text_column="text,tags"))
    assert read_folder(own, ReadOptions(text_column="tags")).tags == (("rot", "blau"), ("grau",))


def test_flickr30ks_own_file_needs_labels_only(own):
    (own / "table.csv").write_text(f"image_name| comment_number| comment\n{A}| 0| A dog .\n")
    with pytest.raises(DcmqError, match="no column 'text' .*it has image_name, comment_number, comment; --text-column"):
        read_folder(own)
    rows = [f"{A}| 0| A dog .| dog", f'{A}| 1| "A | bar" .| dog', f"{B}| 0| Two boats .| boat"]
    (own / "table.csv").write_text("\n".join(["image_name| comment_number| comment| labels", rows[0], rows[2]]))
    source = read_folder(own, ReadOptions(text_column="comment"))
    assert source.captions == (("A dog .",), ("Two boats .",)) and source.classes == ("boat", "dog")


@pytest.mark.parametrize("name", ["val", "valid", "dev", "Validation"])
def test_a_validation_part_is_the_cut_of_train(own, name):
    files = [A, B, C, *(f"bilder/größe {i}.jpg" for i in (4, 5, 7))]
    parts = ["test", "train", name, "train", "database", ""]
    rows = [(f, "ein Hund", "dog" if i % 2 else "cat", part) for i, (f, part) in enumerate(zip(files, parts, strict=True))]
    tabled(own, rows, columns=("image", "text", "labels", "split"))
    split = read_folder(own).split
    assert [part.tolist() for part in (split.query, split.train, split.gallery, split.validation)] == [
        [0],
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [2],
    ]


@pytest.mark.parametrize(
    ("column", "first", "second", "words"),
    [
        ("split", "query", "train", "is in query in line 2 of table.csv and in train in line 4: keep one"),
        ("split", "test", "gallery", "is in query in line 2 .* in gallery in line 4"),
        ("id", "1", "2", "is named 1 in line 2 of table.csv and named 2 in line 4: keep one"),
        ("id", "x", "y", "is named x in line 2 .* named y in line 4"),
    ],
)
def test_rows_of_an_image_that_contradict_each_other_are_named(own, column, first, second, words):
    rows = [(A, "ein Hund", "dog", first), (B, "ein Boot", "cat", first + "0" * (column == "id")), (A, "Hund", "dog", second)]
    tabled(own, rows, columns=("image", "text", "labels", column))
    with pytest.raises(DcmqError, match=f"{A} {words}"):
        read_folder(own)
    rows[2] = (A, "Hund", "dog", "")  # says nothing, contradicts nothing
    tabled(own, rows, columns=("image", "text", "labels", column))
    assert len(read_folder(own).ids) == 2


def test_ids_that_begin_with_a_zero_are_names(own):
    rows = [(A, "ein Hund", "dog", "007"), (B, "ein Boot", "cat", "010")]
    tabled(own, rows, columns=("image", "text", "labels", "id"))
    assert read_folder(own).ids.tolist() == ["007", "010"]


def test_hidden_files_and_lock_files_are_no_tables(own):
    for name in ("._table.csv", ".hidden.tsv", "~$table.csv"):
        (own / name).write_bytes(b"\0\5\x16\7")
    (own / "folder.csv").mkdir()
    assert len(read_folder(own).ids) == 30
    (own / "table.csv").rename(own / "captions.txt")
    with pytest.raises(DcmqError, match=r"\(there: none\); name it with --table, whatever its ending"):
        read_folder(own)
    assert len(read_folder(own, ReadOptions(table="captions.txt")).ids) == 30


def test_names_without_suffix_mean_the_one_image_of_that_name(own):
    tabled(own, [(A.removesuffix(".jpg"), "ein Hund", "dog"), (B, "ein Boot", "cat")])
    assert read_folder(own).files[0] == (own / A).resolve()
    (own / A).with_suffix(".png").write_bytes(b"")
    with pytest.raises(DcmqError, match=r"two images are called so, straße 0.jpg and straße 0.png, .*: write the suffix"):
        read_folder(own)


def test_images_out_of_the_root_are_refused_and_named(own, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9)).save(secret)
    (own / "link.png").symlink_to(secret)
    (own / "linked").symlink_to(tmp_path)
    for name in ("../secret.png", str(secret), "link.png", "linked/secret.png", "bilder/../../secret.png", "..\\secret.png"):
        tabled(own, [(A, "ein Hund", "dog"), (name, "ein Boot", "cat")])
        with pytest.raises(DcmqError, match="1 of 2 images lie outside .* in line 3.*--allow-outside reads them"):
            read_folder(own)
        assert read_folder(own, ReadOptions(allow_outside=True)).files[1].samefile(secret)
    tabled(own, [(str(own / A), "ein Hund", "dog"), (f"bilder/../{B}", "ein Boot", "cat")])
    assert len(read_folder(own).ids) == 2
    elsewhere = tmp_path / "tables"  # named by the user: images beside it are the user's, too
    elsewhere.mkdir()
    Image.new("RGB", (9, 9)).save(elsewhere / "a.png")
    tabled(elsewhere, [("a.png", "ein Hund", "dog"), (str(own / B), "ein Boot", "cat")])
    assert len(read_folder(own, ReadOptions(table=str(elsewhere / "table.csv"))).ids) == 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("x" * 5000 + ".png", "ein Hund", "dog", "1"), "line 2 of table.csv has an image path of 5,004 letters"),
        (("/".join(["x" * 300] * 3), "ein Hund", "dog", "1"), "not on disk"),
        ((A, "ein Hund", "dog", "9" * 5000), "line 2 of table.csv has an id of 5,000 letters"),
        (("~nobody/x.png", "ein Hund", "dog", "1"), "not on disk"),
    ],
)
def test_names_that_no_disk_can_hold_are_one_line(own, row, words):
    tabled(own, [row, (B, "ein Boot", "cat", "2")], columns=("image", "text", "labels", "id"))
    with pytest.raises(DcmqError, match=words):
        prepared(own)
    for table_name in ("x" * 5000, "a\0b", "~nobody/x.csv"):
        with pytest.raises(DcmqError, match="there is no table"):
            read_folder(own, ReadOptions(table=table_name))


def test_a_long_class_name_is_kept_whole(own):
    tabled(own, [(A, "ein Hund", "x" * 5000), (B, "ein Boot", "cat"), (C, "ein Haus", "cat")])
    assert prepared(own, query=1, train=2).classes == ("cat", "x" * 5000)


def test_text_without_spaces_between_words_is_named(own):
    tabled(own, [(A, "สุนัขสีแดง", "dog"), (B, "ein Boot", "cat")])
    with pytest.warns(UserWarning, match="1 of 2 images have Thai in their text, .*put spaces there"):
        read_folder(own)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("[0, 1, 0]", r"line 2 of table.csv has 0, 1, 0 as labels, as all rows have 0 and 1"),
        ("[0. 1.]", "line 2 of table.csv has 0, 1 as labels, as all rows"),
        ("{red;[blue", "line 2 of table.csv has the label '{red', which is part of a list"),
    ],
)
def test_labels_that_are_no_names_are_refused(own, labels, words):
    table(own, Labels=labels)
    with pytest.raises(DcmqError, match=words):
        read_folder(own)


def test_a_separator_that_stands_in_no_cell_is_refused(own):
    with pytest.raises(DcmqError, match="--separator '/' stands in no cell of labels in table.csv; ';' stands in"):
        read_folder(own, ReadOptions(separator="/"))
    table(own, Labels=["red", *["blue"] * 30])
    assert read_folder(own, ReadOptions(separator="/")).classes == ("blue", "red")


@pytest.mark.parametrize("way", ["suffix", "absolute", "symbolic link", "hard link"])
def test_one_file_under_two_names_is_refused(own, tmp_path, way):
    names = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig").Image.tolist()
    first, other = own / names[0], own / names[5]
    if way == "suffix":
        names[5] = names[0].removesuffix(".jpg")
    elif way == "absolute":
        (tmp_path / "link").symlink_to(own)
        names[5] = str(tmp_path / "link" / names[0])
    else:
        other.unlink()
        other.symlink_to(first) if way == "symbolic link" else other.hardlink_to(first)
    table(own, Image=names)
    with pytest.raises(DcmqError, match="in line 2 of table.csv and .* in line 7 are one file"):
        read_folder(own)


def test_each_folder_may_have_its_own_normal_form(own):
    parent = own / unicodedata.normalize("NFC", "fotos é")
    names = pd.read_csv(own / "table.csv", dtype=str, encoding="utf-8-sig").Image.tolist()
    for row, written in ((1, "fotos é/café.png"), (2, "fotos é/thé")):
        file = parent / (unicodedata.normalize("NFD", written.split("/")[1].removesuffix(".png")) + ".png")
        miniature.image(file, written)
        names[row] = unicodedata.normalize("NFC", written)
    table(own, Image=names)
    assert all(file.is_file() for file in read_folder(own).files)

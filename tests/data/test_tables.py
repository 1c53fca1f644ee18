"""Tables as spreadsheets, pandas and people write them, and what is none."""

import csv
import io
import string
import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import ReadOptions
from dcmq.data.readers.folder import read_folder
from dcmq.data.readers.tables import read_table

PLAIN = [["image", "text", "labels"], ["a.png", "a red, round dog", "dog"], ["b.png", "two boats", "boat"]]


def cells(path):
    table = read_table(path)
    return [list(table.header), *map(list, zip(*map(table.column, range(len(table.header))), strict=True))]


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep={}{}", '"sep={}"{}', "SEP={} {}"])
def test_every_separator_and_line_end(tmp_path, separator, end, first):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(PLAIN)
    path = written(tmp_path, "\ufeff" + first.format(separator, end) + text.getvalue())
    assert cells(path) == PLAIN
    assert read_table(path).place(1) == f"line {4 if first else 3}"


@pytest.mark.parametrize("trailing", [",", ",,", ", "])
@pytest.mark.parametrize("header_too", [True, False])
def test_empty_cells_beyond_the_header_and_empty_rows_are_none(tmp_path, trailing, header_too):
    rows = ["image,text,labels" + trailing * header_too, "", "a.png,x,y" + trailing, ",,", "b.png,u,v", ""]
    path = written(tmp_path, "\n".join(rows))
    assert cells(path) == [["image", "text", "labels"], ["a.png", "x", "y"], ["b.png", "u", "v"]]
    assert read_table(path).place(1) == "line 5"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("image,text,labels\na.png,one, two,dog\n", "line 2 of t.csv has 4 cells, the header 3"),
        ("image,text,labels\na.png,x,y\nb.png,x\n", "line 3 of t.csv has 2 cells, the header 3"),
        ('image,text,labels\na.png,x,y\nb.png,"no end,y\nc.png,x,y\n', "line 3: a quotation mark opens a cell"),
        ('image,text,labels\na.png,"one,y\nb.png,"two,y\n', "line 2: a quotation mark opens a cell"),
        ('image,text,labels\na.png,"one,y\nb.png,x,y\nc.png,two",y\n', "line 2: .* holds the row in line 3"),
        ('image,text,labels\na.png,"one,y\nb.png,a sign ",y\n', "line 2: .* holds the row in line 3"),
        ('image,text,labels\np/1,"one,y\np/2,x,y\np/3,two",y\n', "line 2: .* holds the row in line 3"),
        ('image,text,labels\nimg.001,"one,y\nimg.002,two",y\n', "line 2: .* holds the row in line 3"),
        ("image,text,labels\na.png," + "word " * 40000 + ",y\n", "line 2: a cell of more than 131,072 letters"),
        ("", "t.csv is empty"),
        ("\n \n", "t.csv is empty"),
        ('{"image": "a.png", "text": "x", "labels": ["y"]}\n', "is JSON, not a table"),
        ("image,text,labels\nä,ö,ü\n".encode("cp1252"), "t.csv is not UTF-8: save it as 'CSV UTF-8'"),
        ("image,text,labels\nä,ö,ü\n".encode("utf-16"), "is not UTF-8"),
        ("image,text,labels\na,b,c\n".encode("utf-16-le"), "is not UTF-8"),
    ],
)
def test_what_cannot_be_meant_names_the_line(tmp_path, content, words):
    with pytest.raises(DcmqError, match=words) as caught:
        read_table(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_quotation_marks_in_a_table_of_tabs_are_text_where_they_do_not_pair(tmp_path):
    rows = [[f"{i}.png", f"text {i}", "dog"] for i in range(40)]
    rows[4][1], rows[24][1], rows[30][1] = '"Stop" says a sign', '"a green square', '"in quotation marks"'
    path = written(tmp_path, "image\ttext\tlabels\n" + "".join("\t".join(row) + "\n" for row in rows), "t.tsv")
    rows[30][1] = "in quotation marks"
    assert cells(path)[1:] == rows
    frame = pd.DataFrame(rows, columns=["image", "text", "labels"])
    frame.loc[3, "text"] = "two lines\nand a\ttab\n"
    frame.to_csv(path, sep="\t", index=False)  # by the rules
    assert cells(path)[1:] == frame.to_numpy().tolist()


def test_rows_of_names_without_suffix_are_not_swallowed_in_a_table_of_tabs(tmp_path):
    rows = [[f"pics/{i:03}", f"text {i}", "dog"] for i in range(24)]
    rows[4][1], rows[14][1] = '"a red thing', 'a blue thing"'
    path = written(tmp_path, "image\ttext\tlabels\n" + "".join("\t".join(row) + "\n" for row in rows), "t.tsv")
    assert cells(path)[1:] == rows


def test_a_second_byte_order_mark_is_none_of_the_header(tmp_path):
    assert cells(written(tmp_path, "\ufeff\ufeffimage,text,labels\na,b,c\n"))[0] == ["image", "text", "labels"]


def test_columns_of_parquet_that_share_a_name_are_each_read(tmp_path):
    arrays = [pa.array(["a"]), pa.array(["first"]), pa.array([["x", "y"]]), pa.array(["second"])]
    pq.write_table(pa.Table.from_arrays(arrays, ["image", "text", "labels", "text"]), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet")[1] == ["a", "first", ("x", "y"), "second"]


def test_a_cell_may_hold_line_ends_and_separators(tmp_path):
    rows = [*PLAIN, ["c.png", 'He says "a dog,\na cat, and a bird"\n', "dog"]]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    assert cells(written(tmp_path, text.getvalue())) == rows


def test_text_is_in_one_normal_form(tmp_path):
    nfd = "image,text,labels\ncafe\u0301.png,rouge fonce\u0301,carre\u0301\n"
    assert cells(written(tmp_path, nfd))[1] == ["café.png", "rouge foncé", "carré"]
    pq.write_table(pa.table({"text": ["carre\u0301"], "labels": [["carre\u0301"]]}), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet")[1] == ["carré", ("carré",)]


def test_values_of_parquet(tmp_path):
    table = pa.table(
        {
            "text": ["x", None, ""],
            "number": pa.array([7, None, 1]),
            "float": [12.0, float("nan"), None],
            "list": [["a, b", None], None, []],
            "bytes": pa.array([b"x", "ö".encode(), None]),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    folder = tmp_path / "split=train"  # in other readers a column
    folder.mkdir()
    pq.write_table(table, folder / "t.parquet")
    assert cells(folder / "t.parquet")[1:] == [
        ["x", "7", "12.0", ("a, b",), "x", "a"],
        ["", "", "", "", "ö", "b"],
        ["", "1", "", (), "", "a"],
    ]
    assert read_table(folder / "t.parquet").place(1) == "row 2"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([{"bytes": b"\xff", "path": "a.png"}], r"column 'image' of t.parquet holds structures \(bytes, path\)"),
        ([[["a"]]], "lists of lists"),
        ([b"\xff\x00"], "cannot be read"),
        (["a\0b"], "bytes that are no text"),
    ],
)
def test_values_of_parquet_that_are_no_text(tmp_path, values, words):
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet")
    with pytest.raises(DcmqError, match=words):
        read_table(tmp_path / "t.parquet").column(0)


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".tsv", ".parquet"]), start=st.booleans())
def test_any_bytes_are_a_table_or_one_line(tmp_path_factory, content, suffix, start):
    path = tmp_path_factory.mktemp("bytes") / f"t{suffix}"
    path.write_bytes((b"PAR1" if suffix == ".parquet" else b"image,text,labels\n") * start + content)
    try:
        table = read_table(path)
    except DcmqError as error:
        assert "\n" not in str(error)
    else:
        assert all(len(table.column(number)) == table.count for number in range(len(table.header)))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
CELL = st.one_of(
    st.just(""),
    st.text(string.ascii_lowercase + " ,;|\"'[]\n\r", max_size=12),
    TEXT,
    st.lists(st.text("ab ,'\"é", max_size=4), max_size=3).map(str),
    st.sampled_from(
        ["red;round", "RED", "red", "None", "nan", "12.0", "['red'", "a\u0308", "हरा वृत्त", "สีแดง", "İnci", '"x"']
    ),
)

GOOD_TEXT = st.sampled_from(["a red dog", "two boats, at night", "हरा वृत्त", "ein Boot", 'the dog says "no"'])
GOOD_LABEL = st.sampled_from(["dog", "dog;boat", "['dog', 'boat']", "boat", "Dog", "red, round", "हरा"])


@st.composite
def tables(draw):
    """The bytes of a table of images 0.png, 1.png, ..., and how many rows it has."""
    n = draw(st.integers(1, 8))
    text, label = st.one_of(GOOD_TEXT, GOOD_TEXT, CELL), st.one_of(GOOD_LABEL, GOOD_LABEL, CELL)
    rows = [["image", "text", "labels"], *([f"{i}.png", draw(text), draw(label)] for i in range(n))]
    if not draw(st.integers(0, 4)):  # ragged
        row = draw(st.sampled_from(rows[1:]))
        row.pop() if draw(st.booleans()) else row.append(draw(st.sampled_from(["", "", "more"])))
    separator = draw(st.sampled_from(",;\t|"))
    if draw(st.integers(0, 3)):
        text = io.StringIO()
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
        csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
        content = text.getvalue()
    else:  # by hand
        content = "".join(separator.join(row) + "\n" for row in rows)
    content = draw(st.sampled_from(["", "\ufeff", f"sep={separator}\n"])) + content
    encoding = draw(st.sampled_from([*["utf-8"] * 12, "utf-16", "utf-16-le", "latin-1", "cp1252"]))
    return content.encode(encoding, "replace"), n


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(table=tables(), fold_case=st.booleans(), separator=st.sampled_from(["", ";", ";,", "none"]))
def test_every_row_is_kept_or_counted_or_the_table_is_refused_in_one_line(
    tmp_path_factory, table, fold_case, separator
):
    content, given_rows = table
    folder = tmp_path_factory.mktemp("table")
    (folder / "t.csv").write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = read_folder(folder, ReadOptions(fold_case=fold_case, separator=separator))
    except DcmqError as error:
        assert "\n" not in str(error)
        return
    named = [Path(file).name for file in source.files]
    assert named == sorted(set(named), key=lambda name: int(name.removesuffix(".png")))
    assert source.counts["kept"] == len(source.ids) == len(source.captions)
    assert source.counts["kept"] + sum(source.dropped.values()) == source.counts["images"] == source.counts["rows"]
    assert source.counts["rows"] == given_rows
    assert source.labels.any(1).all() and source.labels.any(0).all() and len(set(source.classes)) == len(source.classes)

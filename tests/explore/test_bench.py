"""The shared state and requests: what may be set, what is refused, cards, thumbnails, and the selection as a file."""

import io
import json

import pandas as pd
import pytest
from benches import random_bench
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.explore.bench import Bench
from dcmq.explore.requests import answer
from dcmq.explore.selection import items_frame, write_selection


def test_the_first_state_shows_something():
    bench = random_bench()
    assert bench.state == {
        "query": {"kind": "text", "row": bench.query["row"]},
        "gallery": "images",
        "left": "one",
        "right": "two",
        "selection": [],
    }
    assert bench.items.splits[bench.query["row"]] == "query"
    info = json.loads(json.dumps(bench.info()))
    assert info["items"] == 90 and info["splits"] == {"gallery": 20, "query": 20, "train": 50}
    assert [(r["name"], r["M"], r["K"]) for r in info["rankers"]] == [
        ("one", 4, 16),
        ("two", 2, 8),
        ("teacher tiny", 0, 0),
    ]


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("query", {"kind": "words", "text": "  "}, "say some words"),
        ("query", {"kind": "image", "row": 90}, "90 is no id and no row from 0 to 89"),
        ("query", {"kind": "sound", "row": 1}, "say some words"),
        ("query", "moon", "say some words"),
        ("gallery", "sounds", "gallery: 'sounds' is none of images, texts"),
        ("left", "onee", "ranker: 'onee' is not known; did you mean one?"),
        ("left", "", "ranker: '' is not known"),
        ("selection", [1, "who"], "'who' is no id"),
        ("selection", list(range(90)) * 2 + [True], "True is no id"),
    ],
)
def test_a_state_that_cannot_be_is_refused_and_nothing_changes(name, value, line):
    bench = random_bench()
    before = bench.state
    with pytest.raises(DcmqError, match=line.replace("?", r"\?")) as error:
        bench.set(name, value)
    assert "\n" not in str(error.value)
    assert bench.state == before


def test_a_selection_holds_each_item_once_and_not_too_many(monkeypatch):
    bench = random_bench()
    bench.set("selection", [3, "3", 1])
    assert bench.selection == [3, 1]
    monkeypatch.setattr("dcmq.explore.bench.MOST_SELECTED", 4)
    with pytest.raises(DcmqError, match="selection: 5 items; at most 4"):
        bench.set("selection", range(5))


def test_a_bench_needs_a_ranker():
    with pytest.raises(DcmqError, match="nothing that ranks"):
        Bench(random_bench().items, [])


def test_thumbnails_come_in_the_order_of_the_rows():
    bench = random_bench()
    result, files = answer(bench, "thumbnails", {"rows": [5, 2], "size": 16})
    assert result == {"rows": [5, 2]}
    for row, file in zip((5, 2), files, strict=True):
        assert file == bench.items.thumbnail(row, 16)
        with Image.open(io.BytesIO(file)) as image:
            assert image.size == (16, 16)


def test_cards_hold_what_is_known_of_an_item():
    bench = random_bench()
    (card,) = answer(bench, "cards", {"rows": [7]})[0]["cards"]
    assert (card["id"], card["text"], card["labels"]) == ("7", bench.items.text(7), bench.items.label_names(7))
    assert card["image"] and card["readable"]


@pytest.mark.parametrize(
    ("kind", "arguments", "line"),
    [
        ("thumbnail", {}, "request: 'thumbnail' is not registered; did you mean thumbnails?"),
        ("thumbnails", {"rows": [], "size": 64}, "thumbnails: rows: list should have at least 1 item"),
        ("thumbnails", {"rows": [1], "size": 10_000}, "thumbnails: size: input should be less than or equal to 512"),
        ("thumbnails", {"rows": [1]}, "thumbnails: size: missing required argument"),
        ("thumbnails", {"rows": [99], "size": 64}, "items: 99 is no id"),
        ("cards", {"rows": "all"}, "cards: rows: input should be a valid list"),
        ("cards", {"rows": [1], "colour": "red"}, "cards: colour: unexpected keyword argument"),
        ("export", {"file": "a.xls"}, "export: 'a.xls' must end in .csv or .parquet"),
        ("export", {"file": "a.csv"}, "export: nothing is selected"),
    ],
)
def test_bad_requests_are_refused_in_a_line(kind, arguments, line):
    with pytest.raises(DcmqError) as error:
        answer(random_bench(), kind, arguments)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_table_of_no_items_has_the_same_columns():
    items = random_bench().items
    assert list(items_frame(items, [])) == list(items_frame(items, [1])) == ["id", "text", "labels", "split"]


@pytest.mark.parametrize(("suffix", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_an_exported_selection_has_scores_and_codes(tmp_path, suffix, read):
    bench = random_bench()
    query, (first, second) = bench.query["row"], bench.items.gallery("images")[:2].tolist()
    bench.set("selection", [second, query, first])
    bench.set("right", "teacher tiny")
    result, _ = answer(bench, "export", {"file": str(tmp_path / f"hits{suffix}")})
    assert result["items"] == 3
    table = read(result["file"]).reset_index(drop=suffix == ".csv").set_index("row")
    assert table.index.tolist() == [second, query, first]
    found = answer(bench, "search", {"k": 70})[0]["columns"]
    for column in found:
        score = dict(zip(column["rows"], column["scores"], strict=False))
        for row in (first, second):
            assert table[f"score {column['name']}"][row] == pytest.approx(score[row], abs=1e-4)
    assert table["score one"].isna().tolist() == [False, True, False]  # the query lies outside the gallery
    codes = bench.rankers["one"].codes
    for kind in ("image", "text"):
        assert table[f"{kind} code one"][first] == " ".join(map(str, codes[f"{kind}s"][first].tolist()))
    assert not [name for name in table if "code teacher" in name]


def test_a_file_that_cannot_be_written_is_said_in_a_line(tmp_path):
    bench = random_bench()
    bench.set("selection", [1])
    (tmp_path / "file").write_text("")
    with pytest.raises(DcmqError) as error:
        write_selection(bench, tmp_path / "file" / "a.csv")
    assert "\n" not in str(error.value)

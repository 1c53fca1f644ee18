"""The widget without a browser: its state, its messages, what stands for it elsewhere, and its JavaScript."""

import base64
import json
import re
from dataclasses import replace

import pytest
from benches import random_bench

from dcmq.core.errors import DcmqError
from dcmq.explore.explorer import Explorer, script
from dcmq.explore.requests import REQUESTS
from dcmq.explore.views import VIEWS

FOREIGN = ("http://", "https://", "import(", "import ", "fetch(", "XMLHttpRequest", "WebSocket", "eval(", "innerHTML")


@pytest.fixture
def explorer(monkeypatch):
    """An explorer whose answers are kept in ``sent``."""
    explorer = Explorer(random_bench())
    explorer.sent = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: explorer.sent.append((content, buffers)))
    return explorer


def asked(explorer, kind, **arguments):
    explorer._on_message(explorer, {"id": "7", "kind": kind, "arguments": arguments}, [])
    content, buffers = explorer.sent.pop()
    assert content["id"] == "7"
    json.dumps(content)
    return content, buffers


def test_a_request_is_answered_under_its_id(explorer):
    content, buffers = asked(explorer, "thumbnails", rows=[1, 2], size=32)
    assert content["result"] == {"rows": [1, 2]} and len(buffers) == 2


def test_an_error_comes_back_as_one_line(explorer):
    content, _ = asked(explorer, "search", k=-1)
    assert content == {"id": "7", "error": "search: k: input should be greater than or equal to 1"}
    explorer._on_message(explorer, {"id": "8"}, [])
    assert explorer.sent.pop()[0]["error"].startswith("request: 'None' is not registered")


def test_a_fault_of_the_package_is_shown_too(explorer, monkeypatch):
    monkeypatch.setitem(REQUESTS._entries, "broken", lambda bench: 1 / 0)
    content, _ = asked(explorer, "broken")
    assert content["error"] == "explorer: ZeroDivisionError: division by zero: please report"


def test_the_browser_sets_the_state_and_is_told_what_cannot_be(explorer):
    content, _ = asked(explorer, "set", name="query", value={"kind": "words", "text": " green "})
    assert content["result"] == {"value": {"kind": "words", "text": "green"}}
    assert explorer.bench.query == explorer._query == {"kind": "words", "text": "green"}
    content, _ = asked(explorer, "set", name="left", value="nobody")
    assert "ranker: 'nobody' is not known" in content["error"] and explorer.left == explorer.bench.left == "one"
    content, _ = asked(explorer, "set", name="bench", value=None)
    assert content["error"].startswith("set: 'bench' is none of view, query")


def test_cells_steer_it(explorer):
    row = int(explorer.bench.items.gallery("images")[0])
    explorer.query("green")
    assert explorer._query == {"kind": "words", "text": "green"}
    explorer.query(image=str(row))
    assert explorer.bench.query == {"kind": "image", "row": row}
    explorer.select([row, "3"])
    assert explorer.selection.index.tolist() == [row, 3] and explorer._selection == [row, 3]
    explorer.view, explorer.right = "failures", ""
    assert [ranker.name for ranker in explorer.bench.shown_rankers] == ["one"]
    for name, value in (("view", "maps"), ("gallery", "sounds"), ("right", "nobody")):
        with pytest.raises(DcmqError, match=value):
            setattr(explorer, name, value)
    with pytest.raises(DcmqError, match="say some words"):
        explorer.query()
    assert explorer.view == "failures" and explorer.gallery == "images"


def test_explorers_of_one_bench_share_all_but_the_view(explorer):
    one, other = explorer.showing("map"), explorer.showing("failures")
    assert (explorer.view, one.view, other.view) == ("search", "map", "failures")
    one.select([4])
    one.query("green")
    other.right, explorer.gallery = "", "texts"
    for widget in (explorer, one, other):
        assert (widget._selection, widget._query["text"], widget.right, widget.gallery) == ([4], "green", "", "texts")
        assert widget.selection.index.tolist() == [4]
    with pytest.raises(DcmqError, match="view: 'maps' is none of search, map"):
        explorer.showing("maps")


def test_the_selection_is_written(explorer, tmp_path):
    explorer.select([1])
    assert explorer.export(tmp_path / "a.csv").read_text().startswith("row,id,text,labels,split,score one")


@pytest.mark.parametrize("view", VIEWS)
def test_where_no_widget_lives_there_is_an_image_and_a_line(explorer, view):
    explorer.view = view
    data, _ = explorer._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert len(data["image/png"]) < 150_000
    assert data["text/plain"] == (
        f"Explorer of tiny, 90 items: {view}, text {explorer.bench.query['row']} in images, one and two"
    )
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_same_state_gives_the_same_image_and_no_address():
    bundles = [Explorer(random_bench())._repr_mimebundle_()[0] for _ in range(2)]
    for kind in ("image/png", "text/plain"):
        assert bundles[0][kind] == bundles[1][kind]
    assert "0x" not in bundles[0]["text/plain"]


def test_searches_that_a_ranker_cannot_read_have_an_image_too(explorer):
    explorer.right = "teacher tiny"
    explorer.query("green")
    assert "image/png" in explorer._repr_mimebundle_()[0]


def test_a_view_without_a_drawing_of_this_state_says_why(explorer):
    explorer.bench.items = replace(explorer.bench.items, labels=None)
    explorer.view = "search"
    search = explorer._repr_mimebundle_()[0]["image/png"]
    explorer.view = "failures"
    line = explorer._repr_mimebundle_()[0]["image/png"]
    assert 0 < len(line) < len(search) / 4


def test_the_script_asks_nothing_of_any_network_and_has_every_view():
    text = script()
    assert [word for word in FOREIGN if word in text] == []
    assert text.count("export default") == 1
    assert f"const VIEWS = [{', '.join(f'{name}View' for name in VIEWS)}];" in text
    for name in VIEWS:
        assert f"const {name}View = {{" in text
    assert [word for word in ("http", "@import", "url(") if word in Explorer._css] == []


def test_the_browser_asks_only_what_is_answered():
    kinds = set(re.findall(r"""(?:request|ask)\("(\w+)\"""", script()))
    assert {"search", "failures", "precision_curves", "export"} <= kinds
    assert kinds - {"set"} <= set(REQUESTS)

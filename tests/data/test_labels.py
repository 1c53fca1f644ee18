"""Names in the cells of a table: cut, listed, and alike."""

import contextlib
import enum
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmq.core.errors import DcmqError
from dcmq.data.readers.labels import check_separator, cut, listed, look_alikes, one_spelling, separators_in

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=8).map(str.strip), max_size=4
)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("['red', 'circle']", ["red", "circle"]),
        ('["red","circle"]', ["red", "circle"]),
        ("['red' 'circle']", ["red", "circle"]),  # numpy's
        ("['red'\n 'circle']", ["red", "circle"]),
        ("('red',)", ["red"]),
        ("{'red', 'circle'}", ["red", "circle"]),
        ("[red, circle]", ["red", "circle"]),
        ("[ 'sofa, couch' , \"bird's nest\" ]", ["sofa, couch", "bird's nest"]),
        ("['red', None, nan]", ["red"]),
        ("[1, 2.0]", ["1", "2"]),
        ("['12.0']", ["12"]),
        ("[]", []),
        ("()", []),
        ('["\\u00e9\\/x", "\\ud83d\\ude00"]', ["é/x", "😀"]),
        ("[0 2]", ["0", "2"]),  # numpy's numbers
        ("[1. 0.]", ["1", "0"]),
        ("[1., 0.]", ["1", "0"]),
        ("[fire truck]", ["fire truck"]),
        ("{red,circle}", ["red", "circle"]),  # Postgres's
        ('{"fire truck",red}', ["fire truck", "red"]),
        ("set()", []),
        ("frozenset({'red'})", ["red"]),
        ("array(['red', 'circle'], dtype=object)", ["red", "circle"]),
        ('"[\\"red\\", \\"circle\\"]"', ["red", "circle"]),  # JSON in JSON
        ("'red', 'circle'", ["red", "circle"]),
        ("'red'", ["red"]),
        ("[red;blue]", ["red", "blue"]),
        ("[b'red', b'caf\\xc3\\xa9']", ["red", "café"]),
        ("[np.str_('red'), np.str_('np.str_(x)')]", ["red", "np.str_(x)"]),
        ("[np.int64(1), np.float64(2.0)]", ["1", "2"]),
        (("a, b", " c "), ["a, b", "c"]),
        ("red", None),
        ("", None),
        ("(sub)urban", None),
        ("(red)", None),
        ("[art]ist", None),
    ],
)
def test_lists_of_other_programs(cell, names):
    assert listed(cell, bare=True) == names


@pytest.mark.parametrize(
    "cell",
    [
        "['red', 'circle'",
        "['red'",
        "['a' b]",
        '[{"id": 1}]',
        "[[1], [2]]",
        "[,]",
        "['a',,'b']",
        "{red: 1}",
        "[f'x', 'b']",
        "[1 2 ... 9]",
        "{'a': 1}",
    ],
)
def test_what_begins_as_a_list_and_is_none(cell):
    with pytest.raises(ValueError, match="list"):
        listed(cell, bare=True)


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    "cell",
    [
        str([Color.RED]),
        str([Color.BLUE, Color.RED]),
        str({Color.RED}),
        repr(Color.RED),
        f"{Color.RED!r};{Color.RED!r}",
        str([Access.READ | Access.WRITE]),
        "[<object object at 0x7f70964a3db0>]",  # written out, as tests need names that stay
        "(<object object at 0x7f70964a32d0>, 'red')",
        str([Color]),
        json.dumps([repr(Color.RED)]),
        (repr(Color.RED),),
    ],
)
def test_what_python_shows_of_an_object_is_no_name(cell):
    """Its value or its name may be meant, and of most objects it says an address that changes."""
    with pytest.raises(ValueError, match="what Python shows of an object"):
        listed(cell, bare=True)
    assert not isinstance(cell, str) or listed(f"A caption with {cell}") is None


def test_names_in_angle_brackets_and_members_by_their_names_are_names():
    assert listed("[<unk>, a < b, b > c, Color.RED]", bare=True) == ["<unk>", "a < b", "b > c", "Color.RED"]


def test_nothing_in_a_cell_is_executed(tmp_path):
    trap = tmp_path / "trapped"
    for cell in (f"[open({str(trap)!r}, 'w')]", f"['a', __import__('os').mkdir({str(trap)!r})]", "['a'.__class__]"):
        with contextlib.suppress(ValueError):
            listed(cell, bare=True)
    assert not trap.exists()


@given(NAMES)
def test_lists_of_python_json_and_numpy_come_back(names):
    expected = cut("\x01".join(names), "\x01") if names else []
    for cell in (str(names), json.dumps(names), json.dumps(names, ensure_ascii=False)):
        assert listed(cell) == (expected if names else None) and listed(cell, bare=True) == expected
    assert listed(tuple(names)) == expected
    with np.printoptions(threshold=10**6):
        assert not names or listed(str(np.array(names, object))) == expected


def test_cells_are_cut_at_what_is_named():
    assert cut(" red ; dark  blue;;12.0", ";") == ["red", "dark blue", "12"]
    assert cut("red;dark,blue", ";,") == ["red", "dark", "blue"]
    assert cut("sofa, couch", "none") == ["sofa, couch"]
    assert cut("a]b^c", "]^") == ["a", "b", "c"]
    assert separators_in(c for c in ("a;b", "c,d", "e,f;g", "h")) == {";": 2, ",": 2}
    for separator in ("", ";", ";,", "none", " / "):
        check_separator(separator)
    assert separators_in(["赤、円", "赤；円"]) == {"；": 1, "、": 1}
    with pytest.raises(DcmqError, match="--separator 'and' would cut names in the middle"):
        check_separator("and")


def test_look_alikes_are_found_and_made_one():
    names = ["red", "RED", "plant_life", "plant life", "ｂｏａｔ", "boat", "sun\u00adset", "sunset", "dog"]
    alike = [["RED", "red"], ["boat", "ｂｏａｔ"], ["plant life", "plant_life"], ["sunset", "sun\u00adset"]]
    assert look_alikes(names) == sorted(alike)
    assert one_spelling([["RED", "dog"], ["red"], ["red", "Red"]]) == [["red", "dog"], ["red"], ["red", "red"]]

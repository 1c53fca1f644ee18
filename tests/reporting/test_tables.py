"""Tables as files, and the cells in them."""

import statistics

import numpy as np
import pandas as pd
import pytest

from dcmq.core.errors import DcmqError
from dcmq.reporting import tables


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.511, 0.516, 0.521], ".516 ± .005"),
        ([0.5], ".500"),
        ([1.0, 1.0], "1.000 ± .000"),
        ([-0.25], "-.250"),
        ([10.5], "10.500"),
        (np.array([0.1, 0.3]), ".200 ± .141"),
        (pd.Series([0.1, 0.3], index=[7, 9]), ".200 ± .141"),
    ],
)
def test_mean_sd(values, text):
    assert tables.mean_sd(values) == text


def test_mean_sd_is_the_sample_standard_deviation():
    values = [0.41, 0.47, 0.44, 0.52]
    text = f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
    assert tables.mean_sd(values) == text.replace("0.", ".")


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")]])
def test_mean_sd_refuses(values):
    with pytest.raises(DcmqError, match="mean_sd"):
        tables.mean_sd(values)


@pytest.fixture
def frame():
    cells = {"mAP@R (hits) i2t": [".516 ± .005", ".450"], "n_runs": [3, 1], "share %": [0.5, 1.0]}
    return pd.DataFrame(cells, index=["teacher with NPC", "a|b & c"])


def test_write_table(frame, tmp_path):
    stem = tmp_path / "new" / "table-tau0.2"  # a dot in the name is no suffix
    paths = tables.write_table(frame, stem)
    assert [path.name for path in paths] == ["table-tau0.2.csv", "table-tau0.2.md", "table-tau0.2.tex"]
    assert sorted(p.name for p in stem.parent.iterdir()) == sorted(p.name for p in paths)
    pd.testing.assert_frame_equal(pd.read_csv(paths[0], index_col=0), frame)
    assert paths[1].read_text(encoding="utf-8").splitlines() == [
        "|  | mAP@R (hits) i2t | n_runs | share % |",
        "| --- | --- | --- | --- |",
        "| teacher with NPC | .516 ± .005 | 3 | 0.5 |",
        r"| a\|b & c | .450 | 1 | 1.0 |",
    ]
    assert paths[2].read_text(encoding="utf-8").splitlines() == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r" & mAP@R (hits) i2t & n\_runs & share \% \\",
        r"\midrule",
        r"teacher with NPC & .516 $\pm$ .005 & 3 & 0.5 \\",
        r"a|b \& c & .450 & 1 & 1.0 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_whole_numbers_stay_whole_beside_decimals():
    assert "| x | 3 | 0.5 |" in tables.markdown(pd.DataFrame({"n": [3], "v": [0.5]}, index=["x"]))


def test_index_name_heads_its_column(frame):
    frame.index.name = "target"
    assert tables.markdown(frame).startswith("| target |")


def test_write_table_refuses_what_it_cannot_show(frame, tmp_path):
    with pytest.raises(DcmqError, match="nothing to write"):
        tables.write_table(frame.iloc[:0], tmp_path / "t")
    levels = pd.concat({"upper": frame}, axis=1)
    with pytest.raises(DcmqError, match="header levels"):
        tables.write_table(levels, tmp_path / "t")
    assert not list(tmp_path.iterdir())

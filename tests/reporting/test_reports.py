"""Tables, records, figures and where they lie."""

import json
import os
import statistics

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from dcmq.core.errors import DcmqError
from dcmq.reporting import figures
from dcmq.reporting import page as where
from dcmq.reporting import tables as reports


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
    assert reports.mean_sd(values) == text


def test_mean_sd_is_the_sample_standard_deviation():
    values = [0.41, 0.47, 0.44, 0.52]
    text = f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
    assert reports.mean_sd(values) == text.replace("0.", ".")


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")]])
def test_mean_sd_refuses(values):
    with pytest.raises(DcmqError, match="mean_sd"):
        reports.mean_sd(values)


@pytest.fixture
def frame():
    cells = {"mAP@R (hits) i2t": [".516 ± .005", ".450"], "n_runs": [3, 1], "share %": [0.5, 1.0]}
    return pd.DataFrame(cells, index=["teacher with NPC", "a|b & c"])


def test_write_table(frame, tmp_path):
    stem = tmp_path / "new" / "table-tau0.2"  # a dot in the name is no suffix
    paths = reports.write_table(frame, stem)
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
    assert "| x | 3 | 0.5 |" in reports.markdown(pd.DataFrame({"n": [3], "v": [0.5]}, index=["x"]))


def test_index_name_heads_its_column(frame):
    frame.index.name = "target"
    assert reports.markdown(frame).startswith("| target |")


def test_write_table_refuses_what_it_cannot_show(frame, tmp_path):
    with pytest.raises(DcmqError, match="nothing to write"):
        reports.write_table(frame.iloc[:0], tmp_path / "t")
    levels = pd.concat({"upper": frame}, axis=1)
    with pytest.raises(DcmqError, match="header levels"):
        reports.write_table(levels, tmp_path / "t")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["record", "record.json"])
def test_write_record(name, tmp_path):
    path = reports.write_record(tmp_path / name, {"bits": 64}, [{"seed": 0}], teacher="clip")
    assert path == tmp_path / "record.json"
    assert json.loads(path.read_text()) == {"parameters": {"bits": 64}, "teacher": "clip", "runs": [{"seed": 0}]}


@pytest.mark.parametrize("value", [float("nan"), np.float32(0.5), {1, 2}])
def test_write_record_refuses_what_json_cannot_hold(value, tmp_path):
    with pytest.raises(DcmqError, match="cannot be JSON"):
        reports.write_record(tmp_path / "record.json", {}, [], value=value)
    assert not list(tmp_path.iterdir())


def draw():
    figures.use_style()
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0.3, 0.5], label="npc")
    axes.legend()
    return figure


def test_figures_are_the_same_bytes_each_time(tmp_path):
    with matplotlib.rc_context():
        first, again = (figures.save(draw(), tmp_path / name / "figure-tau0.2") for name in ("a", "b"))
        plt.close("all")
    assert [path.name for path in first] == ["figure-tau0.2.svg", "figure-tau0.2.png"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"<svg" in first[0].read_bytes() and b"<dc:date>" not in first[0].read_bytes()
    assert first[1].read_bytes().startswith(b"\x89PNG")


def test_text_of_figures_is_legible_and_colours_differ():
    with matplotlib.rc_context():
        figure = draw()
        figure.canvas.draw()
        (axes,) = figure.axes
        texts = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.get_legend().get_texts(), axes.xaxis.label]
        assert min(text.get_fontsize() for text in texts) >= 8
        colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
        assert len(set(colours[:8])) == 8 == len(set(figures.MARKERS))
        plt.close("all")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.delenv("DCMQ_REPORTS", raising=False)
    return tmp_path


def test_where_names_the_newest_report(home, capsys):
    for age, name in ((100, "old"), (0, "new")):
        for file in ("table.md", "figure.png", "record.json"):
            path = home / "reports" / "ablation_npc" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
            os.utime(path, (1e9 - age, 1e9 - age))
    run = home / "runs" / "npc-0123" / "record.json"
    run.parent.mkdir(parents=True)
    run.write_text("{}")
    assert where.main(["ablation_npc"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["table", "reports/ablation_npc/new/table.md"],
        ["figure", "reports/ablation_npc/new/figure.png"],
        ["report", "record      reports/ablation_npc/new/record.json"],
        ["run", "records        runs/*/record.json (1 of them)"],
    ]


def test_where_without_a_report_says_what_to_do(home, capsys):
    (home / "reports" / "other").mkdir(parents=True)
    assert where.main(["ablation_npc"]) == 1
    error = capsys.readouterr().err
    assert "no report of 'ablation_npc'" in error and "there: other" in error and error.count("\n") == 1
    assert where.main([]) == 2

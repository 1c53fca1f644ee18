"""Figures: the same bytes each time, legible text, colours that differ."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from dcmq.reporting import figures, plots  # noqa: E402
from dcmq.studies import ablation_npc  # noqa: E402


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
        colors = plt.rcParams["axes.prop_cycle"].by_key()["color"]
        assert len(set(colors[:8])) == 8 == len(set(figures.MARKERS))
        plt.close("all")


@pytest.fixture
def style():
    with matplotlib.rc_context():
        figures.use_style()
        yield
        plt.close("all")


def results(taus=(0.2,), seeds=(0, 1, 2)):
    """The same value for all seeds of a variant: marks that lie upon each other, unless they are moved apart."""
    rows = [
        (name, seed, tau, direction, "gallery", "mAP@R (hits)", 0.5 + 0.01 * i)
        for i, name in enumerate(ablation_npc.LABELS.values())
        for seed in seeds
        for tau in taus
        for direction in ("i2t", "t2i")
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "tau", "direction", "gallery", "metric", "value"])


def npc_figure(**made):
    teacher = {"i2t": {"mAP@500 (hits)": 0.8}, "t2i": {"mAP@500 (hits)": 0.9}}
    return ablation_npc.figure(results(**made), 0.2, "mAP@R (hits)", "mAP@500 (hits)", teacher, 0.25)


def test_no_mark_of_a_seed_hides_another(style):
    axis = npc_figure().axes[0]
    marks = [line for line in axis.lines if line.get_marker() in figures.MARKERS]
    assert len(marks) == 4 * 2
    for line in marks:
        assert len(line.get_xdata()) == 3 and np.diff(line.get_xdata()).min() > 0.02


def test_one_temperature_has_one_panel_and_several_have_two(style):
    assert len(npc_figure().axes) == 1
    assert len(npc_figure(taus=(0.1, 0.2)).axes) == 2


def test_the_teacher_and_chance_are_on_the_page_and_the_axis_says_where_it_begins(style):
    axis = npc_figure().axes[0]
    low, high = axis.get_ylim()
    assert low < 0.25 and high > 0.85 and "not from 0" in axis.get_ylabel()
    assert {text.get_text() for text in axis.texts} == {
        "the teacher itself, not quantized, whole gallery",
        "chance, nearly",
    }


def test_a_reference_takes_no_color_from_the_others(style):
    styles = plots.line_styles(["a", "teacher", "b"], "teacher")
    assert [styles[name]["color"] for name in ("a", "b")] == plots.colors()[:2]
    assert styles["teacher"]["linestyle"] == "--" and list(styles) == ["a", "b", "teacher"]
    assert "teacher" not in plots.line_styles(["a"], "teacher")


def test_lines_are_dark_enough_to_be_seen_on_white():
    for color in figures.PALETTE:
        red, green, blue = matplotlib.colors.to_rgb(color)
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.72

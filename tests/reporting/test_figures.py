"""Figures: the same bytes each time, legible text, colours that differ."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from dcmq.reporting import figures  # noqa: E402


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

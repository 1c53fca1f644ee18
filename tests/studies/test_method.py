"""The page of the method: its figures against plain loops, and its cells against the trainer."""

import math

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from notebook_parameters import NOTEBOOKS, parameters
from tiny import several_labels

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.quantizer import gumbel_noise
from dcmq.methods.dcmq.targets import npc
from dcmq.studies import method

DATA, TEACHER = several_labels()
ROWS = torch.from_numpy(DATA.split.train[:20])
S = TEACHER.image[ROWS] @ TEACHER.text[ROWS].T


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_pairs_are_relevant_if_they_share_a_true_label():
    expected = [[bool((DATA.labels[i] & DATA.labels[j]).any()) for j in ROWS] for i in ROWS]
    assert method.relevance(DATA, ROWS).tolist() == expected


def test_both_heat_maps_have_one_scale_and_a_dot_for_each_relevant_pair():
    after = npc(S)
    figure = method.similarity_figure(DATA, ROWS, S, after)
    images = [axis.images[0] for axis in figure.axes[:2]]
    assert {(image.norm.vmin, image.norm.vmax, image.cmap.name) for image in images} == {(-1, 1, "RdBu_r")}
    relevant = method.relevance(DATA, ROWS)
    for axis, matrix in zip(figure.axes[:2], (S, after), strict=True):
        shown, dots = np.asarray(axis.images[0].get_array()), axis.collections[0].get_offsets().astype(int)
        assert len(dots) == relevant.sum()
        assert sorted(shown.diagonal()) == pytest.approx(sorted(matrix.diagonal().tolist()))
        marked = sorted(shown[y, x] for x, y in dots)
        assert marked == pytest.approx(sorted(matrix[relevant].tolist()))


def test_a_target_is_the_softmax_of_the_row_own_text_first():
    row = S[3]
    order = method.target_order(row, 3)
    assert order[0] == 3 and sorted(order) == list(range(20))
    assert all(row[a] >= row[b] for a, b in zip(order[1:], order[2:], strict=False))
    whole = [math.exp(value / 0.3) for value in row.tolist()]
    expected = [whole[i] / sum(whole) for i in order]
    shares = method.target_shares(row, order, 0.3)
    assert shares[:-1] == pytest.approx(expected[: method.TEXTS])
    assert shares[-1] == pytest.approx(sum(expected[method.TEXTS :])) and sum(shares) == pytest.approx(1)
    assert len(method.target_shares(row[:5], [0, 1, 2, 3, 4], 0.3)) == 5


def test_the_figure_of_a_target_shows_these_shares():
    figure = method.target_figure(DATA, ROWS, S, npc(S), image=3, tau=0.3)
    order, relevant = method.target_order(S[3], 3), method.relevance(DATA, ROWS)
    for axis, matrix in zip(figure.axes[1:], (S, npc(S)), strict=True):
        widths = [bar.get_width() for bar in axis.patches]
        assert widths == pytest.approx(method.target_shares(matrix[3], order, 0.3))
    colors = [bar.get_facecolor() for bar in figure.axes[1].patches[: method.TEXTS]]
    assert [color == colors[0] for color in colors] == [bool(relevant[3, i]) for i in order[: method.TEXTS]]
    few = method.target_figure(DATA, ROWS[:6], S[:6, :6], npc(S[:6, :6]), image=0, tau=0.3)
    assert len(few.axes[1].patches) == 6


def test_a_target_over_equal_texts_is_as_if_over_all_of_them():
    assert method.texts_in_target(torch.full((8,), 1 / 8)) == pytest.approx(8)
    assert method.texts_in_target(torch.eye(8)[0]) == pytest.approx(1)


def positions(axis, number):
    """Codewords that a series of marks stands on, by row."""
    x, y = axis.lines[number].get_data()
    assert list(y) == list(range(len(y)))
    return [int(k) for k in x]


def test_marks_stand_on_the_codewords_with_and_without_noise():
    cosines = random(4, 6, 16).clamp(-1, 1)
    knobs = dict(image=2, tau_q=0.1, tau_g=0.5, gumbel_weight=0.8, draw=7)
    axes = method.codeword_figure(cosines, **knobs).axes
    noise = gumbel_noise((6, 16), torch.Generator().manual_seed(7))
    with_noise = []
    for s, g in zip(cosines[2].tolist(), noise.tolist(), strict=True):
        soft = [math.exp(a / 0.1) for a in s]
        gumbel = [math.exp((a + b) / 0.5) for a, b in zip(s, g, strict=True)]
        mixed = [a / sum(soft) + 0.8 * b / sum(gumbel) for a, b in zip(soft, gumbel, strict=True)]
        with_noise.append(mixed.index(max(mixed)))
    assert positions(axes[0], 0) == cosines[2].argmax(1).tolist()
    assert positions(axes[3], 1) == with_noise
    assert np.asarray(axes[3].images[0].get_array()).sum(1) == pytest.approx(np.ones(6))


def test_without_weight_noise_moves_nothing():
    cosines = random(4, 6, 16).clamp(-1, 1)
    figure = method.codeword_figure(cosines, image=0, tau_q=0.1, tau_g=0.5, gumbel_weight=0.0, draw=0)
    assert positions(figure.axes[3], 1) == positions(figure.axes[3], 0)
    assert "moves 0 of 6" in figure.get_suptitle()


def test_bars_are_the_entries_that_codes_point_to_and_add_up_to_the_sum():
    codebooks = random(6, 16, 4)
    tables = lookup_tables(random(len(DATA.split.query), 24), codebooks)
    codes = assign(random(len(DATA.split.gallery), 24).flip(0), codebooks)
    score = scores(tables, codes)
    figure = method.score_figure(DATA, tables, codes, score, query=5, place=1, other=len(codes))
    bars = [bar.get_width() for bar in figure.axes[1].patches]
    sums = [sum(tables[5, m, code[m]].item() for m in range(6)) for code in codes]
    assert sum(bars[:6]) == pytest.approx(max(sums), abs=1e-5) and sum(bars[6:]) == pytest.approx(min(sums), abs=1e-5)
    best, worst = sums.index(max(sums)), sums.index(min(sums))
    assert (
        positions(figure.axes[0], 0) == codes[best].tolist() and positions(figure.axes[0], 1) == codes[worst].tolist()
    )
    for axis, item in ((figure.axes[2], best), (figure.axes[3], worst)):
        row, query = DATA.split.gallery[item], DATA.split.query[5]
        relevant = bool((DATA.labels[row] & DATA.labels[query]).any())
        assert axis.get_title().splitlines()[-1] == ("relevant" if relevant else "not relevant")
        assert f"sum {sums[item]:.2f}" in axis.get_xlabel()
        assert np.array_equal(axis.images[0].get_array(), DATA.images[row])


def test_the_table_says_who_says_so_of_every_step():
    steps = method.table(S=S, codes=torch.tensor([[0, 15]]))
    assert steps.loc["S", "shape"] == "20 x 20" and steps.loc["codes", "values"] == "0 to 15"
    assert all(
        origin.startswith("stated") and not origin.endswith(".") for origin in (s[2] for s in method.STEPS.values())
    )


def test_the_parameters_are_the_trainers_settings():
    p = parameters("method", bits=32, tau=0.1, tau_q=0.3, tau_g=0.7, gumbel_weight=0.5, epochs=3, batch_size=16, seed=4)
    config, student = p.config, p.config.student
    assert (config.tau, config.epochs, config.batch_size, config.seed, config.target) == (0.1, 3, 16, 4, "npc")
    assert (student.bits, student.tau_q, student.tau_g, student.gumbel_weight) == (32, 0.3, 0.7, 0.5)
    assert parameters("method", bits=32).name == "scenes-clip-32bits" and p.seed_list == [4]
    with pytest.raises(DcmqError, match="bits: 6 cannot be reached"):
        parameters("method", bits=6).config  # noqa: B018


def losses(*values):
    return [{"i2t": value, "t2i": 2 * value} for value in values]


def test_losses_are_the_same_but_for_rounding():
    verdict = method.same_losses(losses(1.0, 2.0), losses(1.0, 2.0 + 1e-5))
    assert verdict.word == "holds" and verdict.detail == "largest difference 2.0e-05 over 2 of 2 batches"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (losses(1.0, 2.001), "batch 2: i2t is 2.001 on this page and 2.0 in the trainer"),
        (losses(1.0, math.nan), "batch 2: i2t is nan"),
        ([{"i2t": 1.0}, {"i2t": 2.0}], "batch 1: t2i is None"),
        ([loss | {"third": 0.0} for loss in losses(1.0, 2.0)], "batch 1: third is 0.0 on this page and None"),
        (losses(1.0), "this page saw 1 batches, the trainer 2"),
    ],
)
def test_losses_that_differ_are_refused(page, message):
    with pytest.raises(DcmqError, match=message):
        method.same_losses(page, losses(1.0, 2.0))


def test_on_a_gpu_the_first_batch_is_compared(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "over 1 of 2 batches" in method.same_losses(losses(1.0, 2.0), losses(1.001, 3.0)).detail
    with pytest.raises(DcmqError, match="batch 1"):
        method.same_losses(losses(1.0, 2.0), losses(1.02, 2.0))


CHANGES = {  # of the page's code, each of which makes it another method
    "no NPC": ("S_hat = npc(embeddings", "S_hat = (embeddings"),
    "the noise of images for texts": ("g_image, g_text = (", "g_text, g_image = ("),
    "another lambda": ("p.gumbel_weight * gumbel", "0.9 * gumbel"),
    "the learning rate stays": ("lr_factor(epoch, p.epochs)", "1.0"),
    "other batches": ("random_stream(p.seed, epoch, number)", "random_stream(p.seed + 1, epoch, number)"),
    "texts against their own codes": ("x_image, quantized(x_image, g_image)", "x_image, quantized(x_text, g_text)"),
}


def page_on_tiny_data(old="", new=""):
    """The names that the page's cells leave, up to the comparison with the trainer, on a tiny data set; with ``old`` in its
    code replaced by ``new``."""
    p = parameters("method", bits=16, epochs=2, batch_size=16)
    names = dict(data=DATA, embeddings=TEACHER, p=p, config=p.config, study=method, M=4, K=16)
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS / "method.ipynb", as_version=4).cells}
    shown = ("batch", "npc", "target", "student", "pqg", "loss", "train", "codes", "search", "check")
    code = "\n".join(cells[name] for name in shown)
    assert code.count(old) == 1 or not old
    exec(code.replace(old, new) if old else code, names)
    return names


@pytest.mark.slow
def test_the_page_gives_the_losses_of_the_trainer():
    names = page_on_tiny_data()
    assert len(names["history"]) == 2 * 4 and names["verdicts"][0].word == "holds"
    gallery, queries, best = DATA.split.gallery, DATA.split.query, names["score"].argmax(1)
    hits = [bool((DATA.labels[gallery[i]] & DATA.labels[q]).any()) for q, i in zip(queries, best, strict=True)]
    assert names["hits"].tolist() == hits


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_page_that_does_something_else_is_told_so(change):
    with pytest.raises(DcmqError, match="on this page and .* in the trainer"):
        page_on_tiny_data(*CHANGES[change])

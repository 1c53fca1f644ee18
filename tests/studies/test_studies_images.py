"""The two studies that show rather than train: similarities before and after NPC, and what queries find."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from tiny import STUDENT, tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import Student
from dcmq.reporting import gallery
from dcmq.retrieval.evaluate import evaluate
from dcmq.studies import qualitative
from dcmq.studies import similarity_histograms as histograms
from dcmq.studies.similarity_histograms import AFTER, BEFORE, COLDER

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def parameters(module, **changes):
    return validated(module.Parameters, defaults(NOTEBOOKS / f"{module.__name__.split('.')[-1]}.ipynb") | changes)


# Three samples, the first two relevant to each other.
SIMILARITY = torch.tensor([[0.9, 0.5, 0.3], [0.4, 0.6, 0.2], [0.45, 0.1, 0.8]], dtype=torch.float64)
RELEVANT = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def test_figures_of_a_batch_worked_by_hand():
    found = histograms.measured(SIMILARITY, RELEVANT, 0.5)
    near, far = [0.5, 0.4], [0.3, 0.2, 0.45, 0.1]
    assert found["highest - lowest similarity"] == pytest.approx(0.8)
    assert found["relevant others, mean"] == pytest.approx(0.45) and found["relevant others, sd"] == pytest.approx(0.05)
    assert found["irrelevant, mean"] == pytest.approx(np.mean(far)) and found["irrelevant, sd"] == pytest.approx(
        np.std(far)
    )
    assert found["gap of the means / tau"] == pytest.approx((0.45 - 0.2625) / 0.5)
    assert found["AUC"] == pytest.approx(np.mean([a > b for a in near for b in far]))
    assert found["AUC, own pairs counted"] == pytest.approx(
        np.mean([a > b for a in [*near, 0.9, 0.6, 0.8] for b in far])
    )
    rows = [[math.exp(s / 0.5) for s in row] for row in SIMILARITY.tolist()]
    target = [[cell / sum(row) for cell in row] for row in rows]
    entropy = np.mean([-sum(cell * math.log(cell) for cell in row) for row in target])
    assert found["texts in a target"] == pytest.approx(math.exp(entropy))
    assert found["target on the own pair"] == pytest.approx(np.mean([target[i][i] for i in range(3)]))
    assert found["target on relevant others"] == pytest.approx((target[0][1] + target[1][0]) / 3)
    parts = [found[f"target on {name}"] for name in ("the own pair", "relevant others", "irrelevant")]
    assert sum(parts) == pytest.approx(1)


def test_overlap_is_one_for_the_same_values_and_zero_for_values_apart():
    values = np.random.default_rng(0).random(1000)
    assert histograms.overlap(values, values) == pytest.approx(1)
    assert histograms.overlap(values, values + 2) == 0
    assert histograms.overlap(np.repeat([0.0, 1.0], [1, 3]), np.repeat([0.0, 1.0], [3, 1])) == pytest.approx(0.5)


def test_perplexity_counts_the_texts_of_a_target():
    assert histograms.perplexity(torch.eye(5)) == pytest.approx(1)
    assert histograms.perplexity(torch.full((8, 8), 1 / 8)) == pytest.approx(8)


def test_npc_is_a_smaller_tau_and_a_lift_of_the_own_pairs():
    """Rows of the two targets differ by one factor, the own pair aside."""
    found = histograms.forms(SIMILARITY, 0.2)
    colder, after = (torch.softmax(s / t, dim=1) for s, t in (found[COLDER], found[AFTER]))
    assert found[COLDER][1] == pytest.approx(0.2 * 0.8 / 2) and found[BEFORE][1] == 0.2
    ratio = histograms.others(after / colder).view(3, 2)
    assert torch.allclose(ratio[:, 0], ratio[:, 1])
    assert (ratio <= 1 + 1e-12).all() and (after.diagonal() >= colder.diagonal() - 1e-12).all()


def test_flat_similarities_have_targets_too():
    for similarity, tau in histograms.forms(torch.full((4, 4), 0.5, dtype=torch.float64), 0.2).values():
        assert torch.softmax(similarity / tau, dim=1).isfinite().all()


def several_labels(n=90, classes=3):
    """The tiny data set, some samples with two labels; a teacher that half knows them."""
    dataset, teacher = tiny_dataset(n, classes)
    rng = np.random.default_rng(1)
    labels = dataset.labels | (rng.random(dataset.labels.shape) < 0.2).astype(np.uint8)
    points = torch.randn(classes, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, n, 8, generator=torch.Generator().manual_seed(1))
    image, text = torch.nn.functional.normalize(torch.from_numpy(labels).float() @ points + noise, dim=-1)
    captions = tuple(
        (f"{' '.join(dataset.classes[c] for c in np.flatnonzero(row))} thing number {i}",)
        for i, row in enumerate(labels)
    )
    return replace(dataset, labels=labels, captions=captions), replace(teacher, image=image, text=text)


def test_batches_are_training_rows_with_the_cosine_and_relevance_of_each_pair():
    p, (data, teacher) = parameters(histograms, batch_size=20, batches=5), several_labels()
    numbered = (
        torch.arange(90)[None] * 100.0 + torch.arange(90)[:, None]
    )  # the "cosine" of picture i and text j: 100 i + j
    teacher = replace(teacher, image=torch.eye(90), text=numbered)
    found = histograms.matrices(p, data, teacher, 0)
    assert [len(cosines) for cosines, _ in found] == [17, 17, 16, 17, 17]  # 50 rows, shuffled anew after three
    drawn = [cosines.diagonal().long() // 100 for cosines, _ in found]
    for rows, (cosines, relevant) in zip(drawn, found, strict=True):
        assert torch.equal(cosines, rows[:, None] * 100.0 + rows[None].double())
        assert relevant.tolist() == [[bool((data.labels[i] & data.labels[j]).any()) for j in rows] for i in rows]
    assert sorted(torch.cat(drawn[:3]).tolist()) == data.split.train.tolist()
    again, other = histograms.matrices(p, data, teacher, 0), histograms.matrices(p, data, teacher, 1)
    assert torch.equal(again[0][0], found[0][0]) and not torch.equal(other[0][0], found[0][0])


def test_npc_changes_the_target_and_no_order():
    p, loaded = parameters(histograms, batch_size=50, batches=2, seeds="0,1,2"), {"tiny": several_labels()}
    frame = histograms.results(p, loaded)
    assert len(frame) == 9
    cells = frame.groupby("form").mean(numeric_only=True)
    for name in ("AUC", "overlap"):
        assert cells[name][AFTER] == pytest.approx(cells[name][BEFORE], abs=1e-9)
    assert cells["texts in a target"][AFTER] < cells["texts in a target"][BEFORE]
    assert cells["gap of the means / tau"][AFTER] == pytest.approx(cells["gap of the means / tau"][COLDER])
    words = [v.word for v in histograms.verdicts(frame)]
    assert words[1:3] == ["does not hold", "does not hold"] and words[4] == "holds"
    shown = histograms.table(frame)
    assert shown.columns.tolist() == [f"tiny {form}" for form in (BEFORE, COLDER, AFTER)]
    drawn = histograms.figure(p, loaded)
    assert len(drawn.axes) == 3 and all(axis.get_xlabel() and axis.get_title() for axis in drawn.axes)
    plt.close(drawn)


@pytest.mark.parametrize(("after", "word"), [(0.9, "holds"), (0.5, "does not hold"), (0.7, "does not hold")])
def test_a_verdict_tells_a_rise_from_a_fall_and_from_nothing(after, word):
    means = pd.DataFrame({BEFORE: [0.70, 0.71, 0.70], AFTER: [after, after + 0.01, after]})
    assert histograms._judged(means, AFTER, BEFORE, "x").word == word


def test_teachers_have_names_of_their_own_in_tables():
    p = parameters(histograms, teacher="clip, precomputed:a.npz, precomputed:b.npz")
    assert list(p.teachers) == ["clip", "precomputed 1", "precomputed 2"]
    with pytest.raises(DcmqError, match="teacher is empty"):
        parameters(histograms, teacher="").teachers  # noqa: B018


def test_a_batch_without_contrast_is_refused():
    data, teacher = several_labels()
    same = replace(data, labels=np.ones_like(data.labels))
    with pytest.raises(DcmqError, match="batch_size: pairs of"):
        histograms.matrices(parameters(histograms), same, teacher, 0)


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return Student(STUDENT, 3).eval()


def test_the_first_results_are_those_that_the_metrics_count(student):
    data, _ = several_labels()
    measured = evaluate(QuantizedRetriever(student, data), data, 10)
    for direction in ("i2t", "t2i"):
        rows, hits = gallery.search(student, data, direction, 5)
        assert rows.shape == hits.shape == (20, 5) and np.isin(rows, data.split.gallery).all()
        assert hits.mean() == pytest.approx(measured[direction]["gallery"]["precision@N"]["5"])
        for query, found, hit in zip(data.split.query, rows, hits, strict=True):
            assert hit.tolist() == [bool((data.labels[query] & data.labels[row]).any()) for row in found]


def test_queries_in_chunks_find_the_same():
    data, _ = several_labels()
    generator = torch.Generator().manual_seed(0)
    tables = torch.randn(20, 4, 16, generator=generator)
    codes = torch.randint(16, (70, 4), generator=generator)
    whole = gallery.ranked_rows(tables, codes, data, 5)
    for one, other in zip(whole, gallery.ranked_rows(tables, codes, data, 5, chunk=3), strict=True):
        assert np.array_equal(one, other)


def test_shown_queries_are_drawn_by_the_seed_alone():
    data, _ = several_labels()
    drawn = parameters(qualitative).chosen(data)
    assert len(set(drawn)) == 4 and np.array_equal(drawn, parameters(qualitative, bits=8, top=3).chosen(data))
    assert not np.array_equal(drawn, parameters(qualitative, seeds="1").chosen(data))
    assert parameters(qualitative, queries=99).chosen(data).tolist() == list(range(20))


def made_up(p, data, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.choice(data.split.gallery, (len(data.split.query), p.top))
    hits = (data.labels[rows] & data.labels[data.split.query][:, None]).any(-1)
    return {direction: (rows, hits) for direction in ("t2i", "i2t")}


def test_the_table_holds_shown_queries_and_all():
    p, (data, _) = parameters(qualitative, queries=2, top=4), several_labels()
    found = made_up(p, data)
    shown = qualitative.table(p, data, found)
    hits, chosen = found["t2i"][1], p.chosen(data)
    assert shown.columns.tolist() == ["precision@4 t2i", "precision@4 i2t"]
    assert shown["precision@4 t2i"].tolist()[:2] == [f"{hits[c].mean():.3f}" for c in chosen]
    assert shown["precision@4 t2i"]["all 20 queries"] == f"{hits.mean():.3f}"
    assert shown["precision@4 t2i"]["the 2 shown"] == f"{hits[chosen].mean():.3f}"
    assert shown["precision@4 t2i"]["a random ranking"] == f"{data.chance():.3f}"
    assert shown.index.is_unique
    assert {v.word for v in qualitative.verdicts(p, data, found)} <= {"holds", "does not hold"}


def test_typical_compares_with_every_draw_there_is():
    p, (data, _) = parameters(qualitative, queries=2, top=4), several_labels()
    found = made_up(p, data)
    each, chosen = found["t2i"][1].mean(1), p.chosen(data)
    draws = [each[list(pair)].mean() for pair in combinations(range(20), 2)]
    expected = (each[chosen].mean() - np.mean(draws)) / np.std(draws)
    assert f"lie {expected:+.1f} sd of a random draw of 2" in qualitative.typical(p, data, found)[0]
    alike = {d: (rows, np.ones_like(hits)) for d, (rows, hits) in found.items()}
    assert "+0.000" in qualitative.typical(p, data, alike)[0]


def test_more_results_than_the_gallery_holds_are_refused_before_training():
    data, teacher = several_labels()
    with pytest.raises(DcmqError, match="top is 71, the gallery holds 70"):
        qualitative.rankings(parameters(qualitative, top=71), data, teacher)


def test_marks_do_not_hang_on_colour_alone():
    """Photos need not be square, and long captions and many labels must not move the pictures."""
    p, (data, _) = parameters(qualitative, queries=3), several_labels()
    photos = np.random.default_rng(0).integers(0, 255, (90, 20, 30, 3), np.uint8)
    long = tuple((" ".join(["a very long caption of a photo"] * 4),) for _ in range(90))
    data = replace(data, images=photos, captions=long, classes=("traffic light", "dining table", "potted plant"))
    found = made_up(p, data)
    drawn = qualitative.images_figure(p, data, found)
    framed = [axis for axis in drawn.axes if axis.get_title()]
    assert len(framed) == 3 * p.top
    hits = found["t2i"][1][p.chosen(data)].flatten()
    for axis, hit in zip(framed, hits, strict=True):
        assert axis.get_title() == (gallery.RIGHT if hit else gallery.WRONG)
        assert axis.spines["left"].get_linestyle() == ("-" if hit else "--")
        assert bool(axis.get_xlabel()) == hit
    texts = qualitative.texts_figure(p, data, found)
    marks = [t.get_text() for axis in texts.axes for t in axis.texts if t.get_text() in (gallery.RIGHT, gallery.WRONG)]
    hits = found["i2t"][1][p.chosen(data)].flatten()
    assert marks == [gallery.RIGHT if hit else gallery.WRONG for hit in hits]
    plt.close("all")


def test_a_row_without_any_text_is_shown_without_text():
    data, _ = tiny_dataset()
    assert gallery.text_of(data, 0) == ""
    tagged = replace(data, tags=((),) * 90, captions=(("a red dot",),) * 90)
    assert gallery.text_of(tagged, 0) == "a red dot"

"""Fig. 2 and 3: similarities before and after NPC, on batches worked by hand."""

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from notebook_parameters import parameters
from tiny import several_labels

from dcmq.core.errors import DcmqError
from dcmq.studies import similarity_histograms as histograms
from dcmq.studies.similarity_histograms import AFTER, BEFORE, COLDER

# Three samples, the first two relevant to each other.
SIMILARITY = torch.tensor([[0.9, 0.5, 0.3], [0.4, 0.6, 0.2], [0.45, 0.1, 0.8]], dtype=torch.float64)
RELEVANT = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def test_figures_of_a_batch_worked_by_hand():
    numbers = histograms.statistics(SIMILARITY, RELEVANT, 0.5)
    near, far = [0.5, 0.4], [0.3, 0.2, 0.45, 0.1]
    assert numbers["highest - lowest similarity"] == pytest.approx(0.8)
    assert numbers["relevant others, mean"] == pytest.approx(0.45) and numbers["relevant others, sd"] == pytest.approx(
        0.05
    )
    assert numbers["irrelevant, mean"] == pytest.approx(np.mean(far)) and numbers["irrelevant, sd"] == pytest.approx(
        np.std(far)
    )
    assert numbers["gap of the means / tau"] == pytest.approx((0.45 - 0.2625) / 0.5)
    assert numbers["AUC"] == pytest.approx(np.mean([a > b for a in near for b in far]))
    assert numbers["AUC, own pairs counted"] == pytest.approx(
        np.mean([a > b for a in [*near, 0.9, 0.6, 0.8] for b in far])
    )
    rows = [[math.exp(s / 0.5) for s in row] for row in SIMILARITY.tolist()]
    target = [[cell / sum(row) for cell in row] for row in rows]
    entropy = np.mean([-sum(cell * math.log(cell) for cell in row) for row in target])
    assert numbers["texts in a target"] == pytest.approx(math.exp(entropy))
    assert numbers["target on the own pair"] == pytest.approx(np.mean([target[i][i] for i in range(3)]))
    assert numbers["target on relevant others"] == pytest.approx((target[0][1] + target[1][0]) / 3)
    parts = [numbers[f"target on {name}"] for name in ("the own pair", "relevant others", "irrelevant")]
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
    forms = histograms.forms(SIMILARITY, 0.2)
    colder, after = (torch.softmax(s / t, dim=1) for s, t in (forms[COLDER], forms[AFTER]))
    assert forms[COLDER][1] == pytest.approx(0.2 * 0.8 / 2) and forms[BEFORE][1] == 0.2
    ratio = histograms.others(after / colder).view(3, 2)
    assert torch.allclose(ratio[:, 0], ratio[:, 1])
    assert (ratio <= 1 + 1e-12).all() and (after.diagonal() >= colder.diagonal() - 1e-12).all()


def test_flat_similarities_have_targets_too():
    for similarity, tau in histograms.forms(torch.full((4, 4), 0.5, dtype=torch.float64), 0.2).values():
        assert torch.softmax(similarity / tau, dim=1).isfinite().all()


def test_batches_are_training_rows_with_the_cosine_and_relevance_of_each_pair():
    p, (data, teacher) = parameters("similarity_histograms", batch_size=20, batches=5), several_labels()
    numbered = torch.arange(90)[None] * 100.0 + torch.arange(90)[:, None]
    teacher = replace(
        teacher, vectors=lambda: (torch.eye(90), numbered)
    )  # the "cosine" of image i and text j: 100 i + j
    batches = histograms.matrices(p, data, teacher, 0)
    assert [len(cosines) for cosines, _ in batches] == [17, 17, 16, 17, 17]  # 50 rows, shuffled anew after three
    batch_rows = [cosines.diagonal().long() // 100 for cosines, _ in batches]
    for rows, (cosines, relevant) in zip(batch_rows, batches, strict=True):
        assert torch.equal(cosines, rows[:, None] * 100.0 + rows[None].double())
        assert relevant.tolist() == [[bool((data.labels[i] & data.labels[j]).any()) for j in rows] for i in rows]
    assert sorted(torch.cat(batch_rows[:3]).tolist()) == data.split.train.tolist()
    again, other = histograms.matrices(p, data, teacher, 0), histograms.matrices(p, data, teacher, 1)
    assert torch.equal(again[0][0], batches[0][0]) and not torch.equal(other[0][0], batches[0][0])


@pytest.mark.slow
def test_npc_changes_the_target_and_no_order():
    p, loaded = parameters("similarity_histograms", batch_size=50, batches=2, seeds="0,1,2"), {"tiny": several_labels()}
    frame = histograms.results(p, loaded)
    assert len(frame) == 9
    cells = frame.groupby("form").mean(numeric_only=True)
    for name in ("AUC", "overlap"):
        assert cells[name][AFTER] == pytest.approx(cells[name][BEFORE], abs=1e-9)
    assert cells["texts in a target"][AFTER] < cells["texts in a target"][BEFORE]
    assert cells["gap of the means / tau"][AFTER] == pytest.approx(cells["gap of the means / tau"][COLDER])
    words = [v.word for v in histograms.verdicts(frame)]
    assert words[1:3] == ["does not hold", "does not hold"] and words[4] == "holds"
    table = histograms.table(frame)
    assert table.columns.tolist() == [f"tiny {form}" for form in (BEFORE, COLDER, AFTER)]
    fig = histograms.figure(p, loaded)
    assert len(fig.axes) == 3 and all(axis.get_xlabel() and axis.get_title() for axis in fig.axes)
    plt.close(fig)


@pytest.mark.parametrize(("after", "word"), [(0.9, "holds"), (0.5, "does not hold"), (0.7, "does not hold")])
def test_a_verdict_tells_a_rise_from_a_fall_and_from_nothing(after, word):
    """With .70, .71 and .70 before: more, less, and the same."""
    names = dict.fromkeys(name for name, *_ in histograms._CLAIMS)
    rows = [
        {"teacher": "t", "seed": seed, "form": form}
        | dict.fromkeys(names, (level if form == AFTER else 0.7) + 0.01 * (seed == 1))
        for seed in range(3)
        for form, level in ((BEFORE, 0.7), (COLDER, 0.7), (AFTER, after))
    ]
    words = {v.claim: v.word for v in histograms.verdicts(pd.DataFrame(rows))}
    assert words["t: NPC ranks more relevant others above irrelevant ones"] == word
    assert len(words) == len(histograms._CLAIMS)


def test_teachers_have_names_of_their_own_in_tables():
    p = parameters("similarity_histograms", teacher="clip, precomputed:a.npz, precomputed:b.npz")
    assert list(p.teachers) == ["clip", "precomputed 1", "precomputed 2"]
    with pytest.raises(DcmqError, match="teacher is empty"):
        parameters("similarity_histograms", teacher="").teachers  # noqa: B018


def test_a_batch_without_contrast_is_refused():
    data, teacher = several_labels()
    same = replace(data, labels=np.ones_like(data.labels))
    with pytest.raises(DcmqError, match="batch_size: pairs of"):
        histograms.matrices(parameters("similarity_histograms"), same, teacher, 0)

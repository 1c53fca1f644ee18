"""The map: principal axes, labels, hubness and quantization error, each against loops on hand-made cases."""

import builtins
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benches import random_bench

from dcmq.codes.assign import lookup_tables
from dcmq.core.errors import DcmqError
from dcmq.explore.map import (
    NONE,
    category_colors,
    compared,
    hubness,
    item_hubness,
    levels,
    nearest,
    pca,
    principal_axes,
    quantization_error,
    rarest_label,
    umap,
)
from dcmq.explore.requests import answer
from dcmq.explore.snapshot import png
from dcmq.explore.views import VIEWS
from dcmq.retrieval.metrics import tie_permutation


def cloud(n=200, spread=(1.0, 5.0, 0.1, 3.0)):
    return torch.randn(n, len(spread), generator=torch.Generator().manual_seed(0)) * torch.tensor(spread) + 7


def test_the_first_axis_holds_most_of_the_variance_and_the_second_most_of_the_rest():
    x = cloud()
    places, shares = pca(x)
    assert places.shape == (200, 2) and places.dtype == torch.float32
    variance = places.double().var(0, correction=0)
    total = x.double().var(0, correction=0).sum()
    torch.testing.assert_close(variance / total, shares, atol=1e-6, rtol=0)
    assert shares[0] > shares[1] > 0.2 and shares.sum() < 1
    # columns 1 and 3 are the widest
    axes, _ = principal_axes(x)
    assert axes[:, 0].abs().argmax() == 1 and axes[:, 1].abs().argmax() == 3


def test_axes_are_those_of_a_singular_value_decomposition():
    x = cloud().double()
    axes, _ = principal_axes(x.float())
    right = torch.linalg.svd(x - x.mean(0))[2][:2]
    torch.testing.assert_close((right @ axes).abs(), torch.eye(2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_the_sign_of_an_axis_is_the_same_for_rows_mirrored_or_in_another_order():
    x = cloud()
    axes, _ = principal_axes(x)
    for same in (-x, x.flip(0), 3 * x):
        torch.testing.assert_close(principal_axes(same)[0], axes)
    assert all(axis[axis.abs().argmax()] > 0 for axis in axes.T)


def test_equal_rows_lie_on_one_point():
    places, shares = pca(torch.ones(4, 3))
    assert places.abs().max() == 0 and shares.tolist() == [0, 0]


def test_more_rows_than_fit_at_a_time_give_the_same_map(monkeypatch):
    x = cloud(50)
    whole, _ = pca(x)
    monkeypatch.setattr("dcmq.explore.map._PART", 7)
    torch.testing.assert_close(pca(x)[0], whole)


def test_umap_says_what_to_install_or_that_there_are_too_few_rows(monkeypatch):
    with pytest.raises(DcmqError, match="more than 15 items, these are 3"):
        umap(torch.rand(3, 4))
    real = builtins.__import__

    def without(name, *args, **options):
        if name == "umap":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DcmqError, match=r"pip install 'dcmq\[umap\]'"):
        umap(torch.rand(30, 4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_umap_is_repeatable_and_keeps_two_far_groups_apart():
    pytest.importorskip("umap")
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.eye(8)[i] + 0.05 * torch.randn(40, 8, generator=generator) for i in (0, 1)])
    places = umap(x)
    torch.testing.assert_close(places, umap(x))
    centres = places.view(2, 40, 2).mean(1)
    within = (places.view(2, 40, 2) - centres[:, None]).norm(dim=2).max()
    assert (centres[0] - centres[1]).norm() > within


def test_an_item_of_several_labels_takes_its_rarest():
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    counts = {0: 3, 1: 3, 2: 2}
    expected = []
    for row in labels:
        mine = [c for c in range(3) if row[c]]
        expected.append(min(mine, key=lambda c: (counts[c], c)) if mine else -1)
    assert rarest_label(labels).tolist() == expected == [0, 0, 2, 2, -1, 1]


def test_hubness_counts_the_lists_an_item_stands_in():
    scores = torch.rand(9, 12, generator=torch.Generator().manual_seed(1))
    nearest = scores.topk(3).indices.numpy()
    expected = [0] * 12
    for query in scores.tolist():
        for item in sorted(range(12), key=lambda i: -query[i])[:3]:
            expected[item] += 1
    assert hubness(nearest, 12).tolist() == expected and sum(expected) == 27


def test_quantization_error_of_hand_made_codes():
    codebooks = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [-1.0, 0.0]]])  # lengths count for nothing
    x = torch.tensor([[5.0, 0.0, 0.5, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    indices = torch.tensor([[0, 0], [1, 1], [0, 0]])
    error = quantization_error(x, indices, codebooks)
    assert error[0] == 0  # both sub-vectors point as their codewords do
    assert error[1] == pytest.approx(math.sqrt((0 + 4) / 2))  # one right, one opposite
    assert error[2] == pytest.approx(math.sqrt((2 - math.sqrt(2) + 2) / 2))  # 45 degrees; a zero sub-vector


def test_quantization_error_against_a_loop():
    generator = torch.Generator().manual_seed(2)
    x, codebooks = torch.randn(5, 12, generator=generator), torch.randn(3, 6, 4, generator=generator)
    indices = torch.randint(6, (5, 3), generator=generator)
    for i, error in enumerate(quantization_error(x, indices, codebooks)):
        squares = 0
        for m in range(3):
            part, word = x[i, 4 * m : 4 * m + 4], codebooks[m, indices[i, m]]
            squares += float(((part / part.norm() - word / word.norm()) ** 2).sum())
        assert error.item() == pytest.approx(math.sqrt(squares / 3), abs=1e-6)


def test_colours_of_a_measure_span_its_values_but_for_the_highest_hundredth():
    values = np.array([np.nan, *range(1, 201)], float)
    steps, low, high = levels(values)
    assert steps[0] == NONE and steps[1] == 0 and (low, high) == (1, 199)
    assert steps[-1] == steps[-2] == 254 and (np.diff(steps[1:].astype(int)) >= 0).all()
    assert levels(np.full(3, 5.0))[0].tolist() == [0, 0, 0]
    assert levels(np.full(2, np.nan))[0].tolist() == [NONE, NONE]


def test_nearest_takes_the_largest_scores_and_breaks_ties_as_the_metrics_do():
    scores = np.array([[0.1, 0.9, 0.5, 0.9], [0.3, 0.2, 0.1, 0.4]], np.float32)
    order = tie_permutation(4).tolist()
    expected = [sorted(range(4), key=lambda i: (-row[i], order.index(i)))[:3] for row in scores.tolist()]
    assert nearest(scores, 3).tolist() == expected


def test_hubness_of_items_against_a_loop_over_queries():
    bench = random_bench()
    ranker, items = bench.rankers["one"], bench.items
    gallery, expected = items.gallery("images"), np.zeros(len(items))
    for query in np.flatnonzero(items.splits == "query"):
        table = lookup_tables(ranker.embeddings["texts"][query][None], ranker.codebooks)[0]
        score = {
            row: sum(float(table[m, ranker.codes["images"][row][m]]) for m in range(4)) for row in gallery.tolist()
        }
        for row in sorted(score, key=lambda r: -score[r])[:10]:
            expected[row] += 1
    found = item_hubness(bench, ranker, "images")
    assert np.isnan(found[items.splits == "query"]).all()
    assert found[gallery].tolist() == expected[gallery].tolist() and expected.sum() == 10 * 20


def test_items_of_one_kind_alone_are_each_others_queries_but_not_their_own():
    bench = random_bench()
    has = {"images": np.ones(90, bool), "texts": np.zeros(90, bool)}
    bench.items = replace(bench.items, has=has, splits=np.full(90, "gallery"), labels=None)
    ranker = bench.rankers["one"]
    same = dict(
        ranker.embeddings, images=torch.ones(90, 16)
    )  # all scores tie: only leaving itself out tells items apart
    counts = item_hubness(bench, replace(ranker, embeddings=same), "images")
    assert counts.sum() == 900
    first = tie_permutation(90).tolist()[:11]  # each of the first ten makes room for the eleventh in its own list
    assert [counts[i] for i in first] == [89] * 10 + [10]


def test_places_and_colours_come_for_every_shown_ranker_images_before_texts():
    bench = random_bench()
    result, (rows, *places) = answer(bench, "map_places", {"kinds": "both"})
    assert result["images"] == 90 and [panel["name"] for panel in result["panels"]] == ["one", "two"]
    assert np.frombuffer(rows, np.int32).tolist() == [*range(90), *range(90)]
    for panel, buffer, name in zip(result["panels"], places, ("one", "two"), strict=True):
        x = torch.cat([compared(bench.rankers[name], kind, np.arange(90)) for kind in ("images", "texts")])
        assert np.frombuffer(buffer, np.float32).reshape(-1, 2) == pytest.approx(pca(x)[0].numpy())
        assert panel["shares"] == pytest.approx(pca(x)[1].tolist())
    for color, label in (("class", ""), ("label", "blue"), ("split", ""), ("hubness", ""), ("error", "")):
        legends = answer(bench, "map_colors", {"kinds": "both", "color": color, "label": label})
        assert len(legends[0]["legends"]) == 2 and [len(buffer) for buffer in legends[1]] == [180, 180]
        json.dumps(legends[0])


def test_categories_are_named_the_most_frequent_first():
    bench = random_bench()
    result, (buffer, _) = answer(bench, "map_colors", {})
    legend, steps = result["legends"][0], np.frombuffer(buffer, np.uint8)
    rarest = rarest_label(bench.items.labels)
    named = [legend["names"][c] for c in steps]
    assert named == [bench.items.classes[c] for c in rarest]
    assert np.bincount(steps).tolist() == sorted(np.bincount(rarest), reverse=True)
    (legend, _) = answer(bench, "map_colors", {"color": "label", "label": "blue"})[0]["legends"]
    assert legend["names"] == ["blue", "not blue"]


def test_more_classes_than_colours_share_the_last():
    bench = random_bench()
    classes = tuple(f"class {c}" for c in range(300))
    labels = np.eye(300, dtype=bool)[np.r_[np.arange(300), np.zeros(5, int)]]
    bench.items = replace(bench.items, labels=labels, classes=classes)
    _, names, numbers = category_colors(bench, "class", "")
    assert len(names) == 255 and names[-1] == "other classes" and numbers.max() == 254
    assert names[0] == "class 0" and (numbers == 0).sum() == 6


def test_a_ranker_without_a_measure_says_so_and_leaves_the_other_its_colours():
    bench = random_bench()
    bench.set("right", "teacher tiny")
    result, (left, right) = answer(bench, "map_colors", {"color": "error"})
    assert "low" in result["legends"][0] and "has no codes" in result["legends"][1]["error"]
    assert set(right) == {NONE} and NONE not in left


@pytest.mark.parametrize(
    "kind, arguments, message",
    [
        ("map_places", {"kinds": "sounds"}, "map_places: kinds: input should be 'images', 'texts' or 'both'"),
        ("map_places", {"layout": "tsne"}, "map_places: layout"),
        ("map_colors", {"color": "taste"}, "map_colors: color"),
    ],
)
def test_bad_arguments_get_one_line(kind, arguments, message):
    with pytest.raises(DcmqError, match=message):
        answer(random_bench(), kind, arguments)


def test_an_unknown_class_is_answered_with_the_nearest():
    (legend, _) = answer(random_bench(), "map_colors", {"color": "label", "label": "gren"})[0]["legends"]
    assert "did you mean green" in legend["error"]


def test_items_without_labels_or_texts_say_so():
    bench = random_bench()
    none = np.zeros(90, bool)
    bench.items = replace(bench.items, labels=None, has={"images": ~none, "texts": none})
    assert "no labels" in answer(bench, "map_colors", {"color": "class"})[0]["legends"][0]["error"]
    with pytest.raises(DcmqError, match="holds no texts"):
        answer(bench, "map_places", {"kinds": "texts"})


@pytest.mark.parametrize("right", ["two", "teacher tiny", ""])
@pytest.mark.parametrize("view", ["map", "codebooks", "targets"])
def test_every_view_has_a_static_drawing_that_is_the_same_each_time(view, right):
    images = []
    for _ in range(2):
        bench = random_bench()
        bench.set("right", right)
        images.append(png(VIEWS[view].figure(bench)))
    assert images[0] == images[1] and len(images[0]) > 4000

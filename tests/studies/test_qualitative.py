"""Fig. 6: the queries that are shown, their first results, and whether they are typical."""

from dataclasses import replace
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from notebook_parameters import parameters
from tiny import several_labels

from dcmq.core.errors import DcmqError
from dcmq.reporting import gallery
from dcmq.studies import qualitative


def test_shown_queries_are_drawn_by_the_seed_alone():
    data, _ = several_labels()
    places = parameters("qualitative").query_places(data)
    assert len(set(places)) == 4 and np.array_equal(places, parameters("qualitative", bits=8, top=3).query_places(data))
    assert not np.array_equal(places, parameters("qualitative", seeds="1").query_places(data))
    assert parameters("qualitative", queries=99).query_places(data).tolist() == list(range(20))


def rankings_of(p, data, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.choice(data.split.gallery, (len(data.split.query), p.top))
    hits = (data.labels[rows] & data.labels[data.split.query][:, None]).any(-1)
    return {direction: (rows, hits) for direction in ("t2i", "i2t")}


def test_the_table_holds_shown_queries_and_all():
    p, (data, _) = parameters("qualitative", queries=2, top=4), several_labels()
    rankings = rankings_of(p, data)
    table = qualitative.table(p, data, rankings)
    hits, places = rankings["t2i"][1], p.query_places(data)
    assert table.columns.tolist() == ["precision@4 t2i", "precision@4 i2t"]
    assert table["precision@4 t2i"].tolist()[:2] == [f"{hits[c].mean():.3f}" for c in places]
    assert table["precision@4 t2i"]["all 20 queries"] == f"{hits.mean():.3f}"
    assert table["precision@4 t2i"]["the 2 shown"] == f"{hits[places].mean():.3f}"
    assert table["precision@4 t2i"]["a random ranking"] == f"{data.chance():.3f}"
    assert table.index.is_unique
    assert {v.word for v in qualitative.verdicts(p, data, rankings)} <= {"holds", "does not hold"}


def test_typical_compares_with_every_draw_there_is():
    p, (data, _) = parameters("qualitative", queries=2, top=4), several_labels()
    rankings = rankings_of(p, data)
    precision, places = rankings["t2i"][1].mean(1), p.query_places(data)
    draws = [precision[list(pair)].mean() for pair in combinations(range(20), 2)]
    expected = (precision[places].mean() - np.mean(draws)) / np.std(draws)
    assert f"lie {expected:+.1f} sd of a random draw of 2" in qualitative.typical(p, data, rankings)[0]
    alike = {d: (rows, np.ones_like(hits)) for d, (rows, hits) in rankings.items()}
    assert "+0.000" in qualitative.typical(p, data, alike)[0]


def test_more_results_than_the_gallery_holds_are_refused_before_training():
    data, teacher = several_labels()
    with pytest.raises(DcmqError, match="top is 71, the gallery holds 70"):
        qualitative.rankings(parameters("qualitative", top=71), data, teacher)


def test_marks_do_not_hang_on_colour_alone():
    """Photos need not be square, and long captions and many labels must not move the images."""
    p, (data, _) = parameters("qualitative", queries=3), several_labels()
    photos = np.random.default_rng(0).integers(0, 255, (90, 20, 30, 3), np.uint8)
    long = tuple((" ".join(["a very long caption of a photo"] * 4),) for _ in range(90))
    data = replace(data, images=photos, captions=long, classes=("traffic light", "dining table", "potted plant"))
    rankings = rankings_of(p, data)
    fig = qualitative.images_figure(p, data, rankings)
    framed = [axis for axis in fig.axes if axis.get_title()]
    assert len(framed) == 3 * p.top
    hits = rankings["t2i"][1][p.query_places(data)].flatten()
    for axis, hit in zip(framed, hits, strict=True):
        assert axis.get_title() == (gallery.RIGHT if hit else gallery.WRONG)
        assert axis.spines["left"].get_linestyle() == ("-" if hit else "--")
        assert bool(axis.get_xlabel()) == hit
    texts = qualitative.texts_figure(p, data, rankings)
    marks = [t.get_text() for axis in texts.axes for t in axis.texts if t.get_text() in (gallery.RIGHT, gallery.WRONG)]
    hits = rankings["i2t"][1][p.query_places(data)].flatten()
    assert marks == [gallery.RIGHT if hit else gallery.WRONG for hit in hits]
    plt.close("all")

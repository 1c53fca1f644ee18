"""The template for an idea of one's own: rows by name, and verdicts that ask for seeds, queries and both galleries."""

import numpy as np
import pandas as pd
import pytest
import torch
from notebook_parameters import parameters
from tiny import several_labels

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import PlannedRun
from dcmq.methods.base import METHODS
from dcmq.methods.dcmq.losses import LOSSES, register_loss
from dcmq.methods.dcmq.targets import TARGETS, npc, target_matrix
from dcmq.reporting.results import results_frame
from dcmq.studies import own_idea


def test_the_example_lifts_all_pairs_of_equal_labels():
    labels = torch.tensor([[1, 0], [0, 1], [1, 0]])
    similarity = torch.tensor([[0.5, 0.1, 0.4], [0.2, 0.6, 0.3], [0.4, 0.0, 0.5]])
    expected = npc(similarity)
    expected[0, 2] = expected[2, 0] = 1.0
    assert torch.equal(target_matrix("npc_same_labels", similarity, labels), expected)


def test_rows_are_named_by_parts_and_further_words():
    study = parameters(
        "own_idea", idea="npc_same_labels  tau=0.3", rivals="npc; pqg ; distillation;small_convnet; CMHH; DCMQ"
    )
    rows = {row.name: row for row in study.variants()}
    assert list(rows)[0] == "npc_same_labels tau=0.3"
    assert rows["npc_same_labels tau=0.3"].settings == {"target": "npc_same_labels", "tau": 0.3}
    assert rows["npc"].settings == {"target": "npc"} and rows["npc"].epoch_factor == 1
    assert rows["pqg"].settings == {"quantizer": "pqg"} and rows["distillation"].settings == {"loss": "distillation"}
    assert rows["small_convnet"].settings == {"image_encoder": "small_convnet"}
    for name in ("CMHH", "DCMQ"):
        assert (rows[name].method, rows[name].epoch_factor) == (name, METHODS[name].epoch_factor)
    rows = parameters("own_idea", rivals="CMHH; DCMQ; DCMQ npc_same_labels epochs=4").plan()
    assert [run.config.epochs for run in rows[:: len(study.seed_list)]] == [10, 30, 30, 4]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"idea": "npc; raw"}, "an idea is one row"),
        ({"idea": ""}, "an idea is one row"),
        ({"rivals": "npc; npc"}, "rivals are different rows"),
        ({"rivals": "npc;"}, "rivals are different rows"),
    ],
)
def test_rows_that_are_none_are_refused_at_once(changes, line):
    with pytest.raises(DcmqError, match=line) as caught:
        parameters("own_idea", **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"idea": "npc_same_lables"},
            "'npc_same_lables' is no registered target, .*did you mean npc_same_labels.*run the cell",
        ),
        ({"rivals": "npc_same_labels"}, "are one and the same run"),
        ({"rivals": "npc; distillation"}, "'npc' and 'distillation' are one and the same run"),
        ({"rivals": "npc; npc tau=0.20"}, "'npc' and 'npc tau=0.20' are one and the same run"),
        ({"rivals": "CMHH raw"}, "CMHH has no setting 'target', so it would change nothing"),
        ({"rivals": "npc multihot"}, "says target twice"),
        ({"seeds": ""}, "seeds: none is given"),
        ({"idea": "npc tua=1"}, "'tua' is no setting; did you mean tau"),
        ({"idea": "target=nowhere"}, "target: 'nowhere' is not registered"),
        ({"idea": "method=nowhere"}, "method: 'nowhere' is not registered"),
    ],
)
def test_rows_of_unknown_names_are_refused_by_the_plan(changes, line):
    with pytest.raises(DcmqError, match=line) as caught:
        parameters("own_idea", **changes).plan()
    assert "\n" not in str(caught.value)


def test_a_name_of_two_parts_must_say_which(monkeypatch):
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES))
    register_loss("npc_same_labels")(lambda batch: {})
    with pytest.raises(DcmqError, match="several parts: write target=npc_same_labels or loss=npc_same_labels"):
        parameters("own_idea").variants()


def test_each_question_has_a_folder_of_its_own():
    one = parameters("own_idea")
    others = [
        {"rivals": "npc"},
        {"idea": "npc_same_labels tau=0.3"},
        {"validation": True},
        {"bits": 32},
        {"seeds": "0,1,2"},
        {"data_options": "train=400"},
    ]
    names = {one.name, *(parameters("own_idea", **changes).name for changes in others)}
    assert len(names) == 7 and not any(set(name) & set(" =/:") for name in names)


def test_the_validation_cut_is_asked_where_it_is_said():
    assert parameters("own_idea", validation=True).setup().validation
    assert not parameters("own_idea").setup().validation


def result(unseen: float, whole: float, queries: int = 200):
    """A record whose queries all have AP ``whole``, in thousandths, and whose mAP on unseen items is ``unseen``."""
    line = " ".join([str(round(1000 * whole))] * queries)
    both = {name: whole for name in ("mAP@5 (hits)", "mAP@all")}
    part = {"gallery": both | {"AP per query": dict.fromkeys(both, line)}, "unseen": dict.fromkeys(both, unseen)}
    return {"evaluation": {"i2t": part, "t2i": part}}


def judged(idea, rival):
    """The word of the idea against one rival; each is a (unseen, whole) per seed."""
    study = parameters("own_idea", seeds=",".join(map(str, range(len(idea)))), rivals="npc")
    plan = study.plan()
    records = [result(*values) for values in (*idea, *rival)]
    frame = results_frame(plan, records)
    table = own_idea.judgement(plan, records, frame, "unseen", 5)
    assert len(table) == 4 and table.word.nunique() == 1
    return table.word[0]


@pytest.mark.parametrize(
    ("idea", "word"),
    [
        ([(0.60, 0.60), (0.61, 0.61), (0.60, 0.60)], "ahead"),
        ([(0.40, 0.40), (0.41, 0.41), (0.40, 0.40)], "behind"),
        ([(0.60, 0.40), (0.61, 0.41), (0.60, 0.40)], "undecided"),  # the galleries disagree
        ([(0.40, 0.60), (0.70, 0.60), (0.45, 0.60)], "undecided"),  # the seeds do
        ([(0.60, 0.50), (0.61, 0.50), (0.60, 0.50)], "undecided"),  # no query tells them apart
    ],
)
def test_a_word_asks_for_seeds_queries_and_both_galleries(idea, word):
    assert judged(idea, [(0.5, 0.5)] * 3) == word


def test_one_seed_or_two_decide_nothing():
    assert judged([(0.9, 0.9)], [(0.1, 0.1)]) == "undecided"
    assert judged([(0.9, 0.9), (0.91, 0.9)], [(0.1, 0.1)] * 2) == "undecided"


def test_the_text_of_the_idea_is_for_the_record():
    text = own_idea.source(parameters("own_idea"))
    assert text.startswith("@register_target\ndef npc_same_labels(") or "def npc_same_labels(" in text
    assert own_idea.source(parameters("own_idea", idea="raw")) == ""


def test_unequal_training_is_said():
    table = pd.DataFrame(
        [("CMHH", "i2t", "mAP@all", 0.02, "ahead")], columns=["rival", "direction", "metric", "difference", "word"]
    )
    text = own_idea.what_to_say(table, parameters("own_idea", rivals="CMHH"), "unseen")
    assert "Not trained alike: epochs npc_same_labels 10, CMHH 30." in text
    assert "Not trained alike" not in own_idea.what_to_say(table, parameters("own_idea"), "unseen")


def test_what_is_said_follows_from_the_words():
    rows = [
        ("npc", "i2t", "mAP@all", 0.02, "ahead"),
        ("npc", "t2i", "mAP@all", 0.001, "undecided"),
        ("raw", "i2t", "mAP@all", -0.03, "behind"),
        ("raw", "t2i", "mAP@all", -0.04, "behind"),
    ]
    table = pd.DataFrame(rows, columns=["rival", "direction", "metric", "difference", "word"])
    text = own_idea.what_to_say(table, parameters("own_idea", rivals="npc; raw"), "unseen")
    assert (
        "Against npc, npc_same_labels is ahead in i2t by mAP@all (+0.020); undecided in t2i by mAP@all (+0.001)."
        in text
    )
    assert "Against raw, npc_same_labels is behind in i2t by mAP@all (-0.030) and t2i by mAP@all (-0.040)." in text
    assert "5 seeds; differences on items that were not trained on; measured on the queries" in text
    assert "validation cut" in own_idea.what_to_say(table, parameters("own_idea", validation=True), "gallery")


def test_the_targets_are_drawn_once_each_as_distributions():
    data, teacher = several_labels()
    plan = parameters("own_idea", rivals="npc; multihot; npc tau=0.5; CMHH", seeds="0,1").plan()
    figure = own_idea.targets_figure(plan, data, teacher, size=16)
    panels = [axis for axis in figure.axes if axis.images]
    titles = [axis.get_title() for axis in panels]
    assert titles == ["npc_same_labels", "npc, scope batch, tau 0.2", "multihot", "npc, scope batch, tau 0.5"]
    for axis in panels:
        np.testing.assert_allclose(axis.images[0].get_array().sum(1), 1, rtol=1e-5)
    hashing = [run for run in plan if run.config.method == "CMHH"]
    assert own_idea.targets_figure(hashing, data, teacher) is None
    assert isinstance(hashing[0], PlannedRun) and "npc_same_labels" in TARGETS

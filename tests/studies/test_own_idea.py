"""The template for an idea of one's own: rows by name, and verdicts that say what they rest on."""

import numpy as np
import pytest
import torch
from made_up_runs import records_of
from notebook_parameters import parameters
from tiny import several_labels

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import PlannedRun
from dcmq.methods.dcmq.losses import LOSSES, register_loss
from dcmq.methods.dcmq.targets import TARGETS, npc, target_matrix
from dcmq.reporting.results import results_frame
from dcmq.studies import own_idea

TAU = parameters("own_idea", rivals="npc").plan()[-1].config.tau  # what a row has that does not name one


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
    assert rows["npc"].settings == {"target": "npc"}
    assert rows["pqg"].settings == {"quantizer": "pqg"} and rows["distillation"].settings == {"loss": "distillation"}
    assert rows["small_convnet"].settings == {"image_encoder": "small_convnet"}
    for name in ("CMHH", "DCMQ"):
        assert rows[name].method == name
    rows = parameters("own_idea", rivals="CMHH; DCMQ; DCMQ npc_same_labels epochs=4").plan()
    assert rows[-1].config.epochs == 4


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
        ({"rivals": f"npc; npc tau={TAU}0"}, f"'npc' and 'npc tau={TAU}0' are one and the same run"),
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


def decided(levels, **changes):
    """The verdicts of the idea against its rivals: three seeds of made-up runs, each variant at its level by direction."""
    study = parameters("own_idea", rivals="; ".join(list(levels)[1:]), **({"seeds": "0,1,2"} | changes))
    plan = study.plan()
    frame = results_frame(plan, records_of(plan, lambda run, direction: levels[run.variant][direction == "t2i"]))
    return own_idea.verdicts(frame), study, frame


def test_the_idea_is_judged_against_each_rival_by_direction_and_metric():
    levels = {"npc_same_labels": (0.6, 0.5), "npc": (0.5, 0.4), "raw": (0.5, 0.6)}
    (better, mixed), _, _ = decided(levels)
    assert (better.claim, better.word) == ("npc_same_labels > npc", "holds") and len(better.parts) == 4
    assert mixed.word == "does not hold"
    assert {part.word for part in mixed.parts if part.direction == "i2t"} == {"holds"}
    (verdict,), _, _ = decided({"npc_same_labels": (0.9, 0.9), "npc": (0.1, 0.1)}, seeds="0")
    assert verdict.word == "one seed cannot tell"


def test_the_text_of_the_idea_is_for_the_record():
    text = own_idea.source(parameters("own_idea"))
    assert text.startswith("@register_target\ndef npc_same_labels(") or "def npc_same_labels(" in text
    assert own_idea.source(parameters("own_idea", idea="raw")) == ""


def test_what_is_said_follows_from_the_verdicts():
    verdicts, study, _ = decided({"npc_same_labels": (0.6, 0.5), "npc": (0.5, 0.4), "raw": (0.5, 0.6)})
    text = own_idea.what_to_say(verdicts, study, "unseen")
    first, second, *_ = text.splitlines()
    assert first.startswith("npc_same_labels > npc: holds (holds in i2t by mAP@R (hits) +.")
    assert (
        second.startswith("npc_same_labels > raw: does not hold (holds in i2t by ") and "reversed in t2i by " in second
    )
    assert "3 seeds; judged on: items not trained on; measured on the queries" in text
    assert "validation cut" in own_idea.what_to_say([], parameters("own_idea", validation=True), "gallery")


def test_unequal_training_is_said():
    unlike = parameters("own_idea", rivals="npc epochs=30")
    text = own_idea.what_to_say([], unlike, "unseen")
    assert f"Not trained alike: epochs npc_same_labels {unlike.plan()[0].config.epochs}, npc epochs=30 30." in text
    assert "Not trained alike" not in own_idea.what_to_say([], parameters("own_idea", rivals="npc"), "unseen")


def test_the_figure_has_a_mark_per_seed_and_one_for_their_mean():
    _, _, frame = decided({"npc_same_labels": (0.6, 0.5), "npc": (0.5, 0.4), "raw": (0.5, 0.6)})
    for axis in own_idea.figure(frame, 5).axes:
        assert [len(line.get_xdata()) for line in axis.lines[:8]] == [3, 1] * 4
    labels = own_idea.figure(frame, 5).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [
        "npc, i2t",
        "npc, t2i",
        "raw, i2t",
        "raw, t2i",
    ]


def test_the_targets_are_drawn_once_each_as_distributions():
    data, teacher = several_labels()
    plan = parameters("own_idea", rivals="npc; multihot; npc tau=0.5; CMHH", seeds="0,1").plan()
    figure = own_idea.targets_figure(plan, data, teacher, size=16)
    panels = [axis for axis in figure.axes if axis.images]
    titles = [axis.get_title() for axis in panels]
    assert titles == ["npc_same_labels", f"npc, scope batch, tau {TAU:g}", "multihot", "npc, scope batch, tau 0.5"]
    for axis in panels:
        np.testing.assert_allclose(axis.images[0].get_array().sum(1), 1, rtol=1e-5)
    hashing = [run for run in plan if run.config.method == "CMHH"]
    assert own_idea.targets_figure(hashing, data, teacher) is None
    assert isinstance(hashing[0], PlannedRun) and "npc_same_labels" in TARGETS

"""The study of what the teacher reads: its rows, its claims and its advice, on made-up results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults, validated
from dcmq.studies import teacher_text as study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "teacher_text.ipynb"


def parameters(**changes):
    return validated(study.Parameters, defaults(NOTEBOOK) | changes)


def test_the_notebooks_defaults_are_the_studys():
    p = parameters()
    assert (p.texts, p.gallery_texts, p.longer) == (study.TEXTS, study.GALLERY_TEXTS, study.LONGER)
    assert parameters(texts="labels").name.startswith(p.name) and parameters(texts="labels").name != p.name


def test_rows_differ_in_what_is_read_and_trained_on_alone():
    configs = {run.variant: run.config for run in parameters(seeds="0").plan()}
    plain = configs["labels"]
    assert (plain.teacher_text, plain.train_on, plain.target) == ("labels", "train", "npc")
    for name, config in configs.items():
        assert config.teacher_text == name.partition(",")[0]
        longer, gallery = name.endswith("as many steps"), "gallery seen" in name
        assert config.train_on == ("gallery" if gallery else "train")
        assert config.epochs == (round(2.75 * plain.epochs) if longer else plain.epochs)
        same = {"teacher_text": "", "train_on": "", "epochs": 0}
        assert config.model_copy(update=same) == plain.model_copy(update=same)
    assert len(configs) == 6 + 2 * 2


def test_a_teacher_from_a_file_has_one_row_and_says_why():
    p = parameters(teacher="precomputed:vectors.npz", seeds="0")
    assert [run.variant for run in p.plan()] == ["labels"]
    assert "left out: captions, tags" in study.left_out_text(p) and not study.left_out_text(parameters())
    with pytest.raises(DcmqError, match="name labels"):
        parameters(teacher="precomputed:vectors.npz", texts="tags").plan()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(texts="labels,title"), "'title' is none of labels, captions, tags, names"),
        (dict(gallery_texts="labels+tags"), "nobody may know those of the gallery"),
        (dict(longer=0.5), "parameter 'longer'"),
    ],
)
def test_bad_parameters_get_one_line(changes, words):
    with pytest.raises(DcmqError) as caught:
        parameters(**changes)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def made_up(means, seeds=8):
    """Results whose rows have these means, each seed on data of its own, with a little noise."""
    rng = np.random.default_rng(0)
    rows = [
        dict(variant=name, seed=s, direction=d, gallery="unseen", metric=m, value=mean + rng.normal(0, 0.002), data=s)
        for name, mean in means.items()
        for s in range(seeds)
        for d in ("i2t", "t2i")
        for m in ("mAP@R (hits)", "mAP@all")
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(queries=[np.array([value]) for value in frame.value])


MEANS = {"labels": 0.6, "captions": 0.5, "tags": 0.52, "names": 0.55}
MORE = {study.longer_row("names"): 0.551, study.gallery_row("names"): 0.58}


def test_claims_are_those_whose_rows_are_there():
    found = study.verdicts(made_up(MEANS | MORE))
    assert [v.claim for v in found] == [
        "labels > captions",
        "labels > tags",
        "labels > names",
        "names > tags",
        f"{study.gallery_row('names')} > names",
        f"{study.gallery_row('names')} > {study.longer_row('names')}",
    ]
    assert {v.word for v in found} == {"holds"} and all(len(v.parts) == 4 for v in found)
    assert study.verdicts(made_up({"labels": 0.6})) == []


def test_a_row_below_the_floor_is_not_judged():
    found = study.verdicts(made_up(MEANS), floor=0.51)
    assert found[0].word == "not judged" and "captions did not learn" in found[0].detail and found[1].word == "holds"


def test_advice_follows_the_numbers():
    frame = made_up(MEANS | MORE)
    advice = study.advice(frame, study.verdicts(frame))
    assert advice.startswith("With labels: labels (mAP@all 0.60")
    assert f"Without labels: {study.gallery_row('names')} (0.58" in advice and "better in 2 of 2" in advice
    turned = made_up({"labels": 0.4, "names": 0.5, study.gallery_row("names"): 0.3})
    advice = study.advice(turned, study.verdicts(turned))
    assert "Without labels: names (0.50" in advice and "better in 0 of 1" in advice
    assert "No row learned" in study.advice(turned, [], floor=0.7)
    alone = made_up({"labels": 0.4})
    assert "Without labels: not judged here" in study.advice(alone, [])


def test_steps_are_said_to_be_equal_only_where_they_are():
    data, _ = tiny_dataset()
    share = len(data.split.gallery) / len(data.split.train)
    assert "as planned" in study.steps_text(parameters(longer=share), data)
    assert "steps are not equal" in study.steps_text(parameters(), data)


def test_the_teachers_row_is_its_own_retrieval_with_that_text():
    data, teacher = tiny_dataset()
    table = study.teacher_table(teacher, data, ["labels"], 70)
    assert table.index.tolist() == ["labels"] and table.loc["labels", "mAP@all i2t"].startswith("1.0")
    read = study.examples(teacher, replace(data, captions=()), ["labels"], 3)
    assert read.labels.tolist() == data.label_sentences(data.split.train[:3])

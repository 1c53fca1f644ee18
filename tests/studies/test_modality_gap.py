"""The study of codebooks and modalities: its rows, its tables and its claims, on made-up results."""

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from records import metrics, record
from tiny import tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.base import count_parameters
from dcmq.methods.dcmq.student import Student
from dcmq.studies import modality_gap as study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "modality_gap.ipynb"


def parameters(**changes):
    return validated(study.Parameters, defaults(NOTEBOOK) | changes)


def made_up(p, value):
    """A plan with records whose AP is 1,000 times what ``value`` says of a variant, a direction and a seed."""
    plan, records = p.plan(), []
    rng = np.random.default_rng(0)
    for run in plan:
        found = record(str(len(records)), bits=run.tags["bits"], seed=run.config.seed)
        found["dataset"]["fingerprint"] = f"draw {run.config.seed}"
        for direction in study.ALL_DIRECTIONS:
            noise = rng.normal(0, 1, 40)
            ap = 1000 * value(run.variant, direction, run.config.seed) + noise - noise.mean()
            measured = metrics(" ".join(f"{x:.0f}" for x in ap))
            if direction in study.INTRA:
                found["evaluation"][direction] = {"unseen": {k: v for k, v in measured.items() if k.startswith("mAP")}}
            else:
                found["evaluation"][direction] = {"unseen": measured, "own pair": {"1": 0.1, "5": 0.2, "10": 0.3}}
        records.append(found)
    return plan, records


def test_all_rows_are_planned_at_each_length_and_rabitq_at_the_longest_alone():
    plan = parameters(bits="32,64", seeds="0,1").plan()
    lengths = {}
    for run in plan:
        lengths.setdefault(run.variant, set()).add(run.tags["bits"])
    assert lengths.pop(study.RABITQ) == {64}
    assert set(lengths) == {study.IMAGES, study.WORDS, study.BOTH, study.SHARED, study.APART}
    assert all(found == {32, 64} for found in lengths.values())
    assert len(plan) == (5 * 2 + 1) * 2


def test_dcmqs_rows_differ_in_their_codebooks_alone():
    configs = {run.variant: run.config for run in parameters(bits="64", seeds="0").plan()}
    shared, apart = configs[study.SHARED], configs[study.APART]
    assert (shared.student.codebooks, apart.student.codebooks) == ("shared", "per-modality")
    changed = apart.student.model_copy(update={"codebooks": "shared"})
    assert apart.model_copy(update={"student": changed}) == shared


def test_other_texts_have_rows_and_a_folder_of_their_own_and_unknown_ones_are_refused():
    p = parameters(texts="labels,tags", seeds="0")
    names = {run.variant: run.config.method for run in p.plan()}
    assert names["OPQ of images, reads tags"] == "teacher-OPQ(images)-tags"
    assert p.name != parameters().name
    with pytest.raises(DcmqError, match="texts: 'titles' is not known"):
        parameters(texts="titles")


def by_codewords(variant, direction, seed):
    """Codewords of one modality are bad at coding the other; all else is alike."""
    coded = direction[2]
    foreign = (variant.startswith(study.IMAGES) and coded == "t") or (variant.startswith(study.WORDS) and coded == "i")
    return (0.3 if foreign else 0.5) + 0.01 * seed


def test_verdicts_say_in_which_direction_codewords_of_one_modality_lose():
    p = parameters(bits="32", seeds="0,1,2,3", texts="labels,tags")
    frame = study.all_directions(*made_up(p, by_codewords))
    found = {verdict.claim: verdict for verdict in study.verdicts(frame)}
    assert len(found) == 5
    for reads in ("", ", reads tags"):
        for one, loses in ((study.IMAGES, "i2t"), (study.WORDS, "t2i")):
            verdict = found[f"4 bytes: {study.BOTH}{reads} > {one}{reads}"]
            assert verdict.word == "holds in part"
            assert {part.direction for part in verdict.parts if part.word == "holds"} == {loses}
    assert found[f"4 bytes: {study.SHARED} > {study.APART}"].word == "a tie"


def test_rows_below_the_floor_are_not_judged():
    frame = study.all_directions(*made_up(parameters(bits="32", seeds="0,1,2"), lambda *_: 0.2))
    assert {verdict.word for verdict in study.verdicts(frame, floor=0.3)} == {"not judged"}


def test_the_gap_is_within_less_across():
    plan, records = made_up(parameters(bits="32", seeds="0,1"), lambda v, d, s: 0.6 + s / 10 if d[0] == d[2] else 0.4)
    gaps = study.gap_table(study.all_directions(plan, records), "mAP@all")
    assert gaps.loc[study.SHARED, "32 bits"] == ".250 ± .071"
    own = study.own_pair_table(plan, records, 32)
    assert own.loc[study.SHARED, "recall@5 t2i"] == ".200 ± .000"


def test_codewords_of_each_modality_are_counted_as_the_student_has_them():
    for kind in ("shared", "per-modality"):
        config = parameters(bits="64", seeds="0").config(codebooks=kind).student
        student = Student(config.model_copy(update={"backbone_weights": ""}), 20)
        parts = {student.quantizer_of("image"), student.quantizer_of("text")}
        assert study.codeword_numbers(config) == sum(map(count_parameters, parts))


def test_sizes_tell_bytes_at_each_length_and_that_two_sets_are_twice_the_codewords():
    sizes = study.sizes_table(*made_up(parameters(bits="32,64", seeds="0"), by_codewords))
    assert sizes.loc[study.SHARED, "bytes per item"] == "4, 8"
    shared, apart = (int(sizes.loc[n, "of them codewords"].replace(",", "")) for n in (study.SHARED, study.APART))
    assert apart == 2 * shared and sizes.loc[study.BOTH, "of them codewords"] == ""


def test_the_gap_of_a_teacher_is_the_distance_of_its_means():
    data, teacher = tiny_dataset()
    vectors = teacher.image + torch.tensor([3.0] + [0.0] * 7), teacher.text
    assert "are 3.000 apart" in study.gap_text(replace(teacher, vectors=lambda: vectors), data.split.train)


def test_the_figure_has_a_panel_per_length_and_a_mark_per_run_and_direction():
    p = parameters(bits="32,64", seeds="0,1")
    figure = study.figure(study.all_directions(*made_up(p, by_codewords)), "mAP@all", "mAP@all", 0.2)
    left, right = figure.axes
    marks = [
        sum(len(line.get_xdata()) for line in axis.lines if line.get_linestyle() == "None") for axis in figure.axes
    ]
    assert left.get_title() == "4 bytes" and right.get_title() == "8 bytes"
    assert marks[1] - marks[0] in (0, 8)  # RaBitQ: two seeds, four directions
    plt.close(figure)

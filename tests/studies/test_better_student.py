"""The study of a better student: its rows, its claims and its summary, on made-up results."""

from pathlib import Path

import pytest
from made_up_runs import records_of

from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.registry import METHODS
from dcmq.reporting.results import results_frame
from dcmq.studies import better_student as study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "better_student.ipynb"
LADDER = [*study.STEPS, study.BEST]
PHOTOS = dict(dataset="coco", teacher="precomputed:vectors.npz")


def parameters(**changes):
    return validated(study.Parameters, defaults(NOTEBOOK) | changes)


def differences(one, other):
    one, other = (config.model_dump() | config.student.model_dump() for config in (one, other))
    return {name for name in one if one[name] != other[name]} - {"student"}


def test_from_one_step_to_the_next_one_part_changes():
    configs = {run.variant: run.config for run in parameters(seeds="0").plan()}
    changes = [differences(configs[one], configs[other]) for one, other in zip(LADDER, LADDER[1:], strict=False)]
    assert changes == [{"loss"}, {"loss"}, {"quantizer"}]
    assert configs[LADDER[0]].target == configs[study.SHARED].target == METHODS[study.SHARED].settings["target"]
    tower = differences(configs[study.BEST], configs[study.TOWER])
    assert (
        tower == {"image_encoder", "backbone_weights", "image_size"} and configs[study.TOWER].student.image_size == 64
    )


def test_the_tower_has_fewer_seeds_and_only_those_of_the_study():
    p = parameters(seeds="1,2,3,4", tower_seeds="0,1,2")
    seeds = {name: [run.config.seed for run in p.plan() if run.variant == name] for name in (study.TOWER, study.BEST)}
    assert seeds == {study.TOWER: [1, 2], study.BEST: [1, 2, 3, 4]}
    for none in (parameters(tower_seeds=""), parameters(seeds="7")):
        assert study.TOWER not in {run.variant for run in none.plan()}
        assert "tower_seeds names none of seeds" in study.left_out_text(none)
    assert not study.left_out_text(p)


def test_a_teacher_from_a_file_leaves_two_rows_out_and_says_why():
    p = parameters(**PHOTOS)
    assert {study.TOWER, study.OPQ_TAGS}.isdisjoint({variant.name for variant in p.variants()})
    assert study.OPQ_LABELS in {variant.name for variant in p.variants()}
    assert "label sentences alone" in study.left_out_text(p) and "clip and clip-wide" in study.left_out_text(p)


def frame_of(levels, seeds="0,1,2,3,4,5", default=0.4, **changes):
    plan = parameters(seeds=seeds, **changes).plan()
    return results_frame(plan, records_of(plan, lambda run, _: levels.get(run.variant, default), noise=0.001))


RISING = {name: 0.42 + 0.02 * i for i, name in enumerate(LADDER)}
LINES = {study.OPQ_TAGS: 0.5, study.OPQ_LABELS: 0.6}


def test_each_step_is_judged_against_the_one_before():
    found = {verdict.claim: verdict.word for verdict in study.verdicts(frame_of(RISING | LINES))}
    for better, worse in zip(LADDER[1:], LADDER, strict=False):
        assert found[f"{better} > {worse}"] == "holds"
    assert found[f"{study.BEST} > {study.PLAIN}"] == "holds"
    assert found[f"{study.BEST} > {study.OPQ_TAGS}"] == "does not hold"
    assert found[f"{study.SHARED} > {study.PLAIN}"] == "a tie"
    assert len(found) == 2 + 3 + 2 + 2 + 1 + 2


def test_claims_are_those_whose_rows_are_there():
    claims = [verdict.claim for verdict in study.verdicts(frame_of(RISING, **PHOTOS))]
    assert len(claims) == 2 + 3 + 2 + 1 and not [claim for claim in claims if study.TOWER in claim]


def test_the_way_is_from_dcmq_to_the_line():
    way = study.way_table(frame_of({study.BEST: 0.45} | LINES), "mAP@all")
    cells = way[f"way to {study.OPQ_TAGS}"]
    percent = float(cells[study.BEST].removesuffix(" %"))
    assert percent == pytest.approx(50, abs=3) and cells[study.PLAIN] == "0 %"
    assert (
        way.loc[study.TOWER, "seeds"] == str(len(parameters().tower_seeds.split(",")))
        and study.OPQ_TAGS not in way.index
    )
    below = study.way_table(frame_of({study.OPQ_TAGS: 0.3, study.OPQ_LABELS: 0.6}), "mAP@all")
    assert set(below[f"way to {study.OPQ_TAGS}"]) == {""}


def test_the_summary_names_the_best_row_and_what_it_reaches():
    frame = frame_of(RISING | LINES | {study.TOWER: 0.55})
    told, tower = study.summary(frame).split(" From the teacher's image tower: ")
    assert f"start where DCMQ starts: {study.BEST}, +0.0" in told and ", -0.0" in told
    assert tower.startswith("+0.1") and f"against {study.OPQ_LABELS}" in tower
    assert "No row of our own learned" in study.summary(frame, floor=0.7)


def test_the_figure_draws_our_rows_and_the_lines():
    axis = study.figure(frame_of(RISING | LINES), "mAP@all", "mAP@all").axes[0]
    assert len(axis.get_xticks()) == 8 and {text.get_text() for text in axis.texts} == set(study.LINES)

"""Settings that are written for all runs: each reaches some of them, or is refused; and rows that a teacher cannot be asked for."""

import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.study import FROM_A_FILE, TrainingStudy
from dcmq.reporting.report import plan_text
from dcmq.studies.registry import reading_order

TRAINING = [name for name in reading_order() if issubclass(type(parameters(name)), TrainingStudy)]


def notes(name, **changes):
    """The lines on settings and rows left out that a notebook prints before its first run."""
    return plan_text(parameters(name, **changes).plan()).splitlines()[3:]


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("ablation_npc", dict(settings="tau=0.9"), "tau is a parameter of this notebook, say -p tau 0.9"),
        ("ablation_npc", dict(settings="tau=0.9", tau=0.2), "say -p tau 0.9"),
        ("ablation_npc", dict(settings="tau=0.9", tau=0.9), "say -p tau 0.9"),
        ("ablation_npc", dict(settings="npc_scope=row"), "say -p npc_scope row"),
        *(
            ("ablation_npc", dict(settings=f"target={target}"), "change no run")
            for target in ("identity", "npc", "raw")
        ),
        *((name, dict(settings="target=npc"), "change no run") for name in ("captions", "qualitative", "explorer")),
        ("teacher_finetuning", dict(settings="target=raw"), "change no run"),
        ("npc_parts", dict(settings="tau_target=0.3"), "change no run"),
        ("separate_training", dict(settings="schedule=joint"), "change no run"),
        ("teacher_text", dict(settings="teacher_text=tags"), "change no run"),
        ("backbones", dict(settings="image_encoder=small_vit"), "change no run"),
        ("ablation_npc", dict(settings="DCMH.gamma=0.5"), "change no run"),
        ("main_results", dict(settings="tau=0.5", methods="PQ,CMHH", controls=""), "change no run"),
        ("main_results", dict(settings="epochs=5", epochs=3), "say -p epochs 5"),
    ],
)
def test_a_setting_that_no_run_would_have_is_refused(name, changes, line):
    with pytest.raises(DcmqError, match=line) as caught:
        parameters(name, **changes).plan()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TRAINING)
def test_a_setting_that_runs_of_all_notebooks_have_reaches_every_one(name):
    plan = parameters(name, settings="batch_size=96 warmup_epochs=1").plan()
    swept = [run for run in plan if run.tags.get("setting") == "batch_size" or "preset author" in run.variant]
    rest = [run.config for run in plan if run not in swept]
    assert {(config.batch_size, config.warmup_epochs) for config in rest} == {(96, 1)}


def test_what_is_written_again_as_the_default_is_taken():
    default = parameters("bits_and_dimension").config().student.subvector_dim
    assert parameters("bits_and_dimension", settings=f"subvector_dim={default}").plan()
    assert not notes("ablation_npc", settings="quantizer=pqg")


@pytest.mark.parametrize(
    ("name", "changes", "count", "rows"),
    [
        ("ablation_pqg", dict(settings="gumbel_weight=0.3"), "30 of 45 runs", "all rows but without Gumbel"),
        ("ablation_pqg", dict(settings="gumbel_form=scaled"), "15 of 45 runs", "without Gumbel"),
        ("main_results", dict(settings="tau=0.5", seeds="0"), "9 of 45 runs", "DCMQ, DCMQ-multihot, DCMQ-identity"),
        ("main_results", dict(settings="DCMH.gamma=0.5", seeds="0"), "3 of 45 runs", "DCMH"),
        (
            "codewords",
            dict(settings="epochs=3", conditions="epochs x 3"),
            "0 of 9 runs",
            "what they have follows from it",
        ),
        ("teacher_finetuning", dict(settings="backbone_lr_factor=0.5"), "3 of 6 runs", "DCMQ student"),
    ],
)
def test_a_setting_that_some_runs_have_is_said_with_their_rows(name, changes, count, rows):
    (line,) = notes(name, **changes)
    assert line == f"setting {changes['settings']}: {count} have it as it is: {rows}"


def test_a_setting_that_all_have_and_a_plan_without_any_are_not_spoken_of():
    assert not notes("main_results") and not notes("main_results", settings="learning_rate=0.002")


def test_options_of_a_compared_method_count_where_it_is_run_beside_the_plan():
    study = parameters("cost", settings="CMMQ.mutual=0.5")
    assert study.plan() and {run.config.options["mutual"] for run in study.compared_plan()} == {0.5}
    with pytest.raises(DcmqError, match="change no run"):
        parameters("cost", settings="DCMH.gamma=0.5").plan()


def test_rows_whose_text_a_file_of_vectors_does_not_have_are_left_out_and_named():
    study = parameters("main_results", teacher="precomputed:vectors.npz", seeds="0")
    rows = {run.variant for run in study.plan()}
    lost = {"teacher-OPQ-captions", "teacher-OPQ-tags", "teacher-signs-tags"}
    assert not lost & rows and rows >= {"DCMQ", "teacher-labels", "teacher-OPQ-labels", "CMHH"}
    (line,) = plan_text(study.plan()).splitlines()[3:]
    assert line == f"left out {', '.join(sorted(lost))}: {FROM_A_FILE}"
    assert parameters("main_results").plan().left_out == {}


def test_where_all_rows_are_lost_it_is_said_before_anything_runs():
    with pytest.raises(DcmqError, match="label sentences alone, and nothing else is asked for than teacher-OPQ-tags"):
        parameters("main_results", teacher="precomputed:a.npz", methods="", controls="teacher-OPQ-tags").plan()
    with pytest.raises(DcmqError, match="label sentences alone"):
        parameters("ablation_npc", teacher="precomputed:a.npz", settings="teacher_text=tags").plan()


@pytest.mark.parametrize("name", TRAINING)
def test_every_notebook_plans_something_with_vectors_from_a_file(name):
    assert parameters(name, teacher="precomputed:vectors.npz").plan()

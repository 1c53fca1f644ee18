"""Names of reports, and the settings of planned runs."""

import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import Variant
from dcmq.experiments.study import TrainingStudy, teacher_label
from dcmq.reporting.report import plan_text
from dcmq.studies.registry import reading_order


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("clip", "clip"),
        ("open_clip:ViT-B-32/openai", "open_clip_ViT-B-32_openai"),
        ("precomputed:/home/me/teacher.npz", "precomputed"),
        ("declip-rn50:/home/me/file.pth", "declip-rn50"),
        ("no-such/teacher", "no-such_teacher"),
    ],
)
def test_of_a_file_a_teacher_has_the_name_of_its_kind(name, label):
    assert teacher_label(name) == label


def test_a_report_is_named_by_what_its_numbers_depend_on():
    assert parameters("main_results").name == "scenes-clip-32-64-128bits-demo"
    assert parameters("teachers", teacher="clip,precomputed:a/b.npz").name == "scenes-clip-precomputed-64bits-demo"
    assert parameters("main_results", epochs=3, dataset="mirflickr:24581").name.startswith("mirflickr_24581-clip-")


def test_a_variant_changes_the_schedule_by_factors():
    study = parameters("ablation_npc", epochs=4)
    plain, changed = (study.run(v, 64, 0).config for v in (Variant("a"), Variant("a", lr_factor=3, epoch_factor=2)))
    assert (changed.epochs, changed.learning_rate) == (8, pytest.approx(3 * plain.learning_rate))
    assert plain.epochs == 4


def test_a_part_that_is_not_registered_is_refused_when_runs_are_planned():
    with pytest.raises(DcmqError, match="target: 'ncp' is not registered; did you mean npc?"):
        parameters("ablation_pqg", settings="target=ncp").plan()


@pytest.mark.parametrize(
    ("changes", "encoder", "weights"),
    [
        ({}, "resnet18", "imagenet"),
        ({"settings": "backbone_weights="}, "resnet18", ""),
        ({"settings": "backbone_weights=mine.pth"}, "resnet18", "mine.pth"),
        ({"settings": "image_encoder=resnet18"}, "resnet18", "imagenet"),
        ({"settings": "image_encoder=small_resnet"}, "small_resnet", ""),  # which has no weights
        ({"settings": "image_encoder=resnet50 backbone_weights=imagenet"}, "resnet50", "imagenet"),
        ({"profile": "demo"}, "small_resnet", ""),
    ],
)
def test_the_papers_student_starts_from_imagenets_weights(changes, encoder, weights):
    study = parameters("ablation_npc", **{"profile": "paper"} | changes)
    plan = study.plan()
    assert {(run.config.student.image_encoder, run.config.student.backbone_weights) for run in plan} == {
        (encoder, weights)
    }
    words = f"pretrained: {weights}" if weights else "from scratch"
    assert f"student {encoder} ({words}) at {plan[0].config.student.image_size} px" in plan_text(plan)


@pytest.mark.parametrize("name", reading_order())
def test_rows_with_another_encoder_than_the_profiles_name_their_own_weights(name):
    """A row of small_vit, say, could not be trained from ImageNet's weights of ResNet-18."""
    study = parameters(name)
    if not isinstance(study, TrainingStudy):
        return
    for run in parameters(name, profile="paper").plan():
        student = run.config.student
        assert (student.backbone_weights == "imagenet") == (student.image_encoder == "resnet18")


def test_of_weights_from_a_file_the_plan_says_its_name_alone():
    plan = parameters("ablation_npc", settings="image_encoder=resnet18 backbone_weights=/home/me/mine.pth").plan()
    assert "resnet18 (pretrained: mine.pth)" in plan_text(plan)

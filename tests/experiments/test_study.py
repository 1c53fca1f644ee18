"""Names of reports, and the settings of planned runs."""

import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.choices import chosen_settings
from dcmq.experiments.plan import method_variants
from dcmq.experiments.settings import PROFILES
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


def test_each_row_has_what_was_chosen_for_it_and_what_is_written_stands():
    chosen = {row: chosen_settings("scenes-demo", row) for row in ("DCMQ", "DCMQ-identity", "DCMH")}
    study, written = parameters("main_results"), parameters("main_results", settings="learning_rate=0.5")
    for row, settings in chosen.items():
        (variant,) = method_variants(row)
        config = study.run(variant, 64, 0).config
        assert config.learning_rate == settings["learning_rate"]
        assert config.backbone_lr_factor == settings["backbone_lr_factor"]
        assert written.run(variant, 64, 0).config.learning_rate == 0.5
    assert study.run(*method_variants("DCMH"), 64, 0).config.options == {"eta": chosen["DCMH"]["DCMH.eta"]}
    assert study.run(*method_variants("DCMQ-identity"), 64, 0).config.tau == chosen["DCMQ-identity"]["tau"]


def test_choices_stand_on_their_data_set_alone():
    plain = parameters("main_results", settings="choices=").config()
    assert plain.learning_rate == PROFILES["demo"]["learning_rate"]
    assert parameters("main_results", dataset="folder", data_root="x").config().learning_rate == plain.learning_rate
    with pytest.raises(DcmqError, match="choices=scene-demo is no search; did you mean scenes-demo"):
        parameters("main_results", settings="choices=scene-demo").config()


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
        ({"settings": "image_encoder=small_resnet"}, "small_resnet", ""),  # another encoder than the weights are of
        ({"settings": "image_encoder=resnet50 backbone_weights=imagenet"}, "resnet50", "imagenet"),
        ({"profile": "demo"}, "small_resnet", "scenes-objects"),
        ({"profile": "demo", "settings": "backbone_weights="}, "small_resnet", ""),
        ({"profile": "demo", "settings": "image_encoder=small_convnet"}, "small_convnet", ""),
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

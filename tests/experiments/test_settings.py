"""Words of settings and of data options."""

import pytest

from dcmq.config import MethodConfig, RunConfig, StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments.settings import PRESETS, data_options, parsed_settings, profile_settings, stated_settings
from dcmq.methods.base import METHODS, register_method


def test_data_options_are_read_and_bad_ones_refused():
    assert data_options("query=219 ignore_classes=person,traffic_light label_missing=0.2") == {
        "query": 219,
        "ignore_classes": ("person", "traffic light"),
        "label_missing": 0.2,
    }
    for text in ("query", "query=many"):
        with pytest.raises(DcmqError, match="data_options"):
            data_options(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate", "is not NAME=VALUE"),
        ("lerning_rate=1", "did you mean learning_rate"),
        ("seed=3", "'seed' is no setting"),
    ],
)
def test_bad_settings_are_refused(text, words):
    with pytest.raises(DcmqError, match=words):
        parsed_settings(text)


@pytest.mark.parametrize("kind", [TrainConfig, MethodConfig])
def test_every_setting_of_a_run_and_of_its_student_is_known(kind):
    elsewhere = {"method", "student", "seed", "bits", "options"}
    for fields in (kind.model_fields, kind.model_fields["student"].annotation.model_fields):
        for name in fields.keys() - elsewhere:
            assert parsed_settings(f"{name}=1") == {name: 1}


def test_settings_of_a_users_own_method_are_known(monkeypatch):
    class OwnConfig(RunConfig):
        student: StudentConfig = StudentConfig()
        temperature_of_mine: float = 1.0

    def fit(task):
        raise NotImplementedError

    monkeypatch.setattr(METHODS, "_entries", dict(METHODS))
    register_method("mine", options={"gamma": 1.0}, settings_type=OwnConfig)(fit)
    assert parsed_settings("temperature_of_mine=2 mine.gamma=0.5") == {"temperature_of_mine": 2, "mine.gamma": 0.5}


def test_a_preset_brings_its_settings_and_what_stands_beside_it_wins():
    assert parsed_settings("preset=author_priors") == PRESETS["author_priors"]
    for text in ("preset=author_priors batch_size=64 tau=0.1", "tau=0.1 batch_size=64 preset=author_priors"):
        assert parsed_settings(text) == PRESETS["author_priors"] | {"batch_size": 64, "tau": 0.1}
    with pytest.raises(DcmqError, match="did you mean author_priors"):
        parsed_settings("preset=author_prior")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("epochs", [1, 10, 20])
def test_presets_are_settings_of_every_run_however_long(preset, epochs):
    for method, kind in (("DCMQ", TrainConfig), ("DCMH", MethodConfig)):
        config = kind(method=method, epochs=epochs, **PRESETS[preset])
        assert {name: config.setting(name) for name in PRESETS[preset]} == PRESETS[preset]


def test_the_two_presets_differ_in_their_batches_alone():
    small, large = PRESETS["author_priors"], PRESETS["author_priors_256"]
    assert (small["batch_size"], large["batch_size"]) == (128, 256) and small | {"batch_size": 256} == large


def test_a_profiles_weights_are_those_of_its_encoder():
    assert profile_settings("demo", {})["backbone_weights"] == "scenes-objects"
    assert profile_settings("demo", {"image_encoder": "small_convnet"})["backbone_weights"] == ""
    assert (
        profile_settings("demo", {"image_encoder": "resnet18", "backbone_weights": "w.pth"})["backbone_weights"]
        == "w.pth"
    )
    assert profile_settings("paper", {})["backbone_weights"] == "imagenet"


def test_an_option_is_compared_with_options():
    with pytest.raises(DcmqError, match=r"did you mean DCMH.gamma\? \(known: DCMH"):
        parsed_settings("DCMH.gama=1")


def test_what_the_paper_states_for_a_data_set_holds_for_all_its_populations():
    assert stated_settings("coco") == {"gumbel_weight": 0.5}
    assert dict(stated_settings("mirflickr:24581")) == dict(stated_settings("mirflickr"))
    assert not stated_settings("scenes") and not stated_settings("nowhere")

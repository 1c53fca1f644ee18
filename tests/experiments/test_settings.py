"""Words of settings and of data options."""

import pytest
from notebook_parameters import parameters

from dcmq.config import MethodConfig, RunConfig, StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DATASETS, DatasetEntry
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
    ("dataset", "text", "words"),
    [
        ("scenes", "train=1e2", "train is a whole number"),
        ("scenes", "query=nan", "query is a whole number"),
        ("folder", "query=10.5", "query is a whole number"),
        ("coco", "image_size=32.0", "image_size is a whole number"),
        ("mirflickr:24581", "seed=1.5", "seed is a whole number"),
        ("scenes", "seed=-1", "seed is a number from 0 on"),
        ("scenes", f"seed={2**64}", "seed is a number from 0 on"),
        ("coco", "image_size=0", "image_size is a number from 1 on"),
        ("scenes", "query=-5", "query is a number from 1 on"),
        ("scenes", "query=²", "query is a whole number"),
        *(("scenes", f"query={text}", "query is a whole number") for text in ("1_0", "+1", "１", "٣", "1__0")),
        *(("scenes", f"label_missing={text}", "label_missing is a number") for text in ("0_1", "0.1_0", "+0.1", "0.１", "inf")),
        ("scenes", "label_missing=nan", "label_missing is a number"),
        ("scenes", "label_missing=x", "label_missing is a number"),
        ("scenes", "image_size=32", "'image_size' is no option of scenes"),
        ("scenes", "name=3", "'name' is no option of scenes"),
        ("coco", "root=3", "'root' is no option of coco"),
        ("folder", "folder=3", "'folder' is no option of folder"),
        ("scenes", "qurey=5", "did you mean query"),
        ("scenes", "query=5 query=6", "query stands twice"),
        ("coco", "ignore_classes=", "is not NAME=NUMBER or ignore_classes=NAME,NAME"),
        ("coco", "ignore_classes=person,,cat", "is not NAME=NUMBER or ignore_classes=NAME,NAME"),
        ("scenes", "=3", "is not NAME=NUMBER"),
        ("nowhere", "name=3", "is no option of any data set"),
    ],
)
def test_data_options_are_of_the_types_that_the_loader_takes(dataset, text, words):
    with pytest.raises(DcmqError, match="data_options") as caught:
        data_options(text, dataset)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_options_of_a_users_own_loader_are_known_by_its_signature(monkeypatch):
    def load(root: str, size: int, share: float = 0.5, variant: str = "a", extra=None):
        raise NotImplementedError

    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS, "own": DatasetEntry(load=load, needs_root=False)})
    values = {"size": 3, "share": 2.0, "variant": "3", "extra": 4}
    assert data_options("size=3 share=2 variant=3 extra=4", "own") == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('backbone_weights="my weights.pth" tau=0.5', {"backbone_weights": "my weights.pth", "tau": 0.5}),
        ("backbone_weights='C:\\my x.pth'", {"backbone_weights": "C:\\my x.pth"}),
        ("text_hidden=[64, 64] tau=1", {"text_hidden": [64, 64], "tau": 1}),
        ("augment= choices=", {"augment": "", "choices": ""}),
        ("  ", {}),
    ],
)
def test_blanks_stand_in_quotes_and_brackets(text, values):
    assert parsed_settings(text) == values


@pytest.mark.parametrize("text", ["tau=NaN", "tau=1e400", "tau=-Infinity", "text_hidden=[1,Infinity]", "tau=1 tau=2"])
def test_settings_are_finite_and_stand_once(text):
    with pytest.raises(DcmqError, match="settings: "):
        parsed_settings(text)


@pytest.mark.parametrize("text", ["1_0", "+1", "１", "٣", "1_0.5", "0.1_0", "nan", "inf", "'1_0'", '"１"', "[64,\"1_0\"]"])
@pytest.mark.parametrize("name", ["epochs", "tau", "text_hidden", "DCMH.gamma"])
def test_numbers_are_written_in_the_digits_0_to_9(name, text):
    with pytest.raises(DcmqError, match=f"settings: {name}=.* is no number as 10, 0.5 or 1e-4 are: write it so"):
        parsed_settings(f"{name}={text}")


def test_numbers_that_json_alone_does_not_know_are_numbers():
    assert parsed_settings("epochs=03 tau=.5 tau_q=1. gumbel_form=raw") == {
        "epochs": 3, "tau": 0.5, "tau_q": 1.0, "gumbel_form": "raw",
    }  # fmt: skip


def test_a_value_nested_without_end_is_text_and_no_setting_takes_it():
    assert parsed_settings("tau=" + "[" * 10_000)["tau"] == "[" * 10_000
    with pytest.raises(DcmqError, match="settings: tau: .*, not '\\[\\[") as caught:
        parameters("main_results", settings="tau=" + "[" * 200).plan()
    assert len(str(caught.value)) < 200


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

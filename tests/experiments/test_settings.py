"""Words of settings and of data options."""

import pytest

from dcmq.config import MethodConfig, RunConfig, StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments.settings import data_options, parsed_settings, stated_settings
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


def test_an_option_is_compared_with_options():
    with pytest.raises(DcmqError, match=r"did you mean DCMH.gamma\? \(known: DCMH"):
        parsed_settings("DCMH.gama=1")


def test_what_the_paper_states_for_a_data_set_holds_for_all_its_populations():
    assert stated_settings("coco") == {"gumbel_weight": 0.5}
    assert dict(stated_settings("mirflickr:24581")) == dict(stated_settings("mirflickr"))
    assert not stated_settings("scenes") and not stated_settings("nowhere")

"""Settings that make no sense are refused in one line."""

import pytest

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError


def test_frozen_layers_need_weights_and_unchanged_images():
    with pytest.raises(DcmqError, match="random weights would teach nothing"):
        StudentConfig(frozen="layer3")
    student = StudentConfig(frozen="layer3", backbone_weights="imagenet")
    with pytest.raises(DcmqError, match="choose augment or frozen"):
        TrainConfig(student=student, augment="shift")


def test_a_run_that_is_all_warm_up_is_refused():
    TrainConfig(epochs=3, warmup_epochs=2)
    with pytest.raises(DcmqError, match="3 leave none of 3 epochs"):
        TrainConfig(epochs=3, warmup_epochs=3)


def test_targets_have_the_temperature_of_the_logits_unless_they_get_their_own():
    assert TrainConfig().tau_target is None and TrainConfig(tau_target=0.05).tau == TrainConfig().tau
    with pytest.raises(ValueError, match="greater than or equal to 0.000001"):
        TrainConfig(tau_target=0)


@pytest.mark.parametrize("change", [{"bits": 30}, {"num_codewords": 12}, {"tau_q": 0}, {"widht": 3}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises((DcmqError, ValueError)):
        StudentConfig(**change)

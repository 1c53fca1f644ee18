"""Settings that make no sense are refused in one line."""

import pytest

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError


def test_frozen_layers_need_weights_and_unchanged_images():
    with pytest.raises(DcmqError, match="random weights would teach nothing"):
        StudentConfig(frozen="layer3")
    student = StudentConfig(frozen="layer3", backbone_weights="imagenet")
    with pytest.raises(DcmqError, match="choose augment or frozen"):
        TrainConfig(student=student, augment=True)


@pytest.mark.parametrize("change", [{"bits": 30}, {"num_codewords": 12}, {"tau_q": 0}, {"widht": 3}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises((DcmqError, ValueError)):
        StudentConfig(**change)

"""Names of reports, and the settings of planned runs."""

import pytest
from notebook_parameters import parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.plan import Variant
from dcmq.experiments.study import teacher_label


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

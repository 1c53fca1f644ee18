"""The benchmark ``scenes``, version 2: what may not be learnt from cues, and that images are made when looked at."""

import numpy as np
import pytest

from dcmq.data.datasets import load_dataset
from dcmq.data.lazy_images import LazyImages
from dcmq.data.scenes.grammar import BACKGROUNDS, CLASSES
from dcmq.data.scenes.load import labelled_images
from dcmq.data.scenes.sample import make_scene, plan_of
from dcmq.retrieval.floors import BACKGROUND, BACKGROUND_AND_NUMBER, CHANCE, NUMBER_OF_LABELS, floors

pytestmark = pytest.mark.usefixtures("home")

PLANS = 3000
SMALL = dict(query=20, train=40, gallery=80)


@pytest.fixture(scope="module")
def planned():
    """Labels (3000, 22) and the background's number (3000,) of as many plans; no image is drawn."""
    plans = [plan_of(f"a test:{i}") for i in range(PLANS)]
    labels = np.zeros((PLANS, len(CLASSES)), np.uint8)
    for row, plan in enumerate(plans):
        labels[row, list(plan.labels)] = 1
    return labels, np.array([BACKGROUNDS.index(plan.background) for plan in plans])


def test_kinds_are_nearly_independent_of_backgrounds(planned):
    labels, backgrounds = planned
    counts = np.stack([labels[backgrounds == b].sum(0) for b in range(len(BACKGROUNDS))]).astype(float)
    joint = counts / counts.sum()
    alone = joint.sum(1, keepdims=True) * joint.sum(0)
    bits = (joint * np.log2(joint / alone)).sum()
    assert 0 < bits < 0.05  # of the 2.8 that tell seven backgrounds apart
    assert (joint / alone).max() < 2 and (joint / alone).min() > 0.5  # no kind gives its background away


def test_kinds_are_about_as_frequent_as_each_other(planned):
    counts = planned[0].sum(0, dtype=int)
    assert np.abs(counts / counts.mean() - 1).max() < 0.3


def test_an_image_has_two_or_three_labels_and_any_background(planned):
    labels, backgrounds = planned
    numbers = labels.sum(1)
    assert set(numbers) == {2, 3} and 0.45 < (numbers == 2).mean() < 0.55
    assert np.abs(np.bincount(backgrounds) / PLANS * len(BACKGROUNDS) - 1).max() < 0.15


def test_floors_are_close_to_chance():
    found = floors(load_dataset("scenes", query=300, train=1200, gallery=3000))
    for gallery, chance in found[CHANCE].items():
        above = {name: found[name][gallery]["mAP@all"] - chance["mAP@all"] for name in found}
        assert above[BACKGROUND] < 0.02, gallery
        assert above[NUMBER_OF_LABELS] < 0.06 and above[BACKGROUND_AND_NUMBER] < 0.06, gallery


def test_each_seed_is_a_draw_of_its_own():
    zero, one = (load_dataset("scenes", seed=seed, **SMALL) for seed in (0, 1))
    assert zero.fingerprint != one.fingerprint and zero.split.hash != one.split.hash
    assert not set(zero.captions) >= set(one.captions)
    same = [np.array_equal(a, b) for a, b in zip(zero.images[:20], one.images[:20], strict=True)]
    assert not any(same)


def test_the_background_of_a_row_is_that_of_its_scene():
    data = load_dataset("scenes", **SMALL)
    names = [f"0:{i}" for i in range(len(data.ids))]
    assert [BACKGROUNDS[b] for b in data.backgrounds] == [plan_of(name).background for name in names]
    assert data.backgrounds[3] == make_scene("0:3", with_image=False).background


def test_nothing_is_drawn_before_it_is_looked_at(home):
    data = load_dataset("scenes", **SMALL)
    assert data.images.shape == (100, 64, 64, 3) and len(data.images) == 100
    assert not list(home.rglob("*.npy"))
    assert np.array_equal(data.images[7], make_scene("0:7").image)
    assert list(home.rglob("*.npy"))


def test_lazy_images_are_made_once_and_are_the_array_itself():
    made = []

    def make():
        made.append(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
        return made[-1]

    images = LazyImages((2, 2, 2, 3), make)
    assert images.shape == (2, 2, 2, 3) and images.dtype == np.uint8 and len(images) == 2 and not made
    assert np.asanyarray(images) is made[0] and np.shares_memory(images[1:], made[0])
    assert np.array_equal(images[np.array([1, 0])], made[0][::-1]) and len(made) == 1
    assert np.asarray(images, np.float32).dtype == np.float32
    copy = np.array(images)
    copy[:] = 0
    assert images[1].any() and not np.shares_memory(copy, made[0])


def test_pictures_that_a_backbone_learns_from_are_none_of_the_benchmark():
    images, labels = labelled_images(20)
    benchmark = {make_scene(f"{seed}:{i}").image.tobytes() for seed in (0, 1) for i in range(20)}
    assert not benchmark & {image.tobytes() for image in images}
    assert [tuple(np.flatnonzero(row)) for row in labels] == [plan_of(f"labelled:{i}").labels for i in range(20)]

"""The texts of a data set's rows, and the view of it that settings are chosen on."""

from dataclasses import replace

import numpy as np
from tiny import tiny_dataset


def test_the_text_of_a_row_is_its_first_caption_or_its_tags():
    data, _ = tiny_dataset()
    assert data.text_of(0, "caption") is None and data.text_of(0, "tags") is None
    captions = (("a red dot", "another"), (), *[("a dot",)] * 88)
    full = replace(data, captions=captions, tags=(("red", "dot"), (), *[("dot",)] * 88))
    assert [full.text_of(row, "caption") for row in (0, 1, 2)] == ["a red dot", None, "a dot"]
    assert [full.text_of(row, "tags") for row in (0, 1, 2)] == ["red dot", "", "dot"]


def test_settings_are_chosen_on_the_cut_and_on_unseen_items():
    data, _ = tiny_dataset()
    real, view = data.split, data.validation_view().split
    assert view.query.tolist() == real.validation.tolist()
    assert view.train.tolist() == np.setdiff1d(real.train, real.validation).tolist()
    assert view.gallery.tolist() == np.setdiff1d(real.gallery, real.validation).tolist()
    assert len(np.setdiff1d(view.gallery, view.train)) == len(real.gallery) - len(real.train)
    assert not set(real.query) & set(np.concatenate([view.query, view.train, view.gallery]))


def test_where_all_is_trained_on_half_of_the_gallery_is_held_out():
    data, _ = tiny_dataset()
    real = replace(data.split, train=data.split.gallery)
    view = replace(data, split=real).validation_view().split
    assert view.gallery.tolist() == np.setdiff1d(real.gallery, real.validation).tolist()
    assert len(view.train) == len(view.gallery) // 2 and set(view.train) < set(view.gallery)
    assert view.train.tolist() == sorted(view.train) != view.gallery[: len(view.train)].tolist()

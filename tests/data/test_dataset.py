"""The texts of a data set's rows."""

from dataclasses import replace

from tiny import tiny_dataset


def test_the_text_of_a_row_is_its_first_caption_or_its_tags():
    data, _ = tiny_dataset()
    assert data.text_of(0, "caption") is None and data.text_of(0, "tags") is None
    captions = (("a red dot", "another"), (), *[("a dot",)] * 88)
    full = replace(data, captions=captions, tags=(("red", "dot"), (), *[("dot",)] * 88))
    assert [full.text_of(row, "caption") for row in (0, 1, 2)] == ["a red dot", None, "a dot"]
    assert [full.text_of(row, "tags") for row in (0, 1, 2)] == ["red dot", "", "dot"]

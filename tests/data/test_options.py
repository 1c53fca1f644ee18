"""Sizes and seeds that a user asks of a data set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import load_dataset
from dcmq.data.options import check_fit, check_whole
from dcmq.data.splits import draw_split


@pytest.mark.parametrize("value", [1.0, 1e2, float("nan"), "3", None, True, [1], np.float64(2)])
def test_what_is_no_whole_number_is_refused(value):
    for option in ("query", "seed"):
        with pytest.raises(
            DcmqError, match=f"^data: {option} is .*, and must be a whole number from {option == 'query':d} on"
        ):
            check_whole("data", {option: value})


def test_whole_numbers_begin_at_one_and_seeds_at_zero():
    check_whole("data", {"query": 1, "seed": 0, "train": 10**30})
    for option, value in (("query", 0), ("train", -3), ("seed", -1)):
        with pytest.raises(DcmqError, match=f"{option} is {value}, and must be at least {option != 'seed':d}"):
            check_whole("data", {option: value})


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
def test_sizes_fit_where_a_split_can_be_drawn(n, query, train):
    try:
        check_fit("data", n, query, train)
    except DcmqError as error:
        with pytest.raises(DcmqError):
            draw_split(n, query, train)
        words = dict(word.split("=") for word in str(error).partition("such as ")[2].split())
        if n > 2:
            draw_split(n, int(words["query"]), int(words["train"]))
    else:
        draw_split(n, query, train)


@pytest.mark.parametrize(
    ("options", "words"),
    [(dict(train=1e2), "scenes: train is 100.0"), (dict(seed=-1), "scenes: seed is -1"), (dict(query=0), "query is 0")],
)
def test_every_loader_is_asked_with_numbers_that_can_be(options, words):
    with pytest.raises(DcmqError, match=words):
        load_dataset("scenes", **options)

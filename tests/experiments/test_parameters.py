"""Parameters that a notebook accepts, and the one line it says otherwise."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import comma_list, validated


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    teacher: str
    bits: int = Field(gt=0)
    profile: Literal["demo", "paper"] = "demo"
    seeds: str = "0"

    @field_validator("teacher")
    @classmethod
    def _known(cls, value):
        if value == "clop":
            raise ValueError("no such\nteacher")
        if value == "broken":
            raise DcmqError("teacher: broken is not known")
        return value

    @model_validator(mode="after")
    def _fits(self):
        if self.profile == "paper" and self.bits == 8:
            raise ValueError("the paper profile has no 8 bits")
        return self


def namespace(**values):
    """A notebook's globals after the parameters cell, with what IPython and the imports put there."""
    noise = {"__name__": "__main__", "_i1": "bits = 64", "_": 3, "In": [""], "math": math, "Model": Parameters}
    noise |= {"Out": {}, "exit": object(), "quit": 1, "get_ipython": lambda: None, "open": open, "validated": validated}
    return noise | {"teacher": "clip", "bits": 64} | values


def message(**values) -> str:
    with pytest.raises(DcmqError) as caught:
        validated(Parameters, namespace(**values))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    return str(caught.value)


def test_plain_values_become_the_model():
    parameters = validated(Parameters, namespace(profile="paper"))
    assert parameters == Parameters(teacher="clip", bits=64, profile="paper")


def test_a_misspelt_name_is_refused_with_the_closest():
    text = message(taecher="clip")
    assert "'taecher' (did you mean teacher?) is no parameter" in text
    assert "it has teacher, bits, profile, seeds" in text


def test_case_does_not_hide_the_closest():
    assert "did you mean teacher?" in message(Teacher="clip")


def test_every_unknown_name_is_named_and_comes_before_other_faults():
    text = message(bitz=32, xyzzy=1, bits="64")
    assert "'bitz' (did you mean bits?), 'xyzzy' are no parameters" in text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"bits": "16,32"}, "parameter 'bits': input should be a valid integer, not '16,32' (str)"),
        ({"bits": 64.0}, "parameter 'bits': input should be a valid integer, not 64.0 (float)"),
        ({"bits": True}, "parameter 'bits': input should be a valid integer, not True (bool)"),
        ({"bits": 0}, "parameter 'bits': input should be greater than 0, not 0 (int)"),
        ({"bits": None}, "parameter 'bits': input should be a valid integer, not None (NoneType)"),
        ({"profile": "dmeo"}, "parameter 'profile': input should be 'demo' or 'paper', not 'dmeo' (str)"),
        ({"teacher": "clop"}, "parameter 'teacher': no such teacher, not 'clop' (str)"),
        ({"bits": 8, "profile": "paper"}, "parameter 'parameters': the paper profile has no 8 bits, not"),
    ],
)
def test_wrong_values_get_one_line(values, line):
    assert line in message(**values)


def test_long_values_are_cut():
    assert len(message(bits="9" * 1000)) < 150


def test_a_missing_parameter_is_named():
    values = namespace()
    del values["bits"]
    with pytest.raises(DcmqError, match="'bits' is not set; set it with -p bits VALUE"):
        validated(Parameters, values)


def test_the_error_is_one_line_in_a_notebook():
    assert DcmqError("what, where, what to do")._render_traceback_() == ["DcmqError: what, where, what to do"]


@pytest.mark.parametrize(
    ("text", "cast", "values"),
    [
        ("0,1,2", int, [0, 1, 2]),
        (" 3 , 1 ", int, [3, 1]),
        (0, int, [0]),
        (0.2, float, [0.2]),
        ("0.1,.2,1e-3", float, [0.1, 0.2, 1e-3]),
        ("", int, []),
        ("  ", float, []),
        ("a, b", str, ["a", "b"]),
    ],
)
def test_comma_list(text, cast, values):
    assert comma_list(text, cast) == values


@pytest.mark.parametrize("text", ["0;1", "0,,1", "0,1,", ",", "1.5", 1.5, "a", True, None, "[0, 1]"])
def test_comma_list_refuses_what_is_no_list_of_integers(text):
    with pytest.raises(DcmqError, match="no comma-separated list of int values; write it like '0,1,2'"):
        comma_list(text, int)


NO_NUMBERS = ["1_0", "+1", "\uff11", "\u0663", "0x1", "1 0", "1e", "--1", "1\u00a00", "\u00b2", "1__0", "_1", "1_"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1.", "1e2", "- 1"])
def test_whole_numbers_are_written_in_the_digits_0_to_9(text):
    for written in (text, f"0,{text}"):
        with pytest.raises(DcmqError, match="no comma-separated list of int values"):
            comma_list(written, int)


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1_0.5", "0.\uff11", "1e1_0", "infinity", "."])
def test_numbers_are_written_in_the_digits_0_to_9(text):
    with pytest.raises(DcmqError, match="no comma-separated list of float values"):
        comma_list(f"0,{text}", float)


@given(st.integers())
def test_whole_numbers_come_back(number):
    assert comma_list(number, int) == comma_list(f" {number} ", int) == [number]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(number):
    assert comma_list(number, float) == [number]


@pytest.mark.parametrize("text", ["nan", "0.1,inf"])
def test_comma_list_refuses_what_is_not_finite(text):
    with pytest.raises(DcmqError, match="no comma-separated list of float"):
        comma_list(text, float)


def test_comma_list_refuses_a_value_twice():
    with pytest.raises(DcmqError, match="twice"):
        comma_list("0,1,00", int)


PARAMETERS_CELL = 'teacher: str = "clip"  # whose embeddings\nbits: int = 64  # per item'
VALIDATION = "from dcmq.experiments.parameters import validated\np = validated(Parameters, globals())"


class Kernel:
    """A notebook's globals, and cells that are run in them as IPython does."""

    def __init__(self):
        self.globals = {"In": [""], "Parameters": Parameters}

    def run(self, *cells):
        for cell in cells:
            self.globals["In"].append(cell)
            exec(cell, self.globals)
        return self.globals.get("p")


def test_cells_are_run_again_in_any_order_whatever_the_ones_below_have_set():
    kernel = Kernel()
    below = ("results = {'a': p.bits}\nprint(results)", "plan = 3", "sedes = [p.bits]", "record = str(p)")
    assert kernel.run(PARAMETERS_CELL, VALIDATION, *below).bits == 64
    assert kernel.run(VALIDATION, *below, VALIDATION).bits == 64
    assert kernel.run(PARAMETERS_CELL.replace("64", "32"), VALIDATION, *below).bits == 32
    assert kernel.run(PARAMETERS_CELL, *below, VALIDATION).bits == 64, "a cell below between the two"


def test_a_cell_of_ones_own_may_set_a_parameter_and_other_cells_may_stand_above():
    kernel = Kernel()
    kernel.run("x = 3", PARAMETERS_CELL, VALIDATION)
    assert kernel.run("bits = 8 * 2", VALIDATION).bits == 16
    assert kernel.run("seeds = ','.join(map(str, range(3)))", VALIDATION).seeds == "0,1,2"
    assert kernel.run(PARAMETERS_CELL, "POWER = 3", VALIDATION).bits == 64, "a constant of the reader's own"


@pytest.mark.parametrize(
    "cells",
    [
        (PARAMETERS_CELL + "\ntaecher = 'x'",),
        (PARAMETERS_CELL, "# Parameters\ntaecher = 'x'\n"),
        (PARAMETERS_CELL, "# Parameters\nbits = 32\ntaecher = 'x'\n"),
        (PARAMETERS_CELL + "\ntaecher = 'x'", "# Parameters\nbits = 32"),
        (PARAMETERS_CELL, "taecher = 'x'"),
        (PARAMETERS_CELL, VALIDATION, "plan = [p]", PARAMETERS_CELL, "# Parameters\ntaecher = 'x'\n"),
    ],
)
def test_a_misspelt_name_is_refused_in_a_kernel_too(cells):
    kernel = Kernel()
    kernel.run(*cells)
    with pytest.raises(DcmqError, match="'taecher' .did you mean teacher.. is no parameter of this notebook"):
        kernel.run(VALIDATION)


def test_a_misspelt_name_that_was_mended_is_forgotten():
    kernel = Kernel()
    with pytest.raises(DcmqError, match="taecher"):
        kernel.run(PARAMETERS_CELL + "\ntaecher = 'x'", VALIDATION)
    assert kernel.run(PARAMETERS_CELL, VALIDATION).teacher == "clip"


@pytest.mark.parametrize(("right", "wrong"), [("64", "-1"), ("clip", "clop"), ("clip", "broken")])
def test_no_later_cell_goes_on_with_the_former_parameters_after_a_refusal(right, wrong):
    kernel = Kernel()
    kernel.run(PARAMETERS_CELL, VALIDATION)
    with pytest.raises(DcmqError, match=wrong):
        kernel.run(PARAMETERS_CELL.replace(right, wrong), VALIDATION)
    with pytest.raises(NameError):
        kernel.run("print(p.bits)")

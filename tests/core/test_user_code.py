"""A user's own code is known by what it does, with all that it uses."""

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from dcmq.core import user_code
from dcmq.core.errors import DcmqError


def defined(text, name="own", tmp=None, **values):
    """A function as a notebook cell defines it: its source is in a file, its module is not the package's."""
    file = tmp / f"cell{len(list(tmp.iterdir()))}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    vars(module).update(values, __name__="__main__")
    exec(compile(text, str(file), "exec"), vars(module))
    return getattr(module, name)


def test_own_code_is_known_by_what_it_does(tmp_path):
    def of(text, **values):
        return user_code.source_fingerprint(defined(text, tmp=tmp_path, **values))

    plain = of("def own(x):\n    return x + 1\n")
    assert of('def own(x: int) -> int:\n    """Says more."""\n    # and more\n    return (x + 1)\n') == plain
    assert of("def own(x):\n    return x + 2\n") != plain


def test_own_code_is_known_by_all_that_it_uses(tmp_path):
    def of(text, **values):
        return user_code.source_fingerprint(defined(text, tmp=tmp_path, **values))

    with_helper = "def helper(x):\n    return x * {}\n\ndef own(x):\n    return helper(x)\n"
    assert of(with_helper.format(2)) != of(with_helper.format(3))
    reads = "def own(x):\n    return x * WEIGHT\n"
    assert of(reads, WEIGHT=2.0) == of(reads, WEIGHT=2.0) != of(reads, WEIGHT=3.0)
    assert of(reads, WEIGHT=np.ones(3)) != of(reads, WEIGHT=np.zeros(3))
    assert of(reads, WEIGHT=torch.ones(3)) == of(reads, WEIGHT=torch.ones(3))
    inside = "def helper(x):\n    return x * {}\n\ndef own(x):\n    return [helper(part) for part in x]\n"
    assert of(inside.format(2)) != of(inside.format(3))
    attribute = "def own(x):\n    weight = 2\n    return x.data * weight\n"
    assert of(attribute, data=torch.Generator(), weight=object()) == of(attribute)
    default = "def own(x, weight={}):\n    return x * weight\n"
    assert of(default.format(1)) != of(default.format(2))
    of_package = "from dcmq.methods.dcmq.targets import {0}\n\ndef own(x):\n    return {0}(x)\n"
    assert of(of_package.format("npc")) != of(of_package.format("multihot"))


def test_own_classes_are_known_by_their_methods_and_bases(tmp_path):
    def of(text):
        return user_code.source_fingerprint(defined(text, name="Own", tmp=tmp_path))

    text = "from dcmq.methods.dcmq.trainer import Trainer\n\nclass Own(Trainer):\n    def target(self, rows):\n        return super().target(rows) * {}\n"
    assert of(text.format(1)) == of(text.format(1)) != of(text.format(2))


def test_own_code_without_a_source_or_with_a_value_that_cannot_be_told_is_refused():
    namespace = {"__name__": "__main__"}
    exec("def own(x):\n    return x", namespace)
    with pytest.raises(DcmqError, match="the source of own cannot be had.*define it in a notebook cell or in a file"):
        user_code.source_fingerprint(namespace["own"])
    generator = torch.Generator()

    @dataclasses.dataclass
    class Opaque:
        value: int

    opaque = Opaque(1)
    for value in (generator, opaque):
        with pytest.raises(DcmqError, match="whose value cannot be told"):
            user_code._collect(value, "value", {})

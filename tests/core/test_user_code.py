"""A user's own code is known by what it does, with all that it uses."""

import ast
import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dcmq.core import user_code
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.targets import TARGETS


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


def test_a_cell_is_compiled_statement_by_statement_and_known_all_the_same(tmp_path):
    text = "import math\n\ndef own(x):\n    return math.sqrt(x)\n"
    as_file = defined(text, tmp=tmp_path)
    file, namespace = as_file.__code__.co_filename, {"__name__": "__main__"}
    for statement in ast.parse(text).body:  # as IPython does, where a call of math's is compiled as any method's
        exec(compile(ast.Module([statement], []), file, "exec"), namespace)
    assert user_code.source_fingerprint(namespace["own"]) == user_code.source_fingerprint(as_file)
    Path(file).write_text(text.replace("sqrt", "exp"))
    with pytest.raises(DcmqError, match="edited after it was imported"):
        user_code.source_fingerprint(namespace["own"])


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
    with pytest.raises(DcmqError, match="the source of own cannot be had.*define it in a notebook cell"):
        user_code.source_fingerprint(namespace["own"])
    with pytest.raises(DcmqError, match="whose value cannot be told"):
        user_code._Facts().add(torch.Generator(), "generator")
    with pytest.raises(DcmqError, match="an array of objects"):
        user_code._Facts().add(np.array([object()]), "array")


def facts(value):
    found = user_code._Facts()
    found.add(value, "value")
    return sorted(found.lines)


@dataclasses.dataclass
class Settings:
    value: int


def test_values_that_own_code_may_read_are_told_apart():
    layer, same, other = (torch.nn.Linear(2, 2) for _ in range(3))
    same.load_state_dict(layer.state_dict())
    pairs = [
        (layer, same, other),
        (Settings(1), Settings(1), Settings(2)),
        (np.float32(1), np.float32(1), np.float64(1)),
        (torch.float32, torch.float32, torch.float16),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16), torch.ones(2)),
        ({1: [2, {3}]}, {1: [2, {3}]}, {1: [2, {4}]}),
        (TARGETS["npc"], TARGETS["npc"], TARGETS["raw"]),
        (torch.sin, torch.sin, torch.cos),
    ]
    for one, again, another in pairs:
        assert facts(one) == facts(again) != facts(another), one


def test_decorators_closures_imports_and_class_state_of_own_code_count(tmp_path):
    def of(text, name="own", **values):
        return user_code.source_fingerprint(defined(text, name, tmp=tmp_path, **values))

    wraps = "import functools\n\ndef scaled(s):\n    def around(f):\n        @functools.wraps(f)\n        def g(*a):\n            return s * f(*a)\n        return g\n    return around\n\n@scaled({})\ndef own(x):\n    return x\n"
    assert of(wraps.format(2)) == of(wraps.format(2)) != of(wraps.format(3))
    imports = "def own(x):\n    from torch import {} as f\n    return f(x)\n"
    assert of(imports.format("sin")) != of(imports.format("cos"))
    prose = "def own(x):\n    return helper(x, unit='{}')\n"
    assert of(prose.format("row"), helper=torch.sin) != of(prose.format("column"), helper=torch.sin)
    state = "class Own:\n    weight = {}\n\n    def own(self):\n        return self.weight\n"
    assert of(state.format(1), "Own") == of(state.format(1), "Own") != of(state.format(2), "Own")
    factories = "def make(s):\n    def f(x):\n        return s * x\n    return f\n\na, b = make({}), make({})\n\ndef own(x):\n    return a(x) + b(x)\n"
    assert of(factories.format(1, 2)) != of(factories.format(1, 3))
    assert of("own = lambda x: x + 1\n") == of("own = lambda x: x + 1  # again\n") != of("own = lambda x: x + 2\n")


def test_a_file_that_was_edited_and_not_run_again_is_refused(tmp_path):
    own = defined("def own(x):\n    return x + 1\n", tmp=tmp_path)
    before = user_code.source_fingerprint(own)
    file = Path(own.__code__.co_filename)
    file.write_text("# a comment\ndef own(x):\n    return x + 1\n")
    with pytest.raises(DcmqError, match="own in .* was edited after it was imported: restart the kernel"):
        user_code.source_fingerprint(own)
    file.write_text("def own(x):\n    return x + 1  # one more\n")
    assert user_code.source_fingerprint(own) == before

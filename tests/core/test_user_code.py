"""A user's own code is known by what it does, with all that it uses."""

import ast
import dataclasses
import importlib
import sys
import textwrap
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
    file.write_text("def own(x):\n    return x + 2\n")
    with pytest.raises(DcmqError, match="own in .* was edited after it was imported: restart the kernel"):
        user_code.source_fingerprint(own)
    file.write_text("# a comment above\ndef own(x):\n    return x + 1\n")
    assert user_code.source_fingerprint(own) == before
    file.write_text("def own(x):\n    return x + 1  # one more\n")
    assert user_code.source_fingerprint(own) == before


INSTANCES = {
    "a plain attribute of a module": """
        class Part(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.margin = {value}

            def forward(self, x):
                return x + self.margin

        own = Part()
        """,
    "an attribute of a function": """
        def own(x):
            return x * own.power

        own.power = {value}
        """,
    "an attribute of a helper": """
        def helper(x):
            return x * helper.power

        helper.power = {value}

        def own(x):
            return helper(x)
        """,
    "a method of a named tuple": """
        class Settings(typing.NamedTuple):
            power: int = 1

            def scale(self, x):
                return x * {value}

        settings = Settings()

        def own(x):
            return settings.scale(x)
        """,
    "a method of a dict": """
        class Settings(dict):
            def scale(self, x):
                return x * {value}

        settings = Settings(a=1)

        def own(x):
            return settings.scale(x)
        """,
    "a method of an enumeration": """
        class Power(enum.Enum):
            one = 1

            def scale(self, x):
                return x * {value}

        power = Power.one

        def own(x):
            return power.scale(x)
        """,
    "an attribute of a dataclass that is no field": """
        @dataclasses.dataclass
        class Settings:
            power: int = 1

        settings = Settings()
        settings.extra = {value}

        def own(x):
            return x * settings.extra
        """,
}


@pytest.mark.parametrize("case", INSTANCES)
def test_all_that_an_instance_does_counts(case, tmp_path):
    imports = "import dataclasses, enum, typing\nimport torch\n"

    def of(value):
        text = imports + textwrap.dedent(INSTANCES[case]).replace("{value}", str(value))
        return user_code.source_fingerprint(defined(text, tmp=tmp_path))

    assert of(2) == of(2) != of(3)


def test_lambdas_are_compared_and_must_not_share_a_line(tmp_path):
    one = defined("own = lambda x: x\n", tmp=tmp_path)
    other = defined("own = lambda x: x**2\n", tmp=tmp_path)
    assert user_code.source_fingerprint(one) != user_code.source_fingerprint(other)
    both = defined("own, more = (lambda x: x), (lambda x: x)\n", tmp=tmp_path)
    with pytest.raises(DcmqError, match="2 lambdas stand on line 1"):
        user_code.source_fingerprint(both)
    Path(one.__code__.co_filename).write_text("own = lambda x: x + 1\n")
    with pytest.raises(DcmqError, match="edited after it was imported"):
        user_code.source_fingerprint(one)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A function that writes modules of the user's and imports them anew."""
    monkeypatch.syspath_prepend(tmp_path)
    names = set()

    def write(**texts):
        names.update(texts)
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return [importlib.import_module(name) for name in texts]

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield write
    sys.dont_write_bytecode = before
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "use",
    [
        "import outer_of_user\n\ndef own(x):\n    return outer_of_user.rank(x)\n",
        "def own(x):\n    from outer_of_user import rank\n    return rank(x)\n",
        "from outer_of_user import rank\n\ndef own(x):\n    return rank(x)\n",
    ],
)
def test_modules_of_the_user_count_with_all_that_they_import(use, modules, tmp_path):
    def of(number, lock="None"):
        outer = (
            f"import threading\nfrom inner_of_user import inner\nLOCK = {lock}\n\ndef rank(x):\n    return inner(x)\n"
        )
        modules(inner_of_user=f"def inner(x):\n    return x * {number}\n", outer_of_user=outer)
        return user_code.source_fingerprint(defined(use, tmp=tmp_path))

    assert of(2) == of(2) != of(3)
    assert of(2, "threading.Lock()")  # nobody uses it


def test_a_module_is_known_by_what_it_holds_now_and_must_not_be_edited_behind_it(modules, tmp_path):
    (module,) = modules(outer_of_user="TABLE = 1\n\ndef rank(x):\n    return x * TABLE\n")
    own = defined("import outer_of_user\n\ndef own(x):\n    return outer_of_user.rank(x)\n", tmp=tmp_path)
    before = user_code.source_fingerprint(own)
    module.TABLE = np.zeros(3)
    assert user_code.source_fingerprint(own) != before
    module.TABLE = 1
    assert user_code.source_fingerprint(own) == before
    module.rank = defined("own = lambda x: x\n", tmp=tmp_path)
    assert user_code.source_fingerprint(own) != before
    (module,) = modules(outer_of_user="TABLE = 1\n\ndef rank(x):\n    return x * TABLE\n")
    own.__globals__["outer_of_user"] = module
    Path(module.__file__).write_text("TABLE = 1\n\ndef rank(x):\n    return x / TABLE\n")
    with pytest.raises(DcmqError, match="rank in .*outer_of_user.py was edited after it was imported"):
        user_code.source_fingerprint(own)


def test_what_autoreload_puts_in_the_place_of_a_function_is_known(tmp_path):
    own = defined("import math\n\n\ndef own(x):\n    return math.sqrt(x)\n", tmp=tmp_path)
    before = user_code.source_fingerprint(own)
    own.__code__ = own.__code__.replace(co_firstlineno=1)
    assert user_code.source_fingerprint(own) == before

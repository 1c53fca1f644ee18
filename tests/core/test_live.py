"""Code as it runs: what was replaced is noticed, and a user's own is known by its source."""

import dataclasses
import importlib
import sys

import numpy as np
import pytest
import torch

import dcmq.methods.dcmq.losses
import dcmq.methods.dcmq.targets
import dcmq.methods.dcmq.trainer
import dcmq.training.batches
import dcmq.training.loop
from dcmq.core import code, live
from dcmq.core.errors import DcmqError
from dcmq.methods.registry import METHODS

DCMQ = "dcmq.methods.dcmq.method"


def mine(*args, **kwargs):
    return args[0]


def test_the_package_as_it_is_passes():
    for method in METHODS.values():
        live.require_own(method.origin.__module__)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (dcmq.methods.dcmq.losses, "distillation_losses"),  # a function where it is defined
        (dcmq.methods.dcmq.trainer, "gumbel_noise"),  # and where it is imported
        (dcmq.methods.dcmq.trainer.Trainer, "step"),  # a method
        (dcmq.methods.dcmq.trainer.Trainer, "part"),  # a property
        (dcmq.training.loop.EpochTrainer, "require_finite"),  # one of a base class
        (dcmq.methods.dcmq.trainer, "Trainer"),  # a whole class
        (dcmq.methods.dcmq.targets, "SCOPES"),  # a constant
        (dcmq.methods.dcmq.targets, "npc"),
    ],
)
def test_what_is_replaced_at_run_time_is_named_in_one_line(monkeypatch, owner, name):
    new = property(mine) if name == "part" else ("batch",) if name == "SCOPES" else mine
    monkeypatch.setattr(owner, name, new)
    with pytest.raises(
        DcmqError, match=f"{name} was replaced at run time.*register_target.*restart the kernel"
    ) as caught:
        live.require_own(DCMQ)
    assert "\n" not in str(caught.value)


def test_a_method_added_over_an_inherited_one_is_noticed(monkeypatch):
    namespace = {"__name__": "__main__"}
    exec("def require_finite(self, loss):\n    return loss", namespace)
    monkeypatch.setattr(dcmq.methods.dcmq.trainer.Trainer, "require_finite", namespace["require_finite"], raising=False)
    with pytest.raises(DcmqError, match="Trainer.require_finite was added at run time"):
        live.require_own(DCMQ)


def test_a_file_edited_after_its_import_is_noticed(monkeypatch, tmp_path):
    file = code.source_file("dcmq.training.batches")
    edited = tmp_path / "batches.py"
    monkeypatch.setattr(
        code, "source_file", lambda module: edited if module == "dcmq.training.batches" else file_of(module)
    )
    file_of = (
        code.source_file.__wrapped__
        if hasattr(code.source_file, "__wrapped__")
        else importlib.import_module("dcmq.core.code").source_file
    )
    text = file.read_text()
    for change, noticed in ((text + "\n# a comment\n", False), (text.replace("< 0.5", "< 0.25"), True)):
        edited.write_text(change)
        live._compiled.cache_clear()
        differences = list(live._replaced("dcmq.training.batches", sys.modules["dcmq.training.batches"]))
        assert bool(differences) == noticed
    live._compiled.cache_clear()


# --- a user's own


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
        return live.source_fingerprint(defined(text, tmp=tmp_path, **values))

    plain = of("def own(x):\n    return x + 1\n")
    assert of('def own(x: int) -> int:\n    """Says more."""\n    # and more\n    return (x + 1)\n') == plain
    assert of("def own(x):\n    return x + 2\n") != plain


def test_own_code_is_known_by_all_that_it_uses(tmp_path):
    def of(text, **values):
        return live.source_fingerprint(defined(text, tmp=tmp_path, **values))

    with_helper = "def helper(x):\n    return x * {}\n\ndef own(x):\n    return helper(x)\n"
    assert of(with_helper.format(2)) != of(with_helper.format(3))
    reads = "def own(x):\n    return x * WEIGHT\n"
    assert of(reads, WEIGHT=2.0) == of(reads, WEIGHT=2.0) != of(reads, WEIGHT=3.0)
    assert of(reads, WEIGHT=np.ones(3)) != of(reads, WEIGHT=np.zeros(3))
    assert of(reads, WEIGHT=torch.ones(3)) == of(reads, WEIGHT=torch.ones(3))
    default = "def own(x, weight={}):\n    return x * weight\n"
    assert of(default.format(1)) != of(default.format(2))
    of_package = "from dcmq.methods.dcmq.targets import {0}\n\ndef own(x):\n    return {0}(x)\n"
    assert of(of_package.format("npc")) != of(of_package.format("multihot"))


def test_own_classes_are_known_by_their_methods_and_bases(tmp_path):
    def of(text):
        return live.source_fingerprint(defined(text, name="Own", tmp=tmp_path))

    text = "from dcmq.methods.dcmq.trainer import Trainer\n\nclass Own(Trainer):\n    def target(self, rows):\n        return super().target(rows) * {}\n"
    assert of(text.format(1)) == of(text.format(1)) != of(text.format(2))


def test_own_code_without_a_source_or_with_a_value_that_cannot_be_told_is_refused():
    namespace = {"__name__": "__main__"}
    exec("def own(x):\n    return x", namespace)
    with pytest.raises(DcmqError, match="the source of own cannot be had.*define it in a notebook cell or in a file"):
        live.source_fingerprint(namespace["own"])
    generator = torch.Generator()

    @dataclasses.dataclass
    class Opaque:
        value: int

    opaque = Opaque(1)
    for value in (generator, opaque):
        with pytest.raises(DcmqError, match="whose value cannot be told"):
            live._collect(value, "value", {})

"""Code as it runs: what was replaced is noticed, and a user's own is known by its source."""

import importlib
import sys

import pytest

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

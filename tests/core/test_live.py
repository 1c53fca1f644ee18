"""Code as it runs: what was replaced is noticed, and a user's own is known by its source."""

import functools

import numpy as np
import pytest

import dcmq.methods.dcmq.losses
import dcmq.methods.dcmq.targets
import dcmq.methods.dcmq.trainer
import dcmq.networks.inputs
import dcmq.retrieval.retriever
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


def test_what_is_wrapped_around_or_put_behind_a_name_is_noticed(monkeypatch):
    """functools.wraps makes a patch look like what it patches."""
    trainer = dcmq.methods.dcmq.trainer

    def wrapped(function):
        return functools.wraps(function)(lambda *args, **kwargs: function(*args, **kwargs))

    replacements = [
        (trainer.Trainer, "target", wrapped(trainer.Trainer.target)),
        (dcmq.methods.dcmq.losses, "distillation_losses", wrapped(dcmq.methods.dcmq.losses.distillation_losses)),
        (trainer.Trainer, "target", functools.partialmethod(trainer.Trainer.target)),
        (trainer, "sum", mine),  # hides a builtin
        (trainer, "torch", np),
    ]
    for owner, name, value in replacements:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value, raising=False)
            with pytest.raises(DcmqError, match="at run time"):
                live.require_own(DCMQ)
    live.require_own(DCMQ)


def test_other_defaults_and_constants_are_noticed(monkeypatch):
    for owner, name, value in (
        (dcmq.methods.dcmq.targets.npc, "__defaults__", ("row", None)),
        (dcmq.networks.inputs, "_CHUNK", 2),
        (dcmq.retrieval.retriever.Retriever, "radius", 3),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            with pytest.raises(DcmqError, match="(other defaults|was replaced)"):
                live.require_own(DCMQ)


@pytest.mark.parametrize(("edit", "noticed"), [(("", "\n# a comment\n"), False), (("< 0.5", "< 0.25"), True)])
def test_a_file_edited_after_its_import_is_noticed(monkeypatch, tmp_path, edit, noticed):
    original, edited = code.source_file, tmp_path / "batches.py"
    text = original("dcmq.training.batches").read_text()
    edited.write_text(text.replace(*edit) if edit[0] else text + edit[1])
    monkeypatch.setattr(code, "source_file", lambda name: edited if name == "dcmq.training.batches" else original(name))
    live._compiled.cache_clear()
    differences = list(live._differences("dcmq.training.batches", dcmq.training.batches))
    live._compiled.cache_clear()
    assert bool(differences) == noticed

"""Keys: a user's own target can neither take another's record nor leave its own under another's key."""

import dataclasses
import functools

import pytest
import torch
from tiny import STUDENT, config, tiny_dataset

import dcmq.data.resize
import dcmq.methods.dcmq.losses
from dcmq.core import code
from dcmq.core.errors import DcmqError
from dcmq.data.readers import coco
from dcmq.experiments import runs
from dcmq.experiments.keys import run_key, training_fingerprint
from dcmq.methods.base import METHODS, register_method
from dcmq.methods.dcmq.losses import LOSSES, distillation_losses, register_loss
from dcmq.methods.dcmq.quantizer import QUANTIZERS, ProductQuantizer, register_quantizer
from dcmq.methods.dcmq.targets import TARGETS, npc, register_target


@pytest.fixture
def own_names():
    """Forget afterwards what a test registers."""
    kept = [(registry, dict(registry._entries)) for registry in (TARGETS, LOSSES, QUANTIZERS, METHODS)]
    yield
    for registry, entries in kept:
        registry._entries.clear()
        registry._entries.update(entries)


def cubed(similarity, labels):
    return npc(similarity) ** 3


def squared(similarity, labels):
    return npc(similarity).square()


def test_a_built_in_name_cannot_be_given_to_something_else(own_names):
    for attempt in (lambda: TARGETS.__setitem__("npc", cubed), lambda: register_target("npc")(cubed)):
        with pytest.raises(DcmqError, match="target: 'npc'.*name") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_no_way_round_the_registry_takes_a_built_in_name(own_names):
    raw = TARGETS["raw"]
    data = tiny_dataset()
    before = run_key(config(), *data)
    for impostor in (raw, functools.wraps(TARGETS["npc"])(lambda *a, **k: cubed(*a))):
        with pytest.raises(DcmqError, match="'npc' is the package's own"):
            register_target("npc")(impostor)
        TARGETS._entries["npc"] = impostor
        assert run_key(config(), *data) != before
    with pytest.raises(DcmqError, match="'DCMQ' is the package's own"):
        register_method("DCMQ")(cubed)
    register_target("mine")(TARGETS["raw"])
    one = run_key(config(target="mine"), *data)
    register_target("mine")(TARGETS["identity"])
    assert run_key(config(target="mine"), *data) != one


def test_a_part_that_changes_what_it_reads_is_refused_after_training(home, own_names):
    @register_target
    def growing(similarity, labels):
        seen.append(len(labels))
        return similarity

    with pytest.raises(DcmqError, match="changed what it reads while it was trained"):
        runs.run(config(target="growing", epochs=1), *tiny_dataset(), r=10)


seen = []


def test_own_and_built_in_targets_never_share_a_record(home, own_names):
    register_target("cubed")(cubed)
    data = tiny_dataset()
    own = runs.run(config(target="cubed", epochs=1), *data, r=10)
    built_in = runs.run(config(epochs=1), *data, r=10)
    assert own["key"] != built_in["key"] and own["code"] != built_in["code"] and own["losses"] != built_in["losses"]
    assert runs.run(config(target="cubed", epochs=1), *data, r=10) == own
    register_target("cubed")(squared)  # the cell was changed and run again
    redefined = runs.run(config(target="cubed", epochs=1), *data, r=10)
    assert redefined["key"] != own["key"] and redefined["losses"] != own["losses"]
    register_target("cubed")(cubed)
    assert run_key(config(target="cubed", epochs=1), *data) == own["key"]


def test_an_own_loss_sees_the_batch_and_is_keyed(home, own_names):
    data = tiny_dataset()

    @register_loss
    def with_teacher(batch):
        terms = distillation_losses(
            batch.image, batch.image_quantized, batch.text, batch.text_quantized, batch.target, batch.tau
        )
        within = batch.image @ batch.image.T - batch.teacher_image @ batch.teacher_image.T
        return terms | {"within images": within.square().mean(), "labels": 0.0 * batch.labels.float().mean()}

    @register_loss
    def plain_again(batch):
        return distillation_losses(
            batch.image, batch.image_quantized, batch.text, batch.text_quantized, batch.target, batch.tau
        )

    assert set(runs.run(config(loss="with_teacher", epochs=1), *data, r=10)["losses"][0]) == {
        "i2t",
        "t2i",
        "within images",
        "labels",
    }
    record = runs.run(config(loss="plain_again", epochs=1), *data, r=10)
    built_in = runs.run(config(epochs=1), *data, r=10)
    assert record["losses"] == built_in["losses"] and record["key"] != built_in["key"]


def test_an_own_quantizer_is_keyed_and_must_build_on_the_packages(home, own_names):
    data = tiny_dataset()

    @register_quantizer("mine")
    class Sharper(ProductQuantizer):
        def weights(self, cosines, noise=None):
            return torch.softmax(super().weights(cosines, noise) / 0.2, -1)

    @register_quantizer
    class Same(ProductQuantizer):
        pass

    built_in = runs.run(config(epochs=1), *data, r=10)
    keys, losses = {built_in["key"]}, []
    for name in ("mine", "Same"):
        record = runs.run(config(epochs=1, student=STUDENT.model_copy(update={"quantizer": name})), *data, r=10)
        keys.add(record["key"])
        losses.append(record["losses"])
    assert len(keys) == 3 and losses[0] != built_in["losses"] == losses[1]
    for wrong in (torch.nn.Linear, squared):
        with pytest.raises(DcmqError, match="quantizer: '.*' is no class that builds on ProductQuantizer"):
            register_quantizer("other")(wrong)
    with pytest.raises(DcmqError, match="quantizer: 'sharper' is not registered"):
        run_key(config(student=STUDENT.model_copy(update={"quantizer": "sharper"})), *data)


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (lambda s: s[0], r"gives a tensor \(\d+,\), not a tensor \(\d+, \d+\)"),
        (lambda s: s.tolist(), "gives a list, not a tensor"),
        (lambda s: s.clone().fill_(float("nan")), "gives NaN or infinity"),
    ],
)
def test_a_target_that_gives_no_matrix_is_refused_in_one_line(home, own_names, result, line):
    register_target("wrong")(lambda similarity, labels: result(similarity))
    with pytest.raises(DcmqError, match=f"target: 'wrong' {line}"):
        runs.run(config(target="wrong", epochs=1), *tiny_dataset(), r=10)


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (lambda batch: batch.target.mean(), "gives a Tensor, not named terms"),
        (lambda batch: {}, "gives a dict, not named terms"),
        (lambda batch: {"one": batch.target}, r"gives 'one' of \(\d+, \d+\), not a scalar tensor"),
        (lambda batch: {"one": 1.0}, "gives 'one' a float, not a scalar tensor"),
    ],
)
def test_a_loss_that_gives_no_terms_is_refused_in_one_line(home, own_names, result, line):
    register_loss("wrong")(result)
    with pytest.raises(DcmqError, match=f"loss: 'wrong' {line}"):
        runs.run(config(loss="wrong", epochs=1), *tiny_dataset(), r=10)


def test_a_method_is_registered_by_the_function_that_fits_it(own_names):
    @register_method
    def plain(task):
        raise NotImplementedError

    register_method("named", note="as it is", options={"gamma": 1.0})(plain)
    assert METHODS["plain"].fit is METHODS["named"].fit is METHODS["plain"].origin is plain
    assert METHODS["plain"].fidelity == "own" and METHODS["named"].note == "as it is"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DcmqError, match="target: 'ncp' is not registered; did you mean npc"):
        run_key(config(target="ncp"), *tiny_dataset())


def test_a_replaced_function_is_refused_whether_the_record_is_there_or_not(home, monkeypatch):
    data = tiny_dataset()
    runs.run(config(epochs=1), *data, r=10)
    monkeypatch.setattr(dcmq.methods.dcmq.losses, "distillation_losses", lambda *a: {})
    with pytest.raises(DcmqError, match="distillation_losses was replaced at run time"):
        runs.run(config(epochs=1), *data, r=10)


def test_the_code_that_makes_images_is_in_the_key(monkeypatch):
    assert "dcmq.data.resize" in code.closure("dcmq.methods.dcmq.method")
    dataset, teacher = tiny_dataset()
    before = run_key(config(), dataset, teacher)
    other = dataclasses.replace(dataset, image_code="another decoder")
    assert run_key(config(), other, teacher) != before
    assert run_key(config(), dataset, dataclasses.replace(teacher, code="another preprocessing")) != before
    assert code.fingerprint("dcmq.data.resize") == coco.DECODER


def test_a_changed_way_to_resize_changes_keys_and_cached_copies(monkeypatch):
    original = code.tree
    before = training_fingerprint(config()), code.fingerprint("dcmq.data.resize")

    def edited(module):
        tree = original(module)
        if module != "dcmq.data.resize":
            return tree
        text = code.source_file(module).read_text()
        assert 'mode="bilinear"' in text
        return code.ast.parse(text.replace('mode="bilinear"', 'mode="nearest"'))

    monkeypatch.setattr(code, "tree", edited)
    after = code.fingerprint.__wrapped__("dcmq.methods.dcmq.method"), code.fingerprint.__wrapped__("dcmq.data.resize")
    assert after[0] != before[0] and after[1] != before[1]


def test_settings_data_teacher_and_weights_are_in_the_key():
    dataset, teacher = tiny_dataset()
    keys = {
        run_key(config(), dataset, teacher),
        run_key(config(seed=1), dataset, teacher),
        run_key(config(student=STUDENT.model_copy(update={"tau_q": 0.1})), dataset, teacher),
        run_key(config(), dataclasses.replace(dataset, fingerprint="another"), teacher),
        run_key(config(), dataset, dataclasses.replace(teacher, fingerprint="another")),
    }
    assert len(keys) == 5
    assert run_key(config(), dataset, teacher) in keys


def test_names_are_listed_in_the_settings_own_registries():
    own = {name for name in TARGETS if TARGETS.is_own(name)}
    paper, parts, ours = {"npc", "raw", "multihot", "identity"}, {"affine", "lifted"}, {"npc_multihot"}
    assert own == paper | parts | ours and "distillation" in LOSSES and "pqg" in QUANTIZERS
    assert torch.equal(TARGETS["identity"](torch.zeros(3, 3), None), torch.eye(3))

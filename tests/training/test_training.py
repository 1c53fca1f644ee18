"""Training: bit-identical repeats, resuming, refused checkpoints, two processes, and a run that learns."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from tiny import STUDENT, config, tiny_dataset

from dcmq.config import StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.student import load_student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.networks.inputs import image_inputs

pytestmark = pytest.mark.slow


def weights(trainer):
    return {k: v.clone() for k, v in trainer.network.state_dict().items()}


def test_two_runs_are_bit_identical_and_another_seed_is_not(tmp_path):
    data = tiny_dataset()
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trainer = Trainer(config(seed=seed), *data, tmp_path / name, "key")
        trainer.run()
        results.append(weights(trainer))
    assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])
    assert not torch.equal(results[0]["quantizer.codebooks"], results[2]["quantizer.codebooks"])


def test_an_interrupted_run_resumes_to_the_same_result(tmp_path):
    data = tiny_dataset()
    whole = Trainer(config(), *data, tmp_path / "whole", "key")
    whole.run()

    class Interrupt(Exception):
        pass

    def stop(progress):
        if progress.epoch == 2:
            raise Interrupt

    with pytest.raises(Interrupt):
        Trainer(config(), *data, tmp_path / "cut", "key").run(stop)
    seen = []
    resumed = Trainer(config(), *data, tmp_path / "cut", "key")
    resumed.run(lambda progress: seen.append(progress.epoch))
    assert seen == [3, 4]
    assert resumed.history == whole.history
    expected, result = weights(whole), weights(resumed)
    assert all(torch.equal(expected[k], result[k]) for k in expected)


class Dropping(torch.nn.Module):
    """Dropout and noise before an encoder, drawn from the global generators of torch, numpy and Python."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        x = torch.nn.functional.dropout(x, 0.3, self.training)
        return self.encoder(x + 0.1 * (np.random.rand() + random.random()) if self.training else x)


class DroppingTrainer(Trainer):
    def __init__(self, *args):
        super().__init__(*args)
        self.network.text_encoder = Dropping(self.network.text_encoder)


def test_random_numbers_of_an_own_part_are_the_same_after_an_interruption(tmp_path):
    data = tiny_dataset()
    whole = DroppingTrainer(config(), *data, tmp_path / "whole", "key")
    whole.run()
    plain = Trainer(config(), *data, tmp_path / "plain", "key")
    plain.run()
    assert plain.history != whole.history

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DroppingTrainer(config(), *data, tmp_path / "cut", "key").run(stop)
    torch.rand(7), np.random.rand(), random.random()  # whatever was drawn in between
    resumed = DroppingTrainer(config(), *data, tmp_path / "cut", "key")
    resumed.run()
    assert resumed.history == whole.history
    expected, result = weights(whole), weights(resumed)
    assert all(torch.equal(expected[k], result[k]) for k in expected)


@pytest.mark.parametrize("augment", ["shift", "simclr"])
def test_augmented_runs_repeat_and_are_other_runs(tmp_path, augment):
    histories = []
    for name, kind in (("a", augment), ("b", augment), ("c", "")):
        trainer = Trainer(config(epochs=1, augment=kind), *tiny_dataset(), tmp_path / name, "key")
        trainer.run()
        histories.append(trainer.history)
    assert histories[0] == histories[1] != histories[2]


def test_separate_training_moves_the_encoders_first_and_then_the_codebooks_alone(tmp_path):
    data = tiny_dataset()
    trainer = Trainer(config(schedule="separate"), *data, tmp_path / "c", "key")
    states = [weights(trainer)]
    trainer.run(lambda _: states.append(weights(trainer)))
    start, middle, end = states[0], states[4], states[8]
    assert len(states) == 9  # as many epochs for each part
    num_codebooks = "quantizer.codebooks"
    assert torch.equal(start[num_codebooks], middle[num_codebooks]) and not torch.equal(
        middle[num_codebooks], end[num_codebooks]
    )
    for name in start:
        if name != num_codebooks and not name.endswith("num_batches_tracked"):
            assert torch.equal(middle[name], end[name]), name  # batch statistics among them
    assert not torch.equal(start["text_encoder.0.weight"], middle["text_encoder.0.weight"])
    rates = trainer.optimizers[0].param_groups[0]["lr"]
    assert rates == pytest.approx(3e-4)  # the second part's learning rate falls at its own half time


@pytest.mark.parametrize("cut", [2, 4, 6])
def test_separate_training_resumes_to_the_same_result_from_either_part(tmp_path, cut):
    data, settings = tiny_dataset(), config(schedule="separate")
    whole = Trainer(settings, *data, tmp_path / "whole", "key")
    whole.run()

    def stop(progress):
        if progress.epoch == cut:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(settings, *data, tmp_path / "cut", "key").run(stop)
    resumed = Trainer(settings, *data, tmp_path / "cut", "key")
    resumed.run()
    expected, result = weights(whole), weights(resumed)
    assert all(torch.equal(expected[k], result[k]) for k in expected)


def test_noise_on_one_modality_is_another_run_than_on_both_and_than_none(tmp_path):
    results = []
    for name, changes in (("both", {}), ("image", {"gumbel_on": "image"}), ("none", {"gumbel_weight": 0.0})):
        student = STUDENT.model_copy(update=changes)
        trainer = Trainer(config(student=student, epochs=1), *tiny_dataset(), tmp_path / name, "key")
        trainer.run()
        results.append(trainer.network.quantizer.codebooks.detach().clone())
    for i in range(3):
        assert not torch.equal(results[i], results[(i + 1) % 3])


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    data = tiny_dataset()
    Trainer(config(epochs=1), *data, tmp_path / "c", "one").run()
    with pytest.raises(DcmqError, match="belongs to run one"):
        Trainer(config(epochs=1), *data, tmp_path / "c", "two").run()


def test_a_cut_checkpoint_is_refused(tmp_path):
    data = tiny_dataset()
    Trainer(config(epochs=1), *data, tmp_path / "c", "key").run()
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(content[: len(content) // 2])
    with pytest.raises(DcmqError, match="cannot be read"):
        Trainer(config(epochs=1), *data, tmp_path / "c", "key").run()


def test_pretrained_layers_start_from_the_file_and_learn_at_their_own_rate(tmp_path):
    weights = torchvision.models.resnet18().state_dict()
    torch.save(weights, tmp_path / "w.pth")
    student = StudentConfig(
        bits=16, subvector_dim=4, image_size=32, text_hidden=(8, 8), backbone_weights=str(tmp_path / "w.pth")
    )
    trainer = Trainer(config(student=student, backbone_lr_factor=0.1, epochs=1), *tiny_dataset(), tmp_path / "c", "key")
    assert torch.equal(trainer.network.image_encoder.backbone.conv1.weight, weights["conv1.weight"])
    trainer.run()
    rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
    assert rates == pytest.approx([3e-3, 3e-4])
    counted = sum(p.numel() for group in trainer.optimizers[0].param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in trainer.network.parameters())
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(DcmqError, match="no torchvision resnet18 state_dict"):
        Trainer(config(student=student), *tiny_dataset(), tmp_path / "d", "key")


@pytest.mark.parametrize("frozen", ["layer3", "layer4"])
def test_frozen_layers_stay_and_their_stored_outputs_are_what_images_give(tmp_path, monkeypatch, frozen):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    torch.manual_seed(0)
    weights = torchvision.models.resnet18().state_dict()
    torch.save(weights, tmp_path / "w.pth")
    student = StudentConfig(
        bits=16,
        subvector_dim=4,
        image_size=32,
        text_hidden=(8, 8),
        backbone_weights=str(tmp_path / "w.pth"),
        frozen=frozen,
    )
    dataset, teacher = tiny_dataset()
    settings = config(student=student, epochs=2)
    trained = Trainer(settings, dataset, teacher, tmp_path / "c", "key").run()
    layer3 = "frozen.layer3.1.conv2.weight"
    assert torch.equal(trained.state_dict()[layer3], weights["layer3.1.conv2.weight"])
    layer4 = trained.state_dict()[
        "frozen.layer4.1.bn2.running_mean" if frozen == "layer4" else "image_encoder.backbone.layer4.1.bn2.running_mean"
    ]
    assert torch.equal(layer4, weights["layer4.1.bn2.running_mean"]) == (frozen == "layer4")
    loaded = load_student(settings, 3, tmp_path / "c")
    rows = np.arange(20)
    with torch.no_grad():
        expected = loaded.encode_images(torch.from_numpy(dataset.images[rows]))
        torch.testing.assert_close(
            loaded.encode_images(torch.from_numpy(image_inputs(loaded, dataset)[rows])), expected, rtol=0.01, atol=0.01
        )
        whole = torchvision.models.resnet18()
        whole.fc = torch.nn.Linear(512, 16)
        prefixes = ("frozen.", "image_encoder.backbone.", "image_encoder.")
        names = {}
        for name, value in loaded.state_dict().items():
            bare = next((name.removeprefix(p) for p in prefixes if name.startswith(p)), name)
            names[bare.replace("head.", "fc.")] = value
        whole.load_state_dict({k: v for k, v in names.items() if k in whole.state_dict()})
        torch.testing.assert_close(whole.eval()(loaded._normalized(torch.from_numpy(dataset.images[rows]))), expected)
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 1  # made in training, found afterwards


TWO_PROCESSES = """
import sys, torch
sys.path.insert(0, {tests!r})
from tiny import config, tiny_dataset
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.training.seeds import random_stream
# Batch statistics are per process; everything else must agree.
torch.nn.BatchNorm2d.forward = lambda self, x: x * self.weight[:, None, None] + self.bias[:, None, None]
trainer = Trainer(config(schedule={schedule!r}), *tiny_dataset(), {checkpoint!r}, "key")
trainer.history = [None] * {done}
generators = [random_stream(0, 0, stream) for stream in (1, 2)]
terms = trainer.step(torch.arange(16), *generators)
gradients = torch.cat([p.grad.flatten() for p in trainer.network.parameters() if p.grad is not None])
if trainer.fabric.global_rank == 0:
    torch.save({{"i2t": terms["i2t"], "t2i": terms["t2i"], "norm": gradients.norm().item()}}, {out!r})
if trainer.fabric.world_size > 1:
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "done"), [("joint", 0), ("separate", 0), ("separate", 4)])
def test_two_processes_see_the_similarity_matrix_of_the_global_batch(tmp_path, schedule, done):
    results = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.pt"
        script = tmp_path / f"{processes}.py"
        tests = str(Path(__file__).parents[1])
        checkpoint = str(tmp_path / f"c{processes}")
        script.write_text(
            TWO_PROCESSES.format(tests=tests, checkpoint=checkpoint, out=str(out), schedule=schedule, done=done)
        )
        launch = ["-m", "torch.distributed.run", "--nproc-per-node=2"] if processes == 2 else []
        ran = subprocess.run([sys.executable, *launch, str(script)], capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr[-2000:]
        results.append(torch.load(out, weights_only=True))
    assert results[0] == pytest.approx(results[1], rel=1e-4)

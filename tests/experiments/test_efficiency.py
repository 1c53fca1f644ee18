"""Parameters, multiplications, bytes and seconds, against sums done by hand."""

import numpy as np
import pytest
import torch
from tiny import TAG_STUDENT, TAGS
from torch import nn

from dcmq.codes.pack import pack
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import save_tensors
from dcmq.experiments import efficiency
from dcmq.methods.base import count_parameters
from dcmq.methods.dcmq.student import make_student
from dcmq.teachers.base import Teacher
from dcmq.teachers.registry import resolve_teacher

CONFIG = TrainConfig(student=TAG_STUDENT)


def test_macs_of_a_convolution_and_a_linear_layer():
    layers = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 8 * 8, 7))
    assert count_parameters(layers) == (3 * 5 * 9 + 5) + (5 * 64 * 7 + 7)
    assert efficiency.macs(layers, torch.zeros(1, 3, 8, 8)) == 64 * (3 * 5 * 9) + 5 * 64 * 7
    assert efficiency.macs(layers, torch.zeros(4, 3, 8, 8)) == 4 * efficiency.macs(layers, torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_macs_of_attention_are_all_counted(device):
    """Four projections, the scores and the weighted sum; torch's fused kernel alone would count as nothing."""
    tokens, width = 5, 8
    layer = nn.MultiheadAttention(width, 2, batch_first=True, device=device).eval().requires_grad_(False)
    x = torch.zeros(1, tokens, width, device=device)
    by_hand = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert efficiency.macs(lambda x: layer(x, x, x, need_weights=False), x) == by_hand
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_size_of_a_student_by_hand():
    student = make_student(CONFIG, len(TAGS)).eval()
    num_codebooks, num_codewords, dim = 4, 16, 4
    first, second, dimension = 6, 5, num_codebooks * dim
    size = efficiency.student_size(student, torch.zeros(1, len(TAGS)))
    assert size.text_parameters == (5 + 1) * first + (first + 1) * second + (second + 1) * dimension
    assert size.shared_parameters == num_codebooks * num_codewords * dim
    assert size.parameters == sum(p.numel() for p in student.parameters())
    assert size.text_macs == 5 * first + first * second + second * dimension + num_codebooks * num_codewords * dim
    convolutions = 16**2 * 3 * 32 * 25 + 8**2 * 32 * 64 * 9 + 4**2 * 64 * 96 * 9
    assert size.image_macs == convolutions + 384 * 256 + 256 * dimension + num_codebooks * num_codewords * dim


def test_the_bundled_teacher_has_the_parameters_it_says():
    teacher = resolve_teacher("clip", "scenes")
    size = efficiency.teacher_size(teacher)
    assert size.parameters == teacher.parameters
    assert min(size.image_parameters, size.text_parameters, size.image_macs, size.text_macs) > 0
    assert teacher.training_seconds > 0


def test_an_architecture_is_sized_without_its_weights():
    size, numbers = efficiency.architecture_size("RN50")
    assert (round(size.parameters / 1e6, 2), numbers) == (102.01, 1024)
    with pytest.raises(DcmqError, match="did you mean RN50"):
        efficiency.architecture_size("RN5O")


class Elsewhere(Teacher):
    """A teacher whose embeddings were made elsewhere."""

    def embed_dataset(self, dataset, progress=True):
        raise NotImplementedError


class OfAnotherMake(Elsewhere):
    """A teacher whose model is not built as open_clip's are."""

    network = nn.Linear(2, 2)


@pytest.mark.parametrize("kind", [Elsewhere, OfAnotherMake])
def test_a_teacher_whose_halves_cannot_be_told_apart_has_no_size(kind):
    assert efficiency.teacher_size(kind()) is None


def header_of(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize(("bits", "items"), [(16, 1), (64, 5500), (128, 77)])
def test_a_file_of_codes_is_its_header_and_its_bits(tmp_path, bits, items):
    packed = pack(np.random.default_rng(0).integers(0, 16, (items, bits // 4)))
    file = efficiency.stored(packed)
    assert file.bytes == file.header + items * bits // 8
    save_tensors(tmp_path / "same", {"items": packed})
    content = (tmp_path / "same").read_bytes()
    assert (len(content), header_of(content)) == (file.bytes, file.header)
    assert content[file.header :] == packed.tobytes()


def test_the_median_counts_and_the_first_call_does_not(monkeypatch):
    clock = iter([0, 8, 10, 12, 20, 120])  # calls of 8, 2 and 100 seconds after the one to warm up
    monkeypatch.setattr(efficiency.time, "perf_counter", lambda: next(clock))
    threads, seen = torch.get_num_threads(), []
    assert efficiency.seconds_per_item(lambda: seen.append(torch.get_num_threads()), items=4, repeats=3) == 8 / 4
    assert seen == [1] * 4 and torch.get_num_threads() == threads

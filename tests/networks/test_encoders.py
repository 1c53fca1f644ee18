"""Every encoder is built and takes a step; weights come from where they are said to come, or one line says why not."""

import numpy as np
import pytest
import torch
import torchvision
from tiny import STUDENT, tiny_dataset

from dcmq.config import StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.student import Student
from dcmq.networks.clip import clip_tokenizer
from dcmq.networks.encoders import (
    IMAGE_ENCODERS,
    image_encoder,
    register_image_encoder,
    split_resnet,
    text_transformer,
    with_head,
)
from dcmq.networks.inputs import text_inputs
from dcmq.networks.pixels import HALF, IMAGENET, OPENAI
from dcmq.networks.pretrained import weights_fingerprint
from dcmq.teachers.base import l2_normalize
from dcmq.teachers.bundled import BundledClip

IMAGE = [
    ("small_resnet", 32, ""),
    ("small_convnet", 32, ""),
    ("small_vit", 32, ""),
    ("small_clip", 64, ""),
    ("small_clip", 64, "clip-wide"),
    ("alexnet", 64, ""),
    ("resnet18", 64, ""),
    ("resnet50", 64, ""),
    pytest.param("vit_b_32", 224, "", marks=pytest.mark.slow),
    ("timm:deit_tiny_patch16_224", 64, ""),
    ("timm:resnet18", 64, ""),
    pytest.param("open_clip:RN50", 224, "", marks=pytest.mark.slow),
]


def step(model, *inputs):
    """One Adam step on the sum of outputs; returns the output and which parameters moved."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    output = model(*inputs)
    (output * torch.linspace(-1, 1, output.shape[1])).sum().backward()
    optimizer.step()
    return output, {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "weights"), IMAGE)
def test_image_encoders_end_in_d_numbers_and_learn(name, size, weights):
    torch.manual_seed(0)
    model = image_encoder(name, 24, size, weights).train()
    output, moved = step(model, torch.randn(4, 3, size, size))
    assert output.shape == (4, 24) and output.isfinite().all()
    last = list(dict(model.named_parameters()))[-1]
    # Some start with blocks that pass their input on (zeros in the last normalization): those move a step later.
    assert last in moved and not moved <= {"head.weight", "head.bias"}
    assert model.pixels == {"small_clip": HALF, "open_clip": OPENAI}.get(name.partition(":")[0], IMAGENET)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("small_clip", ""), ("small_clip", "clip"), pytest.param("open_clip:RN50", "", marks=pytest.mark.slow)],
)
def test_text_transformers_read_tokens_and_learn(name, weights):
    model = text_transformer(name, 24, weights)
    output, moved = step(model, clip_tokenizer(name)(["a red boat", "two dogs"]))
    assert output.shape == (2, 24) and "head.weight" in moved
    assert not any("visual" in parameter for parameter, _ in model.named_parameters())


def test_a_towers_weights_are_the_teachers():
    dataset, _ = tiny_dataset()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    config = STUDENT.model_copy(
        update=dict(
            image_encoder="small_clip", backbone_weights="clip", image_size=64,
            text_encoder="small_clip", text_weights="clip", text_input="caption",
        )
    )  # fmt: skip
    student, teacher = Student(config, 3).eval(), BundledClip("clip")
    with torch.no_grad():
        image = student.image_encoder.backbone(student.frozen_outputs(torch.from_numpy(images)))
        text = student.text_encoder.backbone(clip_tokenizer("small_clip")(["boat sea", "tree"]))
    torch.testing.assert_close(l2_normalize(image), teacher.encode_images(images), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(l2_normalize(text), teacher.encode_texts(["boat sea", "tree"]), rtol=1e-3, atol=1e-4)


def test_weights_come_from_a_file_with_or_without_the_last_layer(tmp_path):
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, tmp_path / "whole.pth")
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, tmp_path / "backbone.pth")
    for file in ("whole.pth", "backbone.pth"):
        model = image_encoder("resnet18", 8, 64, str(tmp_path / file))
        assert torch.equal(model.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
        assert model.head.weight.shape == (8, 512)
    with pytest.raises(DcmqError, match="is no torchvision resnet50 state_dict") as caught:
        image_encoder("resnet50", 8, 64, str(tmp_path / "whole.pth"))
    assert "\n" not in str(caught.value)


def test_an_image_encoder_of_ones_own_goes_by_its_name_and_brings_its_pixels(monkeypatch):
    monkeypatch.setattr(IMAGE_ENCODERS, "_entries", dict(IMAGE_ENCODERS))

    @register_image_encoder
    def mean_colour(dimension, size, weights):
        return with_head(torch.nn.Sequential(torch.nn.AvgPool2d(size), torch.nn.Flatten()), 3, dimension, HALF)

    @register_image_encoder("headless")
    def no_head(dimension, size, weights):
        return torch.nn.Flatten()

    config = STUDENT.model_copy(update=dict(image_encoder="mean_colour"))
    student = Student(config, 3)
    grey = torch.full((2, 16, 16, 3), 255, dtype=torch.uint8)
    torch.testing.assert_close(
        student.image_features(grey), torch.ones(2, 3)
    )  # 255 is 1 where 0.5 is both mean and std
    assert student.encode_images(grey).shape == (2, config.num_codebooks * config.subvector_dim)
    with pytest.raises(DcmqError, match="headless gives a Flatten; end it with with_head"):
        image_encoder("headless", 8, 16)
    with pytest.raises(DcmqError, match="'resnet18' is the package's own"):
        register_image_encoder("resnet18")(mean_colour)


def test_a_split_resnet_computes_what_the_whole_does():
    torch.manual_seed(0)
    model = image_encoder("resnet18", 8, 64).eval()
    x = torch.randn(2, 3, 64, 64)
    expected = model(x)
    for last in ("layer3", "layer4"):
        first, rest = split_resnet(model, last)
        torch.testing.assert_close(rest(first(x)), expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_encoder("resnet19", 8, 64), "image_encoder: 'resnet19' is not known"),
        (lambda: image_encoder("timm:resnet19", 8, 64), "timm has no model 'resnet19'"),
        (lambda: image_encoder("open_clip:RN5", 8, 64), "'open_clip:RN5' is not known"),
        (lambda: image_encoder("small_clip", 8, 32), "small_clip reads 64 pixels a side, not 32"),
        (lambda: image_encoder("small_clip", 8, 64, "openai"), "'openai' is no bundled teacher"),
        (lambda: image_encoder("small_vit", 8, 64, "imagenet"), "small_vit has no pretrained weights"),
        (lambda: image_encoder("resnet18", 8, 64, "nowhere.pth"), "no file nowhere.pth"),
        (lambda: text_transformer("bert", 8), "'bert' is not known"),
        (lambda: weights_fingerprint("nowhere.pth"), "no file nowhere.pth"),
        (lambda: StudentConfig(text_input="caption"), "mlp cannot read caption"),
        (lambda: StudentConfig(text_encoder="small_clip"), "small_clip cannot read bow"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(call, words):
    with pytest.raises(DcmqError) as caught:
        call()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_fingerprints_follow_the_content(tmp_path):
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (weights_fingerprint(str(tmp_path / name)) for name in ("a.pth", "b.pth", "c.pth"))
    assert a == b != c
    assert weights_fingerprint("imagenet") == "imagenet"
    assert weights_fingerprint("clip") != weights_fingerprint("clip-wide") != "clip-wide"


def with_texts(**texts):
    dataset, _ = tiny_dataset()
    return dataset.__class__(**{f: getattr(dataset, f) for f in dataset.__dataclass_fields__} | texts)


def test_transformers_read_the_first_caption_or_all_tags():
    dataset = with_texts(captions=(("a red boat", "other"),) * 90, tags=(("boat", "sea"),) * 90)
    tokenizer = clip_tokenizer("small_clip")
    for kind, text in (("caption", "a red boat"), ("tags", "boat sea")):
        student = Student(STUDENT.model_copy(update=dict(text_encoder="small_clip", text_input=kind)), 3)
        inputs = text_inputs(student, dataset)
        assert torch.equal(inputs(np.array([3, 5])), tokenizer([text, text]))


def test_missing_captions_are_counted():
    dataset = with_texts(captions=(("a boat",),) * 60 + ((),) * 30)
    student = Student(STUDENT.model_copy(update=dict(text_encoder="small_clip", text_input="caption")), 3)
    with pytest.raises(DcmqError, match="30 of 90 samples of tiny have no caption"):
        text_inputs(student, dataset)

"""Teachers: names, the bundled CLIP, precomputed files, and embeddings computed once."""

import json
import subprocess
import sys

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors
from dcmq.data.datasets import load_dataset
from dcmq.networks import hub
from dcmq.teachers import openclip
from dcmq.teachers.__main__ import main
from dcmq.teachers.base import Encoder, l2_normalize
from dcmq.teachers.bundled import BundledClip
from dcmq.teachers.check import KINDS, TOLERANCE, check, reference_for, verdict
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher, teacher_names


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))


@pytest.fixture
def scenes():
    return load_dataset("scenes", query=20, train=60, gallery=100)


def arrays(n=120, **changes):
    rng = np.random.default_rng(0)
    made = dict(image_id=np.arange(n), image=rng.normal(size=(n, 8)), text=rng.normal(size=(n, 8)))
    return {k: v for k, v in (made | changes).items() if v is not None}


@pytest.mark.parametrize("name", ["clip", "clip-wide"])
def test_bundled_teachers_know_the_scenes(scenes, name):
    embeddings = embed(resolve_teacher(name, "scenes"), scenes, progress=False)
    torch.testing.assert_close(embeddings.image.norm(dim=1), torch.ones(120))
    similarity = embeddings.image @ embeddings.text.T
    relevant = torch.from_numpy(scenes.labels.astype(np.float32) @ scenes.labels.T.astype(np.float32) > 0)
    assert similarity[relevant].mean() > similarity[~relevant].mean()
    assert embeddings.parameters > 1_000_000 and embeddings.fingerprint in embeddings.description


def test_a_second_look_makes_no_forward_pass_and_damage_is_repaired(scenes, tmp_path, monkeypatch):
    calls = []
    encode = BundledClip.encode_images
    monkeypatch.setattr(BundledClip, "encode_images", lambda self, x: calls.append(len(x)) or encode(self, x))
    teacher = resolve_teacher("clip", "scenes")
    first = embed(teacher, scenes, progress=False)
    assert sum(calls) == 120
    assert torch.equal(embed(teacher, scenes, progress=False).image, first.image) and sum(calls) == 120
    stored = next((tmp_path / "home").rglob("embeddings/*.safetensors"))
    content = bytearray(stored.read_bytes())
    content[-1] ^= 255
    stored.write_bytes(content)
    assert torch.equal(embed(teacher, scenes, progress=False).text, first.text) and sum(calls) == 240
    stored.write_bytes(bytes(content[:100]))
    embed(teacher, scenes, progress=False)
    assert sum(calls) == 360 and load_tensors(stored)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_precomputed_rows_are_matched_by_id(scenes, tmp_path, kind):
    order = np.random.default_rng(1).permutation(150)
    made = arrays(150)
    shuffled = {k: np.ascontiguousarray(v[order]) for k, v in made.items()}
    path = tmp_path / f"t.{kind}"
    np.savez(path, **shuffled) if kind == "npz" else save_file(shuffled, path)
    embeddings = embed(resolve_teacher(f"precomputed:{path}", "scenes"), scenes)
    expected = made["image"][:120] / np.linalg.norm(made["image"][:120], axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings.image.numpy(), expected, atol=1e-5)


def test_precomputed_ids_that_became_floats_are_the_same_teacher(scenes, tmp_path):
    made = arrays()
    np.savez(tmp_path / "whole.npz", **made)
    np.savez(tmp_path / "float.npz", **made | {"image_id": made["image_id"].astype(float)})
    whole, floats = (
        resolve_teacher(f"precomputed:{tmp_path / f'{name}.npz'}", "scenes") for name in ("whole", "float")
    )
    assert whole.fingerprint == floats.fingerprint and len(embed(floats, scenes).image) == len(scenes.ids)


def broken_row(value):
    made = arrays()["image"]
    made[7] = value
    return made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(image_id=np.arange(120) + 3), "lacks 3 of 120 samples .first id: 0"),
        (dict(image_id=None), "no array 'image_id'"),
        (dict(image=broken_row(np.nan)), "1 rows of image are NaN or zero .first id: 7"),
        (dict(image=broken_row(0)), "NaN or zero"),
        (dict(text=np.ones((119, 8))), "disagree"),
        (dict(image_id=np.zeros(120, int)), "twice"),
        (dict(image_id=np.array([None] * 120)), "no readable"),  # would need pickle
    ],
)
def test_bad_precomputed_files_are_refused(scenes, tmp_path, changes, words):
    np.savez(tmp_path / "t.npz", **arrays(**changes))
    with pytest.raises(DcmqError, match=words):
        embed(resolve_teacher(f"precomputed:{tmp_path}/t.npz", "scenes"), scenes)


@pytest.mark.parametrize(
    ("name", "dataset", "words"),
    [
        ("clpi", "scenes", "did you mean clip"),
        ("clip-wide", "coco", "scenes only"),
        ("open_clip:NoSuch/openai", "coco", "no architecture"),
        ("open_clip:ViT-B-32/nosuch", "coco", "no checkpoint 'nosuch'"),
        ("open_clip:ViT-B-32", "coco", "names no checkpoint"),
        ("open_clip:ViT-B-32//no/file.pt", "coco", "no checkpoint file"),
        ("precomputed:/no/file.npz", "coco", "no file"),
    ],
)
def test_unknown_teachers_get_one_line(name, dataset, words):
    with pytest.raises(DcmqError, match=words) as caught:
        resolve_teacher(name, dataset)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tiny_clip(tmp_path):
    """An architecture that open_clip builds in milliseconds, and a checkpoint of it."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    (tmp_path / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    model = open_clip.create_model("tiny-clip")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    return model.eval(), tmp_path / "weights.pt"


def test_a_local_open_clip_checkpoint_teaches_with_exactly_its_weights(scenes, tiny_clip):
    model, path = tiny_clip
    teacher = resolve_teacher(f"open_clip:tiny-clip/{path}", "scenes")
    embeddings = embed(teacher, scenes, progress=False)
    assert embeddings.parameters == sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        text = model.encode_text(open_clip.get_tokenizer("tiny-clip")(scenes.label_sentences()[:3]), normalize=True)
        picture = teacher.transform(Image.fromarray(scenes.images[0]))[None]
        image = model.encode_image(picture, normalize=True)
    torch.testing.assert_close(teacher.encode_texts(scenes.label_sentences()[:3]), text, atol=1e-5, rtol=0)
    torch.testing.assert_close(teacher.encode_images(scenes.images[:1]), image, atol=1e-5, rtol=0)
    # What is kept is kept in half precision, and the same whether it was just made or read from the cache.
    torch.testing.assert_close(embeddings.text[:3], text, atol=1e-3, rtol=0)
    again = embed(teacher, scenes, progress=False)
    assert torch.equal(again.image, embeddings.image) and torch.equal(again.text, embeddings.text)
    torch.testing.assert_close(again.image.norm(dim=1), torch.ones(120))


def test_a_fingerprint_outlives_the_process(tiny_clip, tmp_path):
    _, path = tiny_clip
    code = (
        f"import open_clip; open_clip.add_model_config({str(tmp_path / 'tiny-clip.json')!r})\n"
        "from dcmq.teachers import resolve_teacher\n"
        f"print(resolve_teacher({f'open_clip:tiny-clip/{path}'!r}, 'coco').fingerprint)"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == resolve_teacher(f"open_clip:tiny-clip/{path}", "coco").fingerprint


def test_checkpoints_that_do_not_fit_are_refused(tiny_clip):
    _, path = tiny_clip
    with pytest.raises(DcmqError, match="is no whole ViT-S-32-alt checkpoint"):
        resolve_teacher(f"open_clip:ViT-S-32-alt/{path}", "scenes")
    state = torch.load(path, weights_only=True)
    state.pop("text_projection")
    torch.save(state, path)
    with pytest.raises(DcmqError, match="is no whole tiny-clip checkpoint"):
        resolve_teacher(f"open_clip:tiny-clip/{path}", "scenes")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DcmqError, match="is no whole tiny-clip checkpoint") as caught:
        resolve_teacher(f"open_clip:tiny-clip/{path}", "scenes")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_never_unpickled(tiny_clip):
    _, path = tiny_clip

    class Trap:
        def __reduce__(self):
            return (open, (str(path.with_name("trapped")), "w"))

    torch.save({"state_dict": Trap()}, path)
    with pytest.raises(DcmqError, match="is no whole"):
        resolve_teacher(f"open_clip:tiny-clip/{path}", "scenes")
    assert not path.with_name("trapped").exists()


def test_the_activation_is_part_of_what_a_teacher_is(tiny_clip, tmp_path):
    _, path = tiny_clip
    config = json.loads((tmp_path / "tiny-clip.json").read_text())
    (tmp_path / "tiny-clip-quickgelu.json").write_text(json.dumps(config | {"quick_gelu": True}))
    open_clip.add_model_config(tmp_path / "tiny-clip-quickgelu.json")
    plain = resolve_teacher(f"open_clip:tiny-clip/{path}", "coco")
    quick = resolve_teacher(f"open_clip:tiny-clip-quickgelu/{path}", "coco")
    assert plain.fingerprint != quick.fingerprint
    assert not torch.equal(plain.encode_texts(["a dog"]), quick.encode_texts(["a dog"]))


def test_sentences_over_77_tokens_are_cut_and_counted(scenes, tiny_clip):
    _, path = tiny_clip
    teacher = resolve_teacher(f"open_clip:tiny-clip/{path}", "scenes")
    assert teacher.truncated(["dog " * 75, "dog " * 76, "a dog", "dog " * 500]) == 2
    assert torch.equal(teacher.encode_texts(["dog " * 76]), teacher.encode_texts(["dog " * 75]))
    teacher.truncated = lambda texts: 3
    with pytest.warns(UserWarning, match="3 of .* distinct label sentences are longer"):
        embed(teacher, scenes, progress=False)


@pytest.fixture
def published(monkeypatch):
    """Records what open_clip is asked for, instead of fetching anything."""
    asked = []

    def create(architecture, pretrained, **options):
        asked.append((architecture, pretrained, options["force_quick_gelu"]))
        model = open_clip.create_model("tiny-clip", force_quick_gelu=options["force_quick_gelu"])
        return model, None, str

    monkeypatch.setattr(openclip, "require_reachable", lambda *_: None)
    monkeypatch.setattr(openclip.open_clip, "create_model_and_transforms", create)
    return asked


@pytest.mark.parametrize(
    ("name", "architecture", "tag", "quick"),
    [
        ("clip", "ViT-B-32", "openai", True),
        ("clip-vit-b32", "ViT-B-32", "openai", True),
        ("clip-rn50", "RN50", "openai", True),
        ("clip-vit-l14", "ViT-L-14", "openai", True),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k", False),
    ],
)
def test_published_weights_get_the_activation_they_were_trained_with(
    tiny_clip, published, name, architecture, tag, quick
):
    teacher = resolve_teacher(name, "coco")
    assert published == [(architecture, tag, quick)] and teacher.name == name
    assert any(type(m).__name__ == "QuickGELU" for m in teacher.model.modules()) == quick


def test_weights_out_of_reach_get_one_line_at_once(monkeypatch, tmp_path):
    def refuse(_url, timeout):
        assert timeout == 5
        raise OSError("no network")

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "get_hf_file_metadata", refuse)
    with pytest.raises(DcmqError) as caught:
        resolve_teacher("clip", "coco")
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path / "hub") in message
    # OpenAI's weights need their own activation: a bare file must be read by the architecture that has it.
    assert "timm/vit_base_patch32_clip_224.openai" in message and "ViT-B-32-quickgelu//path" in message


def test_half_a_file_in_the_cache_is_named(monkeypatch, tmp_path):
    snapshot = tmp_path / "models--timm--vit_base_patch32_clip_224.openai/snapshots/0"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").write_bytes(b"half")

    def broken(*_args, **_options):
        raise RuntimeError("header too large\nand more")

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(openclip.open_clip, "create_model_and_transforms", broken)
    with pytest.raises(DcmqError, match=r"cannot be loaded \(header too large\): delete it$"):
        resolve_teacher("clip", "coco")


class Answers(Encoder):
    """Gives prompts the vectors that have the reference's cosines, off by ``noise``."""

    name, description, parameters, fingerprint = "answers", "", 0, "0"

    def __init__(self, reference, noise=0.0):
        values, vectors = np.linalg.eigh(reference.to_numpy())
        self.rows = dict(zip(reference.index, (vectors * np.sqrt(values.clip(0))).astype(np.float32), strict=True))
        self.rows["a dog"] = self.rows["a dog"] + np.float32(noise)

    def encode_images(self, images):
        return l2_normalize(torch.from_numpy(images[:, 0, 0].astype(np.float32)) + 1)

    def encode_texts(self, texts):
        return torch.stack([l2_normalize(torch.from_numpy(self.rows.get(t, np.ones(3, np.float32)))) for t in texts])


def test_the_carried_cosines_tell_right_weights_from_others():
    assert reference_for("open_clip RN50 / openai, ...") is None
    reference = reference_for("open_clip ViT-B-32-quickgelu / openai, 151,277,313 parameters")
    assert reference.shape == (8, 8) and reference.loc["a dog", "a cat"] == 0.9361
    np.testing.assert_allclose(reference, reference.T)
    right = check(Answers(reference), reference)
    assert right.deviation < TOLERANCE and right.right and verdict(right).startswith("right")
    wrong = check(Answers(reference, noise=0.02), reference)
    assert wrong.right is False and verdict(wrong).startswith("WRONG")
    assert right.kinds == len(KINDS) / 4  # in OpenAI's own figures a dog is nearest to a cat and a car to a bus


def test_check_of_weights_that_say_nothing(tiny_clip, capsys):
    _, path = tiny_clip
    assert main(["check", f"open_clip:tiny-clip/{path}"]) in (0, 1)  # random: plausible or wrong by chance, never right
    assert "right" not in capsys.readouterr().out.splitlines()[-1].split(":")[0]


def test_check_ends_in_one_line_where_nothing_can_be_fetched(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hf_hub_url", lambda repository, file: f"http://127.0.0.1:9/{repository}/{file}")
    assert main(["check", "clip-vit-b32"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be fetched" in error


def test_every_known_name_is_resolved_or_says_what_it_needs(monkeypatch, tmp_path):
    def refuse(_url, timeout):
        raise OSError("no network")

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "get_hf_file_metadata", refuse)
    for name in teacher_names():
        with pytest.raises(DcmqError) as caught:
            resolve_teacher(name, "coco")
        assert "is not known" not in str(caught.value)


def test_embeddings_of_another_version_are_made_again(scenes, tmp_path):
    teacher = resolve_teacher("clip", "scenes")
    first = embed(teacher, scenes, progress=False)
    stored = next((tmp_path / "home").rglob("embeddings/*.safetensors"))
    save_file({"picture_vectors": np.ones((120, 8), np.float32)}, stored)  # no checksum, other names
    assert torch.equal(embed(teacher, scenes, progress=False).image, first.image)

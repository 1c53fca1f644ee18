"""Teachers: names, the bundled CLIP, precomputed files, and embeddings computed once."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from dcmq.data import load_dataset
from dcmq.errors import DcmqError
from dcmq.storage import load_tensors
from dcmq.teachers import embed, openclip, resolve_teacher
from dcmq.teachers.scenes_clip import BundledClip


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
    assert embeddings.parameters > 1_000_000 and embeddings.fingerprint in embeddings.resolved


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
    torch.testing.assert_close(embeddings.text[:3], text, atol=1e-5, rtol=0)
    torch.testing.assert_close(embeddings.image[:1], image, atol=1e-5, rtol=0)


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


def test_weights_out_of_reach_get_one_line_at_once(monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(openclip, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(openclip, "getproxies", dict)
    monkeypatch.setattr(openclip.socket, "create_connection", refuse)
    with pytest.raises(DcmqError) as caught:
        resolve_teacher("clip", "coco")
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path / "hub") in message
    # OpenAI's weights need their own activation: a bare file must be read by the architecture that has it.
    assert "timm/vit_base_patch32_clip_224.openai" in message and "ViT-B-32-quickgelu//path" in message


def test_embeddings_of_another_version_are_made_again(scenes, tmp_path):
    teacher = resolve_teacher("clip", "scenes")
    first = embed(teacher, scenes, progress=False)
    stored = next((tmp_path / "home").rglob("embeddings/*.safetensors"))
    save_file({"picture_vectors": np.ones((120, 8), np.float32)}, stored)  # no checksum, other names
    assert torch.equal(embed(teacher, scenes, progress=False).image, first.image)

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
from dcmq.networks import hub, open_clip_models
from dcmq.teachers import registry
from dcmq.teachers.base import TEACHERS, Encoder, Teacher, l2_normalize, register_teacher
from dcmq.teachers.bundled import BundledClip
from dcmq.teachers.check import KINDS, TOLERANCE, check, reference_for, verdict
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher, teacher_names

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def scenes():
    return load_dataset("scenes", query=20, train=60, gallery=100)


def arrays(n=120, **changes):
    rng = np.random.default_rng(0)
    content = dict(image_id=np.arange(n), image=rng.normal(size=(n, 8)), text=rng.normal(size=(n, 8)))
    return {k: v for k, v in (content | changes).items() if v is not None}


@pytest.mark.parametrize("name", ["clip", "clip-wide"])
def test_bundled_teachers_know_the_scenes(scenes, name):
    embeddings = embed(resolve_teacher(name, "scenes"), scenes, progress=False)
    torch.testing.assert_close(embeddings.image.norm(dim=1), torch.ones(120))
    similarity = embeddings.image @ embeddings.text.T
    relevant = torch.from_numpy(scenes.labels.astype(np.float32) @ scenes.labels.T.astype(np.float32) > 0)
    assert similarity[relevant].mean() > similarity[~relevant].mean()
    assert embeddings.parameters > 1_000_000 and embeddings.fingerprint in embeddings.description


def test_a_second_look_makes_no_forward_pass_and_damage_is_repaired(scenes, tmp_path, monkeypatch):
    calls, teacher = [], resolve_teacher("clip", "scenes")
    encode = teacher.encode_images
    monkeypatch.setattr(teacher, "encode_images", lambda images: calls.append(len(images)) or encode(images))
    first = embed(teacher, scenes, progress=False)
    assert not calls  # nothing is encoded before it is looked at
    assert len(first.image) == len(first.text) == sum(calls) == 120
    assert torch.equal(embed(teacher, scenes, progress=False).image, first.image) and sum(calls) == 120
    stored = next((tmp_path / "home").rglob("embeddings/*.safetensors"))
    content = bytearray(stored.read_bytes())
    content[-1] ^= 255
    stored.write_bytes(content)
    assert torch.equal(embed(teacher, scenes, progress=False).text, first.text) and sum(calls) == 240
    stored.write_bytes(bytes(content[:100]))
    assert len(embed(teacher, scenes, progress=False).image) == 120
    assert sum(calls) == 360 and load_tensors(stored)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_precomputed_rows_are_matched_by_id(scenes, tmp_path, kind):
    order = np.random.default_rng(1).permutation(150)
    ordered = arrays(150)
    shuffled = {k: np.ascontiguousarray(v[order]) for k, v in ordered.items()}
    path = tmp_path / f"t.{kind}"
    np.savez(path, **shuffled) if kind == "npz" else save_file(shuffled, path)
    embeddings = embed(resolve_teacher(f"precomputed:{path}", "scenes"), scenes)
    expected = ordered["image"][:120] / np.linalg.norm(ordered["image"][:120], axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings.image.numpy(), expected, atol=1e-5)


def test_precomputed_ids_that_became_floats_are_the_same_teacher(scenes, tmp_path):
    content = arrays()
    np.savez(tmp_path / "whole.npz", **content)
    np.savez(tmp_path / "float.npz", **content | {"image_id": content["image_id"].astype(float)})
    whole, floats = (
        resolve_teacher(f"precomputed:{tmp_path / f'{name}.npz'}", "scenes") for name in ("whole", "float")
    )
    assert whole.fingerprint == floats.fingerprint and len(embed(floats, scenes).image) == len(scenes.ids)


def broken_row(value):
    images = arrays()["image"]
    images[7] = value
    return images


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
        _ = embed(resolve_teacher(f"precomputed:{tmp_path}/t.npz", "scenes"), scenes).image


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
        ("precomputed", "coco", "needs weights .*: say teacher=precomputed:FILE"),
        ("open_clip", "coco", "say teacher=open_clip:ARCH/TAG or teacher=open_clip:ARCH//FILE"),
        ("clip:ViT-B-32", "coco", "'clip:ViT-B-32' is not known"),
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
        pixels = teacher.transform(Image.fromarray(scenes.images[0]))[None]
        image = model.encode_image(pixels, normalize=True)
    torch.testing.assert_close(teacher.encode_texts(scenes.label_sentences()[:3]), text, atol=1e-5, rtol=0)
    torch.testing.assert_close(teacher.encode_images(scenes.images[:1]), image, atol=1e-5, rtol=0)
    # What is kept is kept in half precision, and the same whether it was just made or read from the cache.
    torch.testing.assert_close(embeddings.text[:3], text, atol=1e-3, rtol=0)
    again = embed(teacher, scenes, progress=False)
    assert torch.equal(again.image, embeddings.image) and torch.equal(again.text, embeddings.text)
    torch.testing.assert_close(again.image.norm(dim=1), torch.ones(120))


@pytest.mark.slow
def test_a_fingerprint_outlives_the_process(tiny_clip, tmp_path):
    _, path = tiny_clip
    code = (
        f"import open_clip; open_clip.add_model_config({str(tmp_path / 'tiny-clip.json')!r})\n"
        "from dcmq.teachers.registry import resolve_teacher\n"
        f"print(resolve_teacher({f'open_clip:tiny-clip/{path}'!r}, 'coco').fingerprint)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == resolve_teacher(f"open_clip:tiny-clip/{path}", "coco").fingerprint


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
        _ = embed(teacher, scenes, progress=False).text


@pytest.fixture
def published(monkeypatch):
    """Records what open_clip is asked for, instead of fetching anything."""
    requests = []

    def create(architecture, checkpoint, force_quick_gelu):
        requests.append((architecture, checkpoint, force_quick_gelu))
        return open_clip.create_model("tiny-clip", force_quick_gelu=force_quick_gelu), str

    monkeypatch.setattr(open_clip_models, "require_reachable", lambda *_: None)
    monkeypatch.setattr(open_clip_models, "_create", create)
    return requests


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
    assert "timm/vit_base_patch32_clip_224.openai" in message and "open_clip:ViT-B-32-quickgelu//FILE" in message


def test_half_a_file_in_the_cache_is_named(monkeypatch, tmp_path):
    snapshot = tmp_path / "models--timm--vit_base_patch32_clip_224.openai/snapshots/0"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").write_bytes(b"half")

    def broken(*_args, **_options):
        raise RuntimeError("header too large\nand more")

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(open_clip_models, "_create", broken)
    with pytest.raises(DcmqError, match=r"cannot be loaded \(header too large\): delete it$"):
        resolve_teacher("clip", "coco")


class Rainbow(Teacher):
    """Embeddings of any length that no network makes."""

    description, parameters = "numbers", 0

    def __init__(self, length):
        self.name, self.length, self.fingerprint = f"rainbow:{length}", length, f"rainbow {length}"

    def embed_dataset(self, dataset, progress=True):
        vectors = l2_normalize(torch.arange(len(dataset.ids) * self.length).view(-1, self.length) + 1.0)
        return vectors, vectors


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


def test_check_of_weights_that_say_nothing(tiny_clip):
    _, path = tiny_clip
    teacher = resolve_teacher(f"open_clip:tiny-clip/{path}", "photos")
    result = check(teacher, reference_for(teacher.description))
    assert (
        result.right in (False, None) and "right" not in verdict(result).split(":")[0]
    )  # wrong by chance, never right


def test_check_of_a_file_asks_nothing(tmp_path):
    np.savez(tmp_path / "t.npz", **arrays())
    teacher = resolve_teacher(f"precomputed:{tmp_path}/t.npz", "photos")
    assert not teacher.reads_any_text and teacher.network is None and teacher.training_seconds is None
    result = check(teacher, reference_for(teacher.description))
    assert result.right is None and verdict(result).startswith("embeddings from a file")


def test_weights_that_cannot_be_fetched_are_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hf_hub_url", lambda repository, file: f"http://127.0.0.1:9/{repository}/{file}")
    with pytest.raises(DcmqError, match="cannot be fetched") as caught:
        resolve_teacher("clip-vit-b32", "photos")
    assert "\n" not in str(caught.value)


def test_every_known_name_is_resolved_or_says_what_it_needs(monkeypatch, tmp_path):
    def refuse(_url, timeout):
        raise OSError("no network")

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "get_hf_file_metadata", refuse)
    for name in teacher_names():
        with pytest.raises(DcmqError) as caught:
            resolve_teacher(name, "coco")
        assert "is not known" not in str(caught.value)


def test_every_kind_says_what_a_user_wants_to_know_before_choosing():
    for name, kind in TEACHERS.items():
        assert all(form.partition(":")[0] == name for form in kind.forms)
        facts = kind.description
        assert facts.source and facts.checked and facts.embedding
        assert (facts.licence and facts.size) or name == "precomputed"
        assert bool(kind.package) == bool(kind.extra) == ("pip install" in facts.source)


def test_a_teacher_of_ones_own_is_registered_again_and_again_under_its_name(scenes, monkeypatch):
    monkeypatch.setattr(TEACHERS, "_entries", dict(TEACHERS))
    for length in (4, 6):

        @register_teacher("rainbow:LENGTH")
        def make(name, dataset, length=length):
            return Rainbow(length)

    assert (
        "rainbow:LENGTH" in teacher_names()
        and not TEACHERS.is_own("rainbow")
        and TEACHERS["rainbow"].description.source == "your own"
    )
    assert embed(resolve_teacher("rainbow:6", "scenes"), scenes, progress=False).image.shape == (120, 6)
    with pytest.raises(DcmqError, match="'clip' is the package's own"):
        register_teacher("clip")(make)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    for name in ("albef:ALBEF.pth", "blip-vit-b"):
        with pytest.raises(DcmqError, match=r"needs transformers: pip install 'dcmq\[blip\]'"):
            resolve_teacher(name, "coco")


def test_a_bundled_teacher_says_what_it_runs_and_how_long_it_was_trained():
    teacher = BundledClip("clip")
    learned = sum(p.numel() for p in teacher.network.parameters())
    assert teacher.parameters == learned and teacher.training_seconds > 60


def test_embeddings_of_another_version_are_made_again(scenes, tmp_path):
    teacher = resolve_teacher("clip", "scenes")
    first = embed(teacher, scenes, progress=False).image
    stored = next((tmp_path / "home").rglob("embeddings/*.safetensors"))
    save_file({"image_vectors": np.ones((120, 8), np.float32)}, stored)  # no checksum, other names
    assert torch.equal(embed(teacher, scenes, progress=False).image, first)

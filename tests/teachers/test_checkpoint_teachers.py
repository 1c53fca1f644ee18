"""Teachers from the checkpoint files of others: layouts, embeddings against forwards written out here, files that do
not fit."""

import json

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import functional as TF

from dcmq.core.errors import DcmqError
from dcmq.teachers import albef, blip, declip
from dcmq.teachers.registry import resolve_teacher

transformers = pytest.importorskip("transformers")

IMAGES = np.random.default_rng(0).integers(0, 255, (2, 300, 260, 3), np.uint8)
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a dog cat traffic light ##s on the grass".split()


THIN = dict(hidden_size=24, num_attention_heads=2, intermediate_size=48, vocab_size=len(WORDS))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The same architectures, thinner."""
    visions = {
        "thin-rn": {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8},
        "thin-vit": {"image_size": 224, "layers": 2, "width": 32, "head_width": 16, "patch_size": 32},
    }
    for name, vision in visions.items():
        config = {"embed_dim": 99, "vision_cfg": vision, "text_cfg": TEXT}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(tmp_path / f"{name}.json")
    monkeypatch.setattr(declip, "ARCHITECTURES", {"declip-rn50": "thin-rn", "declip-vit-b32": "thin-vit"})


def random_weights(model):
    """Values that are nowhere zero or one, as trained ones are."""
    torch.manual_seed(1)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "running_var" in name else torch.randn_like(value) * 0.2)
    return model


def declip_file(short, path, dimension=12, drop=(), **extra):
    """A checkpoint as the official training code saves it. Returns the weights, under its names."""
    model = random_weights(declip.build(short, dimension))
    named = {
        k if k.startswith("visual.") or k == "logit_scale" else f"encode_text.{k}": v
        for k, v in model.state_dict().items()
    }
    named["logit_scale"] = named["logit_scale"].reshape(1)
    others = {"projector.linear1.weight": torch.ones(3, 3), "text_label_predictor.bias": torch.ones(3)}
    if short == "declip-rn50":
        others |= {"visual.fc.weight": torch.ones(dimension, 2048), "visual.fc.bias": torch.ones(dimension)}
    saved = {f"module.{k}": v for k, v in (named | others | extra).items() if k not in drop}
    torch.save({"model": saved, "optimizer": {"state": {}}, "last_iter": 7}, path)
    return named


def blocks(w, prefix, x, layers, heads, causal):
    """CLIP's residual blocks with QuickGELU, on (b, n, d)."""
    n, width = x.shape[1:]
    mask = torch.full((n, n), float("-inf")).triu(1) if causal else torch.zeros(n, n)
    for layer in range(layers):
        at = f"{prefix}transformer.resblocks.{layer}."
        y = F.layer_norm(x, (width,), w[at + "ln_1.weight"], w[at + "ln_1.bias"])
        q, k, v = (y @ w[at + "attn.in_proj_weight"].T + w[at + "attn.in_proj_bias"]).chunk(3, dim=-1)
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
        attended = (q @ k.mT / (width / heads) ** 0.5 + mask).softmax(-1) @ v
        x = x + F.linear(
            attended.transpose(1, 2).flatten(2), w[at + "attn.out_proj.weight"], w[at + "attn.out_proj.bias"]
        )
        y = F.layer_norm(x, (width,), w[at + "ln_2.weight"], w[at + "ln_2.bias"])
        y = F.linear(y, w[at + "mlp.c_fc.weight"], w[at + "mlp.c_fc.bias"])
        x = x + F.linear(y * torch.sigmoid(1.702 * y), w[at + "mlp.c_proj.weight"], w[at + "mlp.c_proj.bias"])
    return x


def declip_text(w, texts):
    """The official forward, from its description: mask 49406, start 49407, end 49408, features at the end token."""
    encode = open_clip.SimpleTokenizer().encode
    rows = [[49407, *encode(text)[:75], 49408] for text in texts]
    tokens = torch.tensor([row + [0] * (77 - len(row)) for row in rows])
    x = w["encode_text.token_embedding.weight"][tokens] + w["encode_text.positional_embedding"]
    x = blocks(w, "encode_text.", x, TEXT["layers"], TEXT["heads"], causal=True)
    x = F.layer_norm(x, x.shape[-1:], w["encode_text.ln_final.weight"], w["encode_text.ln_final.bias"])
    x = x[torch.arange(len(rows)), tokens.argmax(1)]
    return F.normalize(
        F.linear(x, w["encode_text.text_projection.weight"], w["encode_text.text_projection.bias"]), dim=1
    )


def declip_image(image):
    tensor = TF.to_tensor(TF.center_crop(TF.resize(Image.fromarray(image), 256), 224))
    return TF.normalize(tensor, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def declip_vit(w, images):
    x = F.conv2d(images, w["visual.conv1.weight"], stride=32).flatten(2).mT
    x = torch.cat([w["visual.class_embedding"].expand(len(x), 1, -1), x], 1) + w["visual.positional_embedding"]
    x = F.layer_norm(x, (32,), w["visual.ln_pre.weight"], w["visual.ln_pre.bias"])
    x = blocks(w, "visual.", x, 2, 2, causal=False)[:, 0]
    return F.normalize(
        F.layer_norm(x, (32,), w["visual.ln_post.weight"], w["visual.ln_post.bias"]) @ w["visual.proj"], dim=1
    )


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.mark.parametrize("short", ["declip-rn50", "declip-vit-b32"])
def test_declip_in_its_official_layout(small, tmp_path, short):
    weights = declip_file(short, tmp_path / "official.pth.tar")
    teacher = resolve_teacher(f"{short}:{tmp_path}/official.pth.tar", "coco")
    texts = ["person traffic light", "it's a dog", "dog " * 90]
    close(teacher.encode_texts(texts), declip_text(weights, texts))
    assert teacher.truncated(texts) == 1
    images = torch.stack([declip_image(p) for p in IMAGES])
    if short == "declip-vit-b32":
        close(teacher.encode_images(IMAGES), declip_vit(weights, images))
    else:
        tower = open_clip.model.ModifiedResNet((1, 1, 1, 1), output_dim=12, heads=4, image_size=224, width=8).eval()
        tower.load_state_dict({k.removeprefix("visual."): v for k, v in weights.items() if k.startswith("visual.")})
        close(teacher.encode_images(IMAGES), F.normalize(tower(images), dim=1))


def test_counters_that_some_libraries_leave_out_do_not_matter(small, tmp_path):
    names = declip.build("declip-rn50", 12).state_dict()
    declip_file("declip-rn50", tmp_path / "a.pth.tar")
    declip_file("declip-rn50", tmp_path / "b.pth.tar", drop=[k for k in names if k.endswith("num_batches_tracked")])
    a, b = (resolve_teacher(f"declip-rn50:{tmp_path}/{f}.pth.tar", "coco") for f in "ab")
    assert torch.equal(a.encode_images(IMAGES), b.encode_images(IMAGES))


def test_declip_files_that_do_not_fit(small, tmp_path):
    path = tmp_path / "official.pth.tar"

    def refused(words, short="declip-vit-b32"):
        with pytest.raises(DcmqError, match=words) as caught:
            resolve_teacher(f"{short}:{path}", "coco")
        assert "\n" not in str(caught.value) and short in str(caught.value)

    refused("no checkpoint file")
    path.write_bytes(b"")
    refused("half downloaded")
    path.write_text("<html>Google Drive: sign in</html>")
    refused("or is no checkpoint")
    declip_file("declip-vit-b32", path, drop=["visual.ln_post.weight", "encode_text.text_projection.weight"])
    refused("lacks 2 of .* weights")
    declip_file("declip-vit-b32", path)
    refused("lacks .* visual", "declip-rn50")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused("half downloaded")
    declip_file("declip-vit-b32", path, **{"encode_text.ln_final.weight": torch.ones(17)})
    refused(r"\(17,\) there and \(16,\) in the model")
    declip_file("declip-vit-b32", path, **{"visual.new.weight": torch.ones(17)})
    refused("does not know, visual.new.weight")
    torch.save({"model": {}}, path)
    refused("no weights in it")
    torch.save({"model": {"a": np.random.default_rng}}, path)
    refused("nothing is unpickled")


@pytest.mark.parametrize(("name", "words"), [("albef", "ALBEF.pth"), ("declip-rn50", "Sense-GVT/DeCLIP")])
def test_a_teacher_without_its_file_says_where_that_is(name, words):
    with pytest.raises(DcmqError, match=f"{words}.*teacher={name}:FILE"):
        resolve_teacher(name, "coco")


@pytest.fixture
def albef_file(tmp_path, monkeypatch):
    """A thin ALBEF's checkpoint in the pretrained layout; its parts with all twelve layers of text."""
    vision = dict(patch_size=16, embed_dim=24, depth=2, num_heads=2, num_classes=0)

    def create(_name, pretrained, img_size, num_classes):
        return timm.models.VisionTransformer(img_size=img_size, **vision)

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(albef, "BERT", albef.BERT | THIN)
    config = transformers.BertConfig(num_hidden_layers=12, **THIN)
    parts = nn.ModuleDict(
        {
            "visual_encoder": timm.models.VisionTransformer(img_size=64, **vision),
            "text_encoder": transformers.BertModel(config, add_pooling_layer=False),
            "vision_proj": nn.Linear(24, 256),
            "text_proj": nn.Linear(24, 256),
        }
    )
    random_weights(parts).eval()
    saved = {k.replace("text_encoder.", "text_encoder.bert."): v for k, v in parts.state_dict().items()}
    saved |= {"text_encoder.bert.encoder.layer.7.crossattention.self.query.weight": torch.ones(3, 3)}
    saved |= {"text_encoder.bert.embeddings.position_ids": torch.arange(512)[None]}
    saved |= {
        "visual_encoder_m.pos_embed": torch.ones(3),
        "text_encoder_m.bert.x": torch.ones(3),
        "image_queue": torch.ones(3),
    }
    torch.save({"model": saved, "epoch": 29}, tmp_path / "ALBEF.pth")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return parts, tmp_path / "ALBEF.pth", saved


def test_albef_in_its_official_layouts(albef_file):
    parts, path, saved = albef_file
    teacher = resolve_teacher(f"albef:{path}", "coco")
    texts = ["A dog, on the grass!", "traffic-lights", "dog " * 40]
    close(teacher.encode_texts(texts), albef_text(parts))
    assert teacher.truncated(texts) == 1
    resized = [TF.resize(Image.fromarray(p), [64, 64], TF.InterpolationMode.BICUBIC) for p in IMAGES]
    mean, sd = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    images = torch.stack([TF.normalize(TF.to_tensor(r), mean, sd) for r in resized])
    with torch.no_grad():
        image = parts["vision_proj"](parts["visual_encoder"].forward_features(images)[:, 0])
    close(teacher.encode_images(IMAGES), F.normalize(image, dim=1))
    tuned = {k.replace(".bert.", "."): v for k, v in saved.items()}
    torch.save({"model": tuned}, path)
    assert torch.equal(resolve_teacher(f"albef:{path}", "coco").encode_texts(texts), teacher.encode_texts(texts))


@torch.no_grad()
def albef_text(parts):
    """Layer six of twelve at the class token; words by number, no separator, at most 30 tokens."""
    rows = [[2, 5, 6, 11, 12, 13], [2, 8, 9, 10], [2, *[6] * 29]]
    projected = []
    for row in rows:
        hidden = parts["text_encoder"](torch.tensor([row]), output_hidden_states=True).hidden_states[6]
        projected.append(parts["text_proj"](hidden[:, 0]))
    return F.normalize(torch.cat(projected), dim=1)


def test_albef_files_that_do_not_fit(albef_file):
    _, path, saved = albef_file

    def refused(words):
        with pytest.raises(DcmqError, match=words) as caught:
            resolve_teacher(f"albef:{path}", "coco")
        assert "\n" not in str(caught.value)

    saved.pop("text_proj.bias")
    torch.save({"model": saved}, path)
    refused("lacks 1 of .* weights, text_proj.bias")
    torch.save({"model": {"conv1.weight": torch.ones(3)}}, path)
    refused("lacks")
    path.with_name("vocab.txt").unlink()
    refused("no .*vocab.txt: put that of")


@pytest.fixture
def blip_folder(tmp_path, monkeypatch):
    """A thin BLIP as a download of its repository: configuration, weights, vocabulary."""
    monkeypatch.setattr(blip, "WIDTH", 24)
    text = dict(
        hidden_size=24, encoder_hidden_size=24, num_attention_heads=2, intermediate_size=48, num_hidden_layers=2
    )
    text |= dict(vocab_size=len(WORDS), max_position_embeddings=64, bos_token_id=2, sep_token_id=3)
    vision = dict(hidden_size=24, num_attention_heads=2, intermediate_size=48, num_hidden_layers=2, image_size=64)
    config = transformers.BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=8)
    model = random_weights(transformers.BlipForImageTextRetrieval(config)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return model, tmp_path


@torch.no_grad()
def test_blip_from_a_downloaded_folder(blip_folder):
    model, folder = blip_folder
    teacher = resolve_teacher(f"blip-vit-b:{folder}", "coco")
    image, text = teacher.encode_images(IMAGES), teacher.encode_texts(["a dog", "dog " * 50])
    assert teacher.truncated(["a dog", "dog " * 50]) == 1
    images = torch.stack([albef.transform(64)(Image.fromarray(p)) for p in IMAGES])
    for column, row in enumerate([[2, 5, 6, 3], [2, *[6] * 33, 3]]):
        score = model(torch.tensor([row]), images, attention_mask=torch.ones(1, len(row)), use_itm_head=False)
        close(image @ text[column], score.itm_score[:, 0])


def test_blip_folders_that_do_not_fit(blip_folder, monkeypatch):
    model, folder = blip_folder

    def refused(words):
        with pytest.raises(DcmqError, match=words) as caught:
            resolve_teacher(f"blip-vit-b:{folder}", "coco")
        assert "\n" not in str(caught.value)

    weights = {k: v.clone() for k, v in model.state_dict().items()}
    monkeypatch.setattr(blip, "WIDTH", 768)
    refused("tower has width 24, that of ViT-B 768")
    monkeypatch.setattr(blip, "WIDTH", 24)
    weights.pop("text_proj.weight")
    model.save_pretrained(folder, state_dict=weights)
    refused("lacks 1 weights, text_proj.weight")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    refused("holds no whole BLIP model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    refused("it is a bert model")
    (folder / "config.json").unlink()
    refused("no config.json")


@pytest.mark.parametrize(
    "name",
    ["~", "~nobody-of-this-name", "~nobody-of-this-name/x", "a\0b", "x" * 5000, "x/" * 3000, " ", ".", "..", "/", "no\nwhere",
     "/dev/null", "config.json", "config.json/", "http://localhost/x", "Salesforce/blip-itm-base-coco", "\udcff"],
)  # fmt: skip
def test_folders_of_blip_that_are_none_are_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(blip, "require_reachable", None)  # the hub is not asked
    (tmp_path / "config.json").mkdir()
    with pytest.raises(DcmqError, match="teacher blip-vit-b: no BLIP model in .* .it has no config.json.: download") as caught:
        resolve_teacher(f"blip-vit-b:{name}", "coco")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["blip-vit-b:", "clip:", "clip-wide:", "open_clip:", "precomputed:", "albef:"])
def test_a_name_that_ends_with_its_colon_is_refused(name):
    with pytest.raises(DcmqError, match=f"teacher {name[:-1]} needs weights .*: say teacher={name[:-1]}"):
        resolve_teacher(name, "scenes")


def test_blip_in_a_folder_named_in_other_ways(blip_folder, monkeypatch):
    _, folder = blip_folder
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder)
    plain = resolve_teacher(f"blip-vit-b:{folder}", "coco")
    for name in (f"{folder}/", f"~/{folder.name}", ".", f"{folder}//", f"{folder}/../{folder.name}"):
        assert resolve_teacher(f"blip-vit-b:{name}", "coco").fingerprint == plain.fingerprint


def test_blips_folder_runs_no_code_and_unpickles_nothing(blip_folder, tmp_path):
    _, folder = blip_folder
    trap = tmp_path / "trapped"
    config = json.loads((folder / "config.json").read_text())
    (folder / "mine.py").write_text(f"open({str(trap)!r}, 'w')\n")
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    with pytest.raises(DcmqError, match="holds no whole BLIP model") as caught:
        resolve_teacher(f"blip-vit-b:{folder}", "coco")
    assert "\n" not in str(caught.value)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").unlink()

    class Trap:
        def __reduce__(self):
            return open, (str(trap), "w")

    torch.save({"text_proj.weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(DcmqError, match="holds no whole BLIP model") as caught:
        resolve_teacher(f"blip-vit-b:{folder}", "coco")
    assert "\n" not in str(caught.value) and not trap.exists()

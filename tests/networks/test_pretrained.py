"""Pretrained weights that are out of reach, and what is said then."""

import json
import os
import pickle
from urllib.error import URLError

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dcmq.core.errors import DcmqError
from dcmq.networks.clip import clip_model
from dcmq.networks.encoders import image_encoder


def test_backbone_weights_out_of_reach_get_one_line(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DcmqError, match="put the file into .*checkpoints, or give a local file") as caught:
        image_encoder("resnet18", 8, 224, "imagenet")
    assert "\n" not in str(caught.value)


class Trap:
    """Makes the folder ``path`` where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def weight_files(folder):
    """Files that are no state_dict, some of which would run a program where they were unpickled."""
    trap = Trap(folder / "trapped")
    torch.save({"weight": trap}, folder / "trap.pt")
    torch.save({"weight": trap}, folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "raw.pt").write_bytes(pickle.dumps(trap))
    torch.save(nn.Linear(2, 2), folder / "module.pth")
    torch.save([1, 2], folder / "list.pt")
    torch.save(torch.zeros(3), folder / "tensor.pt")
    torch.save({1: torch.zeros(3)}, folder / "numbered.pt")
    torch.save({"weight": "text"}, folder / "text.pt")
    torch.save({}, folder / "nothing.pt")
    save_file({"weight": torch.zeros(3)}, folder / "a.safetensors")
    (folder / "cut.pt").write_bytes((folder / "module.pth").read_bytes()[:300])
    (folder / "json.pt").write_text("{}")
    (folder / "folder.pt").mkdir()
    return sorted(folder.iterdir())


@pytest.mark.parametrize("make", [
    lambda weights: image_encoder("small_resnet", 8, 32, weights),
    lambda weights: image_encoder("resnet18", 8, 32, weights),
    lambda weights: image_encoder("timm:resnet10t", 8, 32, weights),
    lambda weights: clip_model("open_clip:tiny-for-tests", weights),
], ids=["small_resnet", "torchvision", "timm", "open_clip"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_that_are_no_weights_are_one_line_and_nothing_is_unpickled(tmp_path, monkeypatch, make):
    tower = {"embed_dim": 8, "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}}
    text = {"text_cfg": {"context_length": 8, "vocab_size": 20, "width": 8, "heads": 1, "layers": 1}}
    (tmp_path / "tiny-for-tests.json").write_text(json.dumps(tower | text))
    open_clip.add_model_config(tmp_path / "tiny-for-tests.json")
    (tmp_path / "files").mkdir()
    for file in [*weight_files(tmp_path / "files"), tmp_path / "files" / "none.pt"]:
        with pytest.raises(DcmqError, match=f"no (checkpoint )?file {file}|{file} is no ") as caught:
            make(str(file))
        assert "\n" not in str(caught.value), file.name
    assert not (tmp_path / "files" / "trapped").exists()

"""Pretrained weights that are out of reach, and what is said then."""

from urllib.error import URLError

import pytest
import torch

from dcmq.core.errors import DcmqError
from dcmq.networks.encoders import image_encoder


def test_backbone_weights_out_of_reach_get_one_line(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DcmqError, match="put the file into .*checkpoints, or give a local file") as caught:
        image_encoder("resnet18", 8, 224, "imagenet")
    assert "\n" not in str(caught.value)

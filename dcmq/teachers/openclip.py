"""Teachers of open_clip: any architecture with a published or a local checkpoint."""

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import open_clip
import torch
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.file_download import repo_folder_name
from PIL import Image

from dcmq.errors import DcmqError
from dcmq.storage import digest
from dcmq.teachers.base import Encoder, unit


class OpenClip(Encoder):
    """``open_clip:ARCH/TAG`` (a published checkpoint) or ``open_clip:ARCH//path/to/file`` (a local one).

    Raises:
        DcmqError: unknown architecture or tag, weights that cannot be fetched, a file that does not fit. Never a
            randomly initialised model.
    """

    def __init__(self, specification: str, name: str | None = None):
        architecture, _, checkpoint = specification.removeprefix("open_clip:").partition("/")
        self.name = name or f"open_clip:{architecture}/{checkpoint}"
        if architecture not in open_clip.list_models():
            raise DcmqError(f"teacher: open_clip has no architecture {architecture!r}; see open_clip.list_models()")
        if not checkpoint:
            raise DcmqError(f"teacher: {self.name} names no checkpoint; write open_clip:{architecture}/TAG or //FILE")
        if not checkpoint.startswith("/") and checkpoint.lower() not in open_clip.list_pretrained_tags_by_model(
            architecture
        ):
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
            raise DcmqError(f"teacher: {architecture} has no checkpoint {checkpoint!r} (known: {tags})")
        self.model, self.transform = self._load(architecture, checkpoint)
        self.model.eval().requires_grad_(False)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self.tokenizer = open_clip.get_tokenizer(architecture)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.fingerprint = digest(*(v for _, v in sorted(self.model.state_dict().items())), str(self.transform))
        self.resolved = f"open_clip {architecture} / {checkpoint}, {self.parameters:,} parameters, {self.fingerprint}"

    def _load(self, architecture: str, checkpoint: str):
        """Model and preprocessing; a published checkpoint brings its own activation and picture statistics."""
        published = not checkpoint.startswith("/")
        if published:
            self._refuse_if_out_of_reach(architecture, checkpoint)
        elif not Path(checkpoint).is_file():
            raise DcmqError(f"teacher: no checkpoint file {checkpoint}")
        try:
            model, _, transform = open_clip.create_model_and_transforms(
                architecture, pretrained=checkpoint, require_pretrained=True, weights_only=True
            )
        except Exception as error:  # the hub's client and torch raise many kinds
            if published:
                raise self._unfetched(architecture, checkpoint) from None
            reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise DcmqError(f"teacher: {checkpoint} is no whole {architecture} checkpoint ({reason})") from None
        return model, transform

    def _refuse_if_out_of_reach(self, architecture: str, tag: str) -> None:
        """The hub's client tries for most of a minute; weights that are not here and a host that is not there take 5 s."""
        repository = open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"].strip("/")
        stored = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
        host = urlsplit(ENDPOINT)
        if stored.is_dir() or getproxies().get(host.scheme):
            return
        try:
            socket.create_connection((host.hostname, host.port or 443), timeout=5).close()
        except OSError:
            raise self._unfetched(architecture, tag) from None

    def _unfetched(self, architecture: str, tag: str) -> DcmqError:
        published = open_clip.get_pretrained_cfg(architecture, tag)
        local = architecture
        if published.get("quick_gelu") and "quickgelu" not in architecture:
            local += "-quickgelu"  # a bare file cannot say which activation it was trained with
        return DcmqError(
            f"teacher: the weights of {self.name} ({published['hf_hub'].strip('/')}) cannot be fetched from {ENDPOINT} into "
            f"{HF_HUB_CACHE}: connect and run again, or fetch open_clip_model.safetensors elsewhere and say "
            f"teacher=open_clip:{local}//path/to/open_clip_model.safetensors"
        )

    @torch.inference_mode()
    def encode_images(self, images: np.ndarray):
        """See :class:`Encoder`."""
        batch = torch.stack([self.transform(Image.fromarray(image)) for image in images]).to(self.device)
        return unit(self.model.encode_image(batch)).cpu().clone()

    @torch.inference_mode()
    def encode_texts(self, texts):
        """See :class:`Encoder`."""
        return unit(self.model.encode_text(self.tokenizer(texts).to(self.device))).cpu().clone()

"""Teachers of open_clip: any architecture with a published or a local checkpoint."""

import warnings
from pathlib import Path

import open_clip
from open_clip.transformer import QuickGELU

from dcmq.core.errors import DcmqError
from dcmq.teachers.hub import first_line, require_reachable, unusable
from dcmq.teachers.network import Network

NAMED = {"clip-rn50": "RN50/openai", "clip-vit-b32": "ViT-B-32/openai", "clip-vit-l14": "ViT-L-14/openai"}


class OpenClip(Network):
    """``open_clip:ARCH/TAG`` (a published checkpoint) or ``open_clip:ARCH//path/to/file`` (a local one).

    Raises:
        DcmqError: unknown architecture or tag, weights that cannot be fetched, a file that does not fit. Never a
            randomly initialised model.
    """

    def __init__(self, specification: str, name: str | None = None):
        architecture, _, checkpoint = specification.removeprefix("open_clip:").partition("/")
        name = name or f"open_clip:{architecture}/{checkpoint}"
        if architecture not in open_clip.list_models():
            raise DcmqError(f"teacher: open_clip has no architecture {architecture!r}; see open_clip.list_models()")
        if not checkpoint:
            raise DcmqError(f"teacher: {name} names no checkpoint; write open_clip:{architecture}/TAG or //FILE")
        if checkpoint.startswith("/"):
            model, transform = _from_file(architecture, checkpoint)
        else:
            model, transform = _published(architecture, checkpoint, name)
        self.tokenizer = open_clip.get_tokenizer(architecture)
        quick = any(isinstance(module, QuickGELU) for module in model.modules())
        # The activation has no weights: without naming it, the right model and a wrong one would share a fingerprint.
        super().__init__(
            name, f"open_clip {architecture} / {checkpoint}", model, transform, architecture, f"quick_gelu={quick}"
        )

    def image_features(self, batch):
        """See :class:`Network`."""
        return self.model.encode_image(batch)

    def text_features(self, texts):
        """See :class:`Network`."""
        return self.model.encode_text(self.tokenizer(texts).to(self.device))

    def truncated(self, texts):
        """See :class:`Encoder`. A text was cut if its tokens are others where there is room for more."""
        length = self.tokenizer.context_length
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tokenizers that find the longer length unusual
            roomy = self.tokenizer(texts, context_length=4 * length)[:, :length]
        return int((self.tokenizer(texts) != roomy).any(dim=1).sum())


def _published(architecture: str, tag: str, name: str):
    """Model and preprocessing; a published checkpoint brings its own activation and picture statistics."""
    if tag.lower() not in open_clip.list_pretrained_tags_by_model(architecture):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise DcmqError(f"teacher: {architecture} has no checkpoint {tag!r} (known: {tags})")
    published = open_clip.get_pretrained_cfg(architecture, tag)
    repository, quick = published["hf_hub"].strip("/"), published.get("quick_gelu", False)
    # A bare file cannot say which activation it was trained with.
    local = architecture + ("-quickgelu" if quick and "quickgelu" not in architecture else "")
    instead = (
        "fetch open_clip_model.safetensors elsewhere and say "
        f"teacher=open_clip:{local}//path/to/open_clip_model.safetensors"
    )
    require_reachable(repository, name, instead)
    try:
        # open_clip itself only warns where the architecture's activation is not the checkpoint's.
        return _create(architecture, tag, force_quick_gelu=quick)
    except Exception as error:  # the hub's client and torch raise many kinds
        raise unusable(error, repository, name, instead) from None


def _from_file(architecture: str, path: str):
    if not Path(path).is_file():
        raise DcmqError(f"teacher: no checkpoint file {path}")
    try:
        return _create(architecture, path)
    except Exception as error:
        raise DcmqError(f"teacher: {path} is no whole {architecture} checkpoint ({first_line(error)})") from None


def _create(architecture: str, checkpoint: str, **options):
    model, _, transform = open_clip.create_model_and_transforms(
        architecture, pretrained=checkpoint, require_pretrained=True, weights_only=True, **options
    )
    return model, transform

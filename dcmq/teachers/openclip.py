"""Teachers of open_clip: any architecture with a published or a local checkpoint."""

import warnings

from dcmq.core.errors import DcmqError
from dcmq.networks.open_clip_models import load_open_clip
from dcmq.teachers.base import register_teacher
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
        if not checkpoint:
            raise DcmqError(f"teacher: {name} names no checkpoint; write open_clip:{architecture}/TAG or //FILE")
        model, transform = load_open_clip(architecture, checkpoint, name)
        import open_clip  # takes seconds, which only those who run one of its models should wait
        from open_clip.transformer import QuickGELU

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


@register_teacher("open_clip:ARCH/TAG", "open_clip:ARCH//FILE")
def _any(name: str, dataset: str) -> OpenClip:
    if ":" not in name:
        raise DcmqError("teacher: open_clip alone names no model; write open_clip:ARCH/TAG or open_clip:ARCH//FILE")
    return OpenClip(name)


def _named(name: str, dataset: str) -> OpenClip:
    return OpenClip(NAMED[name], name)


for _name in NAMED:
    register_teacher(_name)(_named)

"""Teachers of open_clip: any architecture with a published or a local checkpoint."""

import warnings

from dcmq.core.errors import DcmqError
from dcmq.networks.open_clip_models import load_open_clip
from dcmq.teachers.base import TeacherFacts, register_teacher
from dcmq.teachers.network import Network

NAMED = {
    "clip": "ViT-B-32/openai",  # on photos
    "clip-vit-b32": "ViT-B-32/openai",
    "clip-rn50": "RN50/openai",
    "clip-vit-l14": "ViT-L-14/openai",
}


class OpenClip(Network):
    """A model of open_clip: ``open_clip:ARCH/TAG`` (a published checkpoint) or ``open_clip:ARCH//path/to/file`` (a
    local one).

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
        """Encode (b, 3, h, w) transformed images to (b, d)."""
        return self.model.encode_image(batch)

    def text_features(self, texts):
        """Encode b sentences to (b, d)."""
        return self.model.encode_text(self.tokenizer(texts).to(self.device))

    def truncated(self, texts):
        """The number of ``texts`` that are cut: those whose tokens are others where there is room for more."""
        length = self.tokenizer.context_length
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tokenizers that find the longer length unusual
            roomy = self.tokenizer(texts, context_length=4 * length)[:, :length]
        return int((self.tokenizer(texts) != roomy).any(dim=1).sum())


_LICENCE = "MIT (code and weights of openai/CLIP)"
_UNCHECKED = "loaded with its own activation; no reference figures: check asks for colours and like nouns"


def _named(name: str, dataset: str) -> OpenClip:
    return OpenClip(NAMED[name], name)


register_teacher(
    "clip-vit-b32",
    description=TeacherFacts(
        source="fetched by itself from the hub (timm/vit_base_patch32_clip_224.openai)",
        size="151 M parameters, 0.6 GB",
        licence=_LICENCE,
        embedding="512",
        checked="cosines between eight prompts, computed from OpenAI's own embeddings, are in the package: check says "
        "right or WRONG",
    ),
)(_named)
register_teacher(
    "clip-rn50",
    description=TeacherFacts(
        source="fetched by itself from the hub (timm/resnet50_clip.openai)",
        size="102 M parameters, 0.4 GB",
        licence=_LICENCE,
        embedding="1,024",
        checked=_UNCHECKED,
    ),
)(_named)
register_teacher(
    "clip-vit-l14",
    description=TeacherFacts(
        source="fetched by itself from the hub (timm/vit_large_patch14_clip_224.openai)",
        size="428 M parameters, 1.7 GB",
        licence=_LICENCE,
        embedding="768",
        checked=_UNCHECKED,
    ),
)(_named)


@register_teacher(
    "open_clip:ARCH/TAG",
    "open_clip:ARCH//FILE",
    description=TeacherFacts(
        source="a tag of open_clip.list_pretrained() (SigLIP, EVA, DataComp ...) is fetched by itself; a FILE is "
        "yours, and OpenAI's weights then need an ARCH that ends in -quickgelu",
        size="see open_clip.list_pretrained()",
        licence="see its model card",
        embedding="see its model card",
        checked=_UNCHECKED,
    ),
)
def _any(name: str, dataset: str) -> OpenClip:
    return OpenClip(name)

"""BLIP with ViT-B, by transformers."""

import os
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.networks.hub import first_line, require_reachable, unusable
from dcmq.teachers.albef import transform
from dcmq.teachers.base import TeacherFacts, register_teacher
from dcmq.teachers.network import Network

REPOSITORY = "Salesforce/blip-itm-base-coco"  # fine-tuned for retrieval on COCO; the hub has no plainly pretrained one
WIDTH = 768  # of ViT-B
TOKENS = 35  # the official retrieval code reads no more


class Blip(Network):
    """BLIP: ``blip-vit-b`` (from the hub) or ``blip-vit-b:FOLDER`` (a downloaded copy of that repository).

    Raises:
        DcmqError: weights that cannot be fetched, a folder that lacks files or weights.
    """

    def __init__(self, specification: str):
        import transformers  # takes seconds

        short, colon, named = specification.partition(":")
        instead = f"download all files of {REPOSITORY} elsewhere and say teacher={short}:FOLDER"
        folder = os.path.expanduser(named)
        if colon and not (named.strip() and os.path.isfile(os.path.join(folder, "config.json"))):
            raise DcmqError(f"teacher {short}: no BLIP model in {folder[:200]!r} (it has no config.json): {instead}")
        if not folder:
            require_reachable(REPOSITORY, short, instead)
        source = str(Path(folder)) if folder else REPOSITORY
        try:
            model, report = _load(source)
            self.tokenizer = transformers.BertTokenizer.from_pretrained(source, trust_remote_code=False)
        except Exception as error:  # transformers, the hub's client and torch raise many kinds
            if not folder:
                raise unusable(error, REPOSITORY, short, instead) from None
            raise DcmqError(f"teacher {short}: {folder} holds no whole BLIP model ({first_line(error)})") from None
        missing = sorted(report["missing_keys"])
        if missing:  # transformers would fill them with random numbers
            raise DcmqError(
                f"teacher {short}: {source} lacks {len(missing)} weights, {missing[0]} for one: fetch it again"
            )
        words = str(sorted(self.tokenizer.get_vocab().items()))
        image_transform = transform(model.config.vision_config.image_size)  # BLIP prepares images as ALBEF does
        super().__init__(
            specification, f"BLIP ViT-B / {source}", model.float(), image_transform, words, f"{TOKENS} tokens"
        )

    def image_features(self, batch):
        """Encode (b, 3, side, side) transformed images to (b, 256)."""
        return self.model.vision_proj(self.model.vision_model(pixel_values=batch).last_hidden_state[:, 0])

    def text_features(self, texts):
        """Encode b sentences to (b, 256)."""
        tokens = self.tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
        inputs = {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}
        return self.model.text_proj(self.model.text_encoder(**inputs).last_hidden_state[:, 0])

    def truncated(self, texts):
        """The number of ``texts`` that are longer than 35 tokens."""
        return sum(len(self.tokenizer(text)["input_ids"]) > TOKENS for text in texts)


def _load(source: str):
    import transformers  # takes seconds

    config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)  # else it may ask whether to run code
    if config.model_type != "blip":
        raise DcmqError(f"it is a {config.model_type} model")
    if config.vision_config.hidden_size != WIDTH:
        raise DcmqError(f"its image tower has width {config.vision_config.hidden_size}, that of ViT-B {WIDTH}")
    return transformers.BlipForImageTextRetrieval.from_pretrained(source, output_loading_info=True)


@register_teacher(
    "blip-vit-b",
    "blip-vit-b:FOLDER",
    package="transformers",
    extra="blip",
    description=TeacherFacts(
        source=f"fetched by itself from the hub ({REPOSITORY}), or a folder with a download of it; "
        "pip install 'dcmq[blip]'",
        size="about 224 M parameters",
        licence="BSD-3-Clause",
        embedding="256",
        checked="embeddings give transformers' own image-text score, on random weights",
    ),
)
def _make(name: str, dataset: str) -> Blip:
    return Blip(name)

"""ALBEF from its official checkpoint files, in parts of timm and transformers.

Its code (github.com/salesforce/ALBEF) compares images and texts before it fuses them: the class token of a ViT-B/16 and
that of the first six layers of a BERT, each through one linear layer. The other six layers, the momentum copies and the
queues are left out.
"""

import re
from collections.abc import Callable

import torch
from torch import nn

from dcmq.core.errors import DcmqError
from dcmq.networks.pixels import OPENAI
from dcmq.teachers.base import TeacherFacts, register_teacher
from dcmq.teachers.checkpoint import load_whole, named_file, read_weights, renamed
from dcmq.teachers.network import Network

VISION = "vit_base_patch16_224"  # in timm
LAYERS = 6  # of BERT that read text alone
BERT = {"num_hidden_layers": LAYERS}  # all else as in BERT-base
TOKENS = 30  # the official retrieval evaluation reads no more
_PARTS = ("visual_encoder.", "text_encoder.embeddings.", "text_encoder.encoder.layer.", "vision_proj.", "text_proj.")


class Albef(Network):
    """ALBEF: ``albef:FILE``, with BERT's ``vocab.txt`` beside the file. Raises DcmqError for a file that does not
    fit."""

    def __init__(self, specification: str):
        import transformers  # takes seconds

        short, path = named_file(specification)
        weights = select(read_weights(path, short))
        vocabulary = path.with_name("vocab.txt")
        if not vocabulary.is_file():
            raise DcmqError(
                f"teacher {short}: no {vocabulary}: put that of huggingface.co/google-bert/bert-base-uncased beside {path.name}"
            )
        patches = weights["visual_encoder.pos_embed"].shape[1] - 1 if "visual_encoder.pos_embed" in weights else 256
        side = 16 * round(patches**0.5)  # 256 pixels before fine-tuning for retrieval, 384 after
        model = load_whole(Towers(side), weights, short, path)
        self.tokenizer = transformers.BertTokenizer.from_pretrained(str(vocabulary.parent))
        words = vocabulary.read_text(encoding="utf-8")
        super().__init__(specification, f"ALBEF {path.name}", model, transform(side), words, f"{TOKENS} tokens")

    def image_features(self, batch):
        """Encode (b, 3, side, side) transformed images to (b, 256)."""
        return self.model.vision_proj(self.model.visual_encoder(batch))

    def text_features(self, texts):
        """Encode b sentences to (b, 256)."""
        rows = [self._numbers(text)[:TOKENS] for text in texts]
        numbers = torch.zeros(len(rows), TOKENS, dtype=torch.long)
        for i, row in enumerate(rows):
            numbers[i, : len(row)] = torch.tensor(row)
        mask = torch.arange(TOKENS) < torch.tensor([[len(row)] for row in rows])
        outputs = self.model.text_encoder(numbers.to(self.device), attention_mask=mask.long().to(self.device))
        return self.model.text_proj(outputs.last_hidden_state[:, 0])

    def truncated(self, texts):
        """The number of ``texts`` that are longer than 30 tokens."""
        return sum(len(self._numbers(text)) > TOKENS for text in texts)

    def _numbers(self, text: str) -> list[int]:
        """Token numbers; ALBEF's own tokenizer begins with the class token but does not end with a separator."""
        return [self.tokenizer.cls_token_id, *self.tokenizer(clean(text), add_special_tokens=False)["input_ids"]]


class Towers(nn.Module):
    """The untrained towers for images of ``side`` pixels."""

    def __init__(self, side: int):
        super().__init__()
        import timm  # takes seconds, as does transformers
        import transformers

        self.visual_encoder = timm.create_model(VISION, pretrained=False, img_size=side, num_classes=0)
        config = transformers.BertConfig(**BERT)
        self.text_encoder = transformers.BertModel(config, add_pooling_layer=False)
        self.vision_proj = nn.Linear(self.visual_encoder.num_features, 256)
        self.text_proj = nn.Linear(config.hidden_size, 256)


def select(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint that the towers have: a pretrained one says ``text_encoder.bert.``, a fine-tuned one
    does not."""
    plain = {name.replace("text_encoder.bert.", "text_encoder."): value for name, value in weights.items()}
    kept = renamed(plain, {part: part for part in _PARTS})
    fused = [
        name
        for name in kept
        if (layer := re.match(r"text_encoder\.encoder\.layer\.(\d+)", name)) and int(layer[1]) >= LAYERS
    ]
    return {k: v for k, v in kept.items() if k not in fused and not k.endswith("position_ids")}


def clean(text: str) -> str:
    """A caption as the official code prepares it: lower case, no punctuation, single spaces."""
    text = re.sub(r"[,.'!?\"()*#:;~]", "", text.lower())
    return " ".join(re.sub(r"[-/]", " ", text).split())


def transform(side: int) -> Callable:
    """The transform of the official evaluation, from a PIL image to (3, side, side): the whole image squeezed into a
    square."""
    from torchvision import transforms as T  # takes seconds

    resize = T.Resize((side, side), interpolation=T.InterpolationMode.BICUBIC)
    return T.Compose([resize, T.ToTensor(), T.Normalize(*OPENAI)])


@register_teacher(
    "albef:FILE",
    package="transformers",
    extra="blip",
    description=TeacherFacts(
        source="storage.googleapis.com/sfr-pcl-data-research/ALBEF/ALBEF.pth (or ALBEF_4M, mscoco, flickr30k), and beside "
        "it vocab.txt of huggingface.co/google-bert/bert-base-uncased; pip install 'dcmq[blip]'",
        size="about 150 M parameters are used",
        licence="BSD-3-Clause",
        embedding="256",
        checked="layout from the official code; on random weights, embeddings equal to a second implementation",
    ),
)
def _make(name: str, dataset: str) -> Albef:
    return Albef(name)

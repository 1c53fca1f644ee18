"""The model card of a student: what it is, how good, made from what, for what, and how to train it again.

Each number in it is in the run's record, or is a size of the student itself.
"""

import json
import shlex

from huggingface_hub import EvalResult, ModelCardData

from dcmq.methods.registry import METHODS
from dcmq.networks.encoders import IMAGE_ENCODERS
from dcmq.retrieval.galleries import judged_gallery
from dcmq.search.pretrained import PretrainedStudent
from dcmq.sharing.description import RANKED, metrics
from dcmq.sharing.origin import ingredients, is_cut, is_generated, reproduction

CARD = "README.md"
PAPER, TITLE = "2405.14726", "Distilling Vision-Language Pretraining for Efficient Cross-Modal Retrieval"
_TAGS = ["dcmq", "cross-modal-retrieval", "image-text-retrieval", "product-quantization", "knowledge-distillation"]
_SHOWN = ("precision@10", "AUC within a background")  # of the metrics, beside the mAPs
_MODALITY = {"i": "image", "t": "text"}
_EXAMPLES = 12  # words of the vocabulary


def model_card(record: dict, model: PretrainedStudent, name: str, licence: str = "") -> str:
    """The card as Markdown, headed by the YAML that the hub reads.

    Args:
        record: of the run. model: its student.
        name: the folder or repository that the student is loaded from.
        licence: of the weights, by the hub's name for it; empty where none was chosen.

    Raises:
        KeyError, TypeError: the record is none, or lacks something.
    """
    bits, data = record["config"]["student"]["bits"], record["dataset"]["name"]
    sections = {
        f"# DCMQ student: codes of {bits} bits, trained on {data}": _summary(record, model),
        "## Use it": _use(model, name),
        "## How well it retrieves": _results(record),
        "## What it was made from": ingredients(record, licence),
        "## What it is for, and its limits": _limits(record, model),
        "## How to train it again": reproduction(record),
        "## Files": _FILES,
        "## Cite": _CITATION,
    }
    text = "\n\n".join(f"{heading}\n\n{content.strip()}" for heading, content in sections.items())
    return f"---\n{_front_matter(record, name, licence)}\n---\n\n{text}\n"


def _front_matter(record: dict, name: str, licence: str) -> str:
    data, judged = record["dataset"], judged_gallery(record["evaluation"]["i2t"])
    results = [
        EvalResult(
            task_type="image-text-retrieval",
            dataset_type=data["name"],
            dataset_name=data["name"],
            dataset_split=f"queries of split {data['split']}",
            dataset_revision=data["fingerprint"],
            metric_type=row["metric"],
            metric_name=f"{row['metric']}, {row['direction']}, {RANKED[judged]}",
            metric_value=row["value"],
        )
        for row in metrics(record)["metrics"]
        if row["gallery"] == judged and row["direction"] in ("i2t", "t2i") and row["metric"].startswith("mAP@")
    ]
    return ModelCardData(
        library_name="dcmq",
        license=licence or None,
        pipeline_tag="feature-extraction",
        tags=[*_TAGS, f"arxiv:{PAPER}"],
        datasets=[data["name"].partition(":")[0]],
        model_name=name.rpartition("/")[2],
        eval_results=results,
    ).to_yaml()


def _summary(record: dict, model: PretrainedStudent) -> str:
    config, student = record["config"], record["config"]["student"]
    num_codebooks, num_codewords, subvector_dim = model.codebooks.shape
    weights = f"the weights `{student['backbone_weights']}`" if student["backbone_weights"] else "random weights"
    bags = f"bags of {len(model.vocabulary):,} words"
    reads = bags if student["text_input"] == "bow" else student["text_input"]
    size = student["image_size"]
    return f"""
Two small encoders, one for images and one for texts, that end in the same space, and codebooks that both share. An image or
a text becomes a code of {record["bytes_per_item"]:g} bytes. By such codes a text finds images and an image finds texts, and
no large model is needed. It was distilled from the vision-language teacher `{record["teacher"]["name"]}` by DCMQ
([arXiv {PAPER}](https://arxiv.org/abs/{PAPER})) with dcmq, an independent implementation: this is no checkpoint of the
paper's authors.

| | |
| --- | --- |
| code | {student["bits"]} bits: {num_codebooks} codebooks of {num_codewords} codewords, {subvector_dim} numbers each |
| embedding | {num_codebooks * subvector_dim} numbers, which the code compresses |
| image encoder | `{student["image_encoder"]}` at {size} x {size} pixels, started from {weights} |
| text encoder | `{student["text_encoder"]}`, reads {reads} |
| size | {record["student_parameters"]:,} parameters |
| training | {config["epochs"]} epochs, target `{config["target"]}`, loss `{config["loss"]}`, seed {config["seed"]} |
"""


def _use(model: PretrainedStudent, name: str) -> str:
    text = " ".join(model.vocabulary[:2]) if model.config.student.text_input == "bow" else "a dog on the beach"
    folder, fetch = (name, "") if "/" not in name else ("student", f"hf download {name} --local-dir student\n")
    return f"""
dcmq must be installed. In Python:

```python
from dcmq.search.pretrained import PretrainedStudent

student = PretrainedStudent.from_pretrained({json.dumps(name, ensure_ascii=False)})
queries = student.encode_texts(["{text}"])  # float32 embeddings
codes, unreadable = student.quantize_images(["photo.jpg"])  # packed codes, which are stored
```

On the command line, for a folder of images:

```
{fetch}dcmq search build collection --run {shlex.quote(folder)} --images DIR
dcmq search query collection --text "{text}"
```
"""


def _results(record: dict) -> str:
    measured = metrics(record)
    values = {(row["direction"], row["gallery"], row["metric"]): row["value"] for row in measured["metrics"]}
    shown = [name for name in measured["conventions"] if name.startswith("mAP@") or name in _SHOWN]
    queries = values["i2t", judged_gallery(record["evaluation"]["i2t"]), "queries"]
    cut = "They are cut from the training set, and settings are chosen on them: no test. " if is_cut(record) else ""
    tables = [
        _table(values, ranked, gallery, directions, shown)
        for directions in (("i2t", "t2i"), ("i2i", "t2t"))
        for gallery, ranked in RANKED.items()
    ]
    if own := measured["own pair"]:
        rows = [f"| among the first {n} | {_cells([shares[n] for shares in own.values()])} |" for n in own["i2t"]]
        head = _head("The query's own other half, among all queries' halves", ("i2t", "t2i"))
        tables.append("\n".join([head, *rows]))
    notes = "\n".join(f"- *{name}*: {measured['conventions'][name]}." for name in shown)
    found = "\n\n".join(filter(None, tables))
    return f"""
{queries:,} queries, one training with seed {record["config"]["seed"]}. {cut}Items are compressed, queries are not. Another
seed or draw of the data gives other numbers: compare means over several, on the same data and by the same convention. What a
ranking by chance reaches depends on the data; a run's record does not hold it, and `dcmq.retrieval.floors` computes it.

{found}

How to read them. {measured["relevance"]}

{notes}

`metrics.json` has all metrics, unrounded.
"""


def _table(values: dict, ranked: str, gallery: str, directions: tuple[str, str], shown: list[str]) -> str:
    """A table of the metrics of one gallery in two directions; empty where none was measured."""
    pairs = {name: [values.get((direction, gallery, name)) for direction in directions] for name in shown}
    rows = [f"| {name} | {_cells(pair)} |" for name, pair in pairs.items() if pair != [None, None]]
    return "\n".join([_head(f"{ranked[0].upper()}{ranked[1:]}", directions), *rows]) if rows else ""


def _head(title: str, directions: tuple[str, str]) -> str:
    first, second = (f"{_MODALITY[d[0]]} to {_MODALITY[d[2]]} ({d})" for d in directions)
    return f"| {title} | {first} | {second} |\n| --- | ---: | ---: |"


def _cells(pair: list[float | None]) -> str:
    return " | ".join("" if value is None else f"{value:.3f}" for value in pair)


def _limits(record: dict, model: PretrainedStudent) -> str:
    config, data, side = record["config"], record["dataset"]["name"], model.dataset_image_size
    student, labels = config["student"], " and from labels" if "labels" in config["teacher_text"] else ""
    size = student["image_size"]
    domain = f"It was trained on `{data}` only. With other images or texts expect less, and measure it first."
    if is_generated(record):
        domain = f"It knows the drawn scenes of `{data}` only. On photos its results mean nothing."
    texts = f"They are cut into tokens by `{student['text_encoder']}`; the end of a long one is lost."
    if student["text_input"] == "bow":
        texts = f"""It knows {len(model.vocabulary):,} words, such as {", ".join(model.vocabulary[:_EXAMPLES])} (all:
  `vocabulary.json`). Other words are left out. The order of words does not count, nor how often one stands there. A text
  without a known word is refused."""
    own = ", ".join(f"{setting} `{name}`" for setting, name in _own_parts(config))
    parts = f"""
- **Own parts.** Of who trained it, and not of dcmq: {own}. It cannot be trained again without their code, nor loaded
  without that of a quantizer or an encoder."""
    return f"""
For research on compact cross-modal retrieval: to search images and texts like those it was trained on, to compare methods,
and as a start for a student of your own. Not to recognise people, to judge them, or to decide anything where a wrong hit
does harm.

- **Images.** {domain} Each is squashed to {side} x {side} and then to {size} x {size} pixels, whatever its shape: what is
  small in it is lost.
- **Texts.** {texts}
- **Scores** order the items for one query. They are no probabilities, and there is always a first hit, even where nothing
  fits.
- **One seed.** How much results vary between seeds is not in this card.
- **Inherited.** It learnt from its teacher's similarities{labels}, with their errors and their bias, for which nobody has
  examined it.
- **Settings.** `config.json` says of each whether the paper states it, or it was inferred or added.{parts if own else ""}
"""


def _own_parts(config: dict) -> list[tuple[str, str]]:
    """The settings that name a part which is not the package's own, with that name."""
    student, registries = config["student"], METHODS[config["method"]].named_parts
    named = [(setting, registry, config.get(setting, student.get(setting))) for setting, registry in registries.items()]
    if ":" not in student["image_encoder"]:  # else timm's or open_clip's
        named.append(("image_encoder", IMAGE_ENCODERS, student["image_encoder"]))
    return [(setting, name) for setting, registry, name in named if name not in registry or not registry.is_own(name)]


_FILES = """
| file | what it holds |
| --- | --- |
| `model.safetensors` | weights, codebooks, settings and words, with a checksum: all that dcmq itself loads |
| `vocabulary.json` | from it: the words of its texts, or the name of its tokenizer |
| `preprocessing.json` | from it: each step from a file or a text to a code, for programs without dcmq |
| `record.json` | the record of the run |
| `config.json` | from the record: every setting, and whether the paper states it |
| `metrics.json` | from the record: every metric, with its convention and its data |
"""

_CITATION = f"""
The paper whose method it is:

```bibtex
@misc{{dcmq2024,
  title = {{{TITLE}}},
  year = {{2024}},
  eprint = {{{PAPER}}},
  archivePrefix = {{arXiv}},
  url = {{https://arxiv.org/abs/{PAPER}}}
}}
```
"""

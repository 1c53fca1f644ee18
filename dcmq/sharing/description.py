"""The facts of a student as plain values for JSON files, each from the run's record or from the student itself."""

import re

from pydantic import BaseModel

from dcmq.codes.bits import bits_per_codeword
from dcmq.codes.pack import code_size
from dcmq.config import TrainConfig
from dcmq.experiments.run_comparison import DIRECTIONS, GALLERIES, metric_table
from dcmq.search.pretrained import PretrainedStudent

_LOCAL_FOLDERS = re.compile(r"(?:(?<![\w/])~?|(?<=/))/(?:[^\s/]+/)*(?=[^\s/])")

QUERIES_AND_ITEMS = {
    "i2t": "an image is the query, texts are ranked",
    "t2i": "a text is the query, images are ranked",
    "i2i": "an image is the query, images are ranked",
    "t2t": "a text is the query, texts are ranked",
}
RANKED = {
    "unseen": "items that were not trained on, as codes",
    "gallery": "the whole gallery, the training samples within it, as codes",
    "continuous": "the whole gallery, not compressed: embeddings by their cosine",
}
_RELEVANT = "An item is relevant if it shares a label with the query."
_CONVENTIONS = (  # by the beginning of a metric's name; {n} is the number in it
    ("mAP@all (tie-averaged)", "as mAP@all, with each query's average precision averaged over all orders of equal scores"),
    ("mAP@all", "mean over queries of the average precision over the whole ranking; equal scores stand in one fixed random order"),
    ("mAP@", "mean over queries of the mean precision at the relevant items among the first {n}; a query without any counts 0"),
    ("precision@", "mean over queries of the share of the first {n} that is relevant"),
    ("recall@", "mean over queries of the share of the relevant items that is among the first {n}"),
    ("interpolated precision", "mean over queries of the best precision at any rank where recall is at least this level"),
    ("AUC within a background", "mean over queries of the area under the ROC curve among items on the query's own background; a half is chance"),
    ("pairs AUROC", "area under the ROC curve of the scores of all pairs of a query and an item; a half is chance"),
    ("pairs no match", "area under the ROC curve by which the best score tells whether anything relevant is there; a half is chance"),
    ("pairs queries", "how many queries the metrics over pairs are from"),
    ("queries", "a number of queries"),
    ("tie seed", "the seed of the random order in which equal scores stand"),
)  # fmt: skip
OWN_PAIR = "share of queries whose own other half is among the first N of the queries' other halves, as codes"


def without_local_folders(part):
    """A record, or a part of one, in which files of this machine are named without their folders."""
    if isinstance(part, dict):
        return {name: without_local_folders(value) for name, value in part.items()}
    if isinstance(part, list):
        return [without_local_folders(value) for value in part]
    return _LOCAL_FOLDERS.sub("", part) if isinstance(part, str) else part


def settings(record: dict) -> dict:
    """Every setting of the run by name: its value, and whether the paper states it, or it is inferred or ours."""
    return _settings(TrainConfig, record["config"])


def _settings(model: type[BaseModel], values: dict) -> dict:
    described = {}
    for name, field in model.model_fields.items():
        if name == "student":
            described[name] = _settings(type(field.default), values[name])
        elif name in values:
            described[name] = {"value": values[name], "provenance": field.description or "the method"}
    return described


def vocabulary(model: PretrainedStudent) -> dict:
    """The words of a student's bags in the order of their columns; of one that reads tokens, the tokenizer's name."""
    student = model.config.student
    if student.text_input == "bow":
        return {"words": list(model.vocabulary)}
    return {"tokenizer": student.text_encoder}


def preprocessing(model: PretrainedStudent) -> dict:
    """The steps from an image file and from a text to an embedding, from there to a code, and to a score."""
    student, network = model.config.student, model.student
    num_codebooks, num_codewords, subvector_dim = model.codebooks.shape
    side, size = model.dataset_image_size, student.image_size
    if student.text_input == "bow":
        text = [
            {"step": "lower case", "spelling": "Unicode NFKC, case folded, without format characters"},
            {"step": "find all words", "pattern": model.word_pattern, "flavour": "regular expression of Python",
             "marks": "a combining mark counts as a letter"},
            {"step": "bag of words", "numbers": len(model.vocabulary), "columns": "vocabulary.json",
             "values": "1 where the word occurs, else 0; words without a column are left out"},
        ]  # fmt: skip
    else:
        text = [{"step": "tokenize", "tokenizer": student.text_encoder, "trained on": student.text_input}]
    return {
        "image": [
            {"step": "decode", "mode": "RGB", "orientation": "turned as EXIF says", "transparent": "on white",
             "more than 8 bits": "grey scaled: 16 bits from 65535, fractions from 1, else from 255, or by the image's own range"},
            {"step": "resize", "size": [side, side], "filter": "Pillow's bilinear", "keeps aspect": False},
            {"step": "resize", "size": [size, size], "filter": "torch's bilinear with antialiasing, on uint8", "keeps aspect": False},
            {"step": "normalize", "values": "(x - mean) / std of x from 0 to 255, by channel",
             "mean": network.mean.flatten().tolist(), "std": network.std.flatten().tolist()},
            {"step": "encode", "input": ["images", 3, size, size], "numbers": num_codebooks * subvector_dim},
        ],
        "text": [*text, {"step": "encode", "numbers": num_codebooks * subvector_dim}],
        "code": [
            {"step": "cut the embedding", "parts": num_codebooks, "numbers each": subvector_dim},
            {"step": "choose for each part the codeword of the largest cosine", "codewords": num_codewords,
             "codebooks": "model.quantizer.codebooks"},
            {"step": "pack the codewords' numbers", "bits each": bits_per_codeword(num_codewords),
             "bytes": code_size(num_codebooks, num_codewords),
             "order": "codebook 0 first, the most significant bit first, zero bits at the end"},
        ],
        "score": "sum over the parts of the cosine of the query's part with the item's codeword; the query is not compressed",
    }  # fmt: skip


def metrics(record: dict) -> dict:
    """Every metric of the run with the convention it was measured by, and the data it was measured on."""
    table, measured = metric_table(record), record["evaluation"]
    columns = [(d, gallery) for d in DIRECTIONS for gallery in GALLERIES if gallery in measured.get(d, {})]
    rows = [
        {"direction": direction, "gallery": gallery, "metric": name, "value": value}
        for name, values in table.items()
        for (direction, gallery), value in zip(columns, values, strict=True)
        if value is not None
    ]
    own = {
        direction: measured[direction]["own pair"]
        for direction in DIRECTIONS
        if "own pair" in measured.get(direction, {})
    }
    return {
        "data": record["dataset"],
        "seed": record["config"]["seed"],
        "R": measured["R"],
        "relevance": _RELEVANT,
        "directions": QUERIES_AND_ITEMS,
        "galleries": RANKED,
        "conventions": {name: convention(name) for name in table} | ({"own pair": OWN_PAIR} if own else {}),
        "metrics": rows,
        "own pair": own,
    }


def convention(metric: str) -> str:
    """The sentence that says how ``metric`` is measured; of one that is not known here, where to look."""
    for beginning, sentence in _CONVENTIONS:
        if metric.startswith(beginning):
            return sentence.format(n=metric.partition("@")[2].partition(" ")[0])
    return "see dcmq.retrieval.evaluate"

"""What the pages say of results: tables are those of the reports, and sentences follow from their values."""

import json
import re
from functools import cache

import pandas as pd
import pytest

from dcmq.data.catalog import full_name
from dcmq.data.datasets import DATASETS
from scripts import fill_docs
from scripts.fill_docs import MAIN, NPC, NPC_PHOTOS, NPC_WIDE, ROOT

pages = pytest.mark.parametrize("page", fill_docs.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
AHEAD, BEHIND, TIE = "ahead", "behind", "tie"


@pages
def test_tables_are_those_of_the_reports_and_registries(page):
    text = page.read_text(encoding="utf-8")
    assert fill_docs.filled(text) == text, "python scripts/fill_docs.py writes them anew"


@pages
def test_no_table_of_results_is_written_by_hand(page):
    assert "±" not in fill_docs.MARKED.sub("", page.read_text(encoding="utf-8")).replace("mean ± sd", "")


def report(name):
    return json.loads((ROOT / "reports" / name / "record.json").read_text())


def verdicts(name):
    """The word of each verdict, by its claim."""
    return {verdict["claim"]: verdict["word"] for verdict in report(name)["verdicts"]}


@cache
def computed(table):
    return fill_docs.COMPUTED[table]()


def words(table, row):
    """Ahead, behind or tie, for each column of a row."""
    return [cell.split()[1] for cell in computed(table).loc[row]]


def number(table, row, column):
    return computed(table).loc[row, column].split()[0]


def csv(name):
    return pd.read_csv(ROOT / "reports" / name, index_col=0)


def mean(name, variant, metric="mAP@R (hits)", **tags):
    """The mean over seeds, as the tables print it."""
    frame = fill_docs.select(fill_docs.values(name), metric, **tags)
    return f"{frame[frame.variant == variant].value.mean():.3f}".removeprefix("0")


def over_tau(name):
    return {tau: words("npc-differences-over-tau", f"{name}, tau {tau}") for tau in ("0.1", "0.2", "0.3", "0.5")}


def teacher(name, metric, direction):
    return f"{report(name)['teacher'][direction][metric]:.3f}".removeprefix("0")


def student_is_below(control):
    """Whether every row that is no frozen teacher is below ``control`` in every column, by the means."""
    frame = fill_docs.select(fill_docs.values(MAIN), bits=64)
    means = frame.groupby(["metric", "direction", "variant"]).value.mean().unstack()
    students = means[[name for name in means if not name.startswith("teacher")]]
    return (students.max(axis=1) < means[control]).all()


def ratio(bits, row):
    times = csv("cost/scenes-clip-32-64-128bits-demo/table-search.csv")[f"{bits} bits"]
    return f"{times.iloc[row] / times.iloc[0]:.1f}"


HAMMING, FLOAT = 1, 3  # rows of the search times
LOST = "low_bits/scenes-clip-clip-wide-8-16-64bits-demo/table-loss.csv"
MULTIHOT, RAW, IDENTITY = "multi-hot labels", "teacher without NPC", "identity"

README = {
    "**identity** and **teacher without NPC**: this holds here, in both directions and by both metrics.": lambda: (
        words("npc-differences", IDENTITY) == words("npc-differences", RAW) == [AHEAD] * 4
    ),
    "this holds in i2t by mAP@500 (hits). In t2i *with NPC* is behind; by mAP@all it is behind in both directions.": lambda: (
        words("npc-differences", MULTIHOT) == [AHEAD, BEHIND, BEHIND, BEHIND]
    ),
    "trailed the identity matrix in t2i ([model card](dcmq/networks/weights/MODEL_CARD.md))": lambda: (
        "led the identity matrix in i2t and trailed it in t2i"
        in (ROOT / "dcmq" / "networks" / "weights" / "MODEL_CARD.md").read_text()
    ),
}
RESULTS = {
    "reaches mAP@500 (hits) {} in i2t and {} in t2i.": lambda: [
        teacher(NPC, "mAP@500 (hits)", direction) for direction in ("i2t", "t2i")
    ],
    "Against the **identity matrix** the order holds in all four columns.": lambda: (
        words("npc-differences", IDENTITY) == [AHEAD] * 4
    ),
    "Against the **teacher without NPC** it holds in all four columns.": lambda: (
        words("npc-differences", RAW) == [AHEAD] * 4
    ),
    "it holds in one of four: in i2t by mAP@500 (hits). In t2i, and by mAP@all in both directions, *with NPC* is behind.": lambda: (
        words("npc-differences", MULTIHOT) == [AHEAD, BEHIND, BEHIND, BEHIND]
    ),
    'The verdict "holds" of the [report]': lambda: verdicts(NPC)["teacher with NPC > multi-hot labels"] == "holds",
    "a lead of {} in i2t and a deficit of {} in t2i.": lambda: [
        number("npc-differences", MULTIHOT, "mAP@500 (hits) i2t").removeprefix("+"),
        number("npc-differences", MULTIHOT, "mAP@500 (hits) t2i").removeprefix("-"),
    ],
    "Here *with NPC* is ahead of multi-hot labels in three of four columns.": lambda: (
        words("npc-differences-unseen", MULTIHOT).count(AHEAD) == 3
    ),
    "**identity**: *with NPC* is ahead at every temperature tried.": lambda: (
        set(map(tuple, over_tau(IDENTITY).values())) == {(AHEAD,) * 4}
    ),
    "*with NPC* is ahead at every temperature in t2i. In i2t it is ahead at 0.2, 0.3 and 0.5, and a tie at 0.1.": lambda: (
        over_tau(RAW) == {"0.1": [TIE, AHEAD, TIE, AHEAD]} | dict.fromkeys(("0.2", "0.3", "0.5"), [AHEAD] * 4)
    ),
    "at 0.1 *with NPC* is ahead in one column and ties in three; at 0.5 it is behind in all four.": lambda: (
        sorted(over_tau(MULTIHOT)["0.1"]) == [AHEAD, TIE, TIE, TIE] and over_tau(MULTIHOT)["0.5"] == [BEHIND] * 4
    ),
    "three of four differences are ties": lambda: words("npc-differences-wide", RAW).count(TIE) == 3,
    "1,319 photos of MS COCO train2014": lambda: (
        report(NPC_PHOTOS)["runs"][0]["dataset"]["choices"]["pictures"] == 1319
    ),
    "219 queries and a gallery of 1,100, all of it trained on; chance is {}.": lambda: [
        f"{report(fill_docs.MAIN_PHOTOS)['chance']:.2f}".removeprefix("0")
    ],
    "(mAP@all {} in i2t, {} in t2i)": lambda: [
        teacher(NPC_PHOTOS, "mAP@all", direction) for direction in ("i2t", "t2i")
    ],
    "It is ahead of the teacher *without NPC* in t2i, and a tie in i2t. Multi-hot labels are far ahead of it in both.": lambda: (
        words("npc-differences-photos", RAW) == [TIE, AHEAD]
        and words("npc-differences-photos", MULTIHOT) == [BEHIND] * 2
        and words("npc-differences-photos", IDENTITY) == [AHEAD] * 2
    ),
    "It leads CMHH in one of four columns, and CMMQ in i2t only": lambda: (
        words("main-differences", "CMHH").count(AHEAD) == 1
        and words("main-differences", "CMMQ") == [AHEAD, BEHIND, AHEAD, BEHIND]
    ),
    "It does not change their overlap. It does make the target sharper.": lambda: (
        verdicts("similarity_histograms/scenes-clip-clip-wide")[
            "clip: NPC makes relevant and irrelevant pairs overlap less"
        ]
        == "does not hold"
        and verdicts("similarity_histograms/scenes-clip-clip-wide")["clip: NPC gives a target of fewer texts"]
        == "holds"
    ),
    "A tie at 32, 64 and 128 bits, in both forms of Eq. 5.": lambda: (
        set(verdicts("ablation_pqg/scenes-clip-32-64-128bits-demo").values()) == {"a tie"}
    ),
    "It raises the entropy of their use in some conditions, and lowers it in others.": lambda: (
        {"holds", "does not hold"}
        <= {word for claim, word in verdicts("codewords/scenes-clip-64bits-demo").items() if "raises entropy" in claim}
    ),
    "**Joint training beats separate training.** A tie.": lambda: (
        verdicts("separate_training/scenes-clip-64bits-demo")["joint > separate"] == "a tie"
    ),
    "both trained from scratch, are behind the small ResNet.": lambda: (
        list(verdicts("backbones/scenes-clip-64bits-demo").values()) == ["does not hold", "does not hold", "holds"]
    ),
    "It is behind by {}.": lambda: re.findall(
        r"difference -0(\.\d+)", report("teacher_finetuning/scenes-clip-64bits-demo")["verdicts"][0]["detail"]
    ),
    "They rank worse, at every length.": lambda: (
        {
            word
            for claim, word in verdicts("cost/scenes-clip-32-64-128bits-demo").items()
            if "codes rank better than the teacher" in claim
        }
        == {"does not hold"}
    ),
    "At 32 bits they are. At 64 bits they are {} times smaller, at 128 bits {} times": lambda: [
        csv("cost/scenes-clip-32-64-128bits-demo/table-storage.csv")
        .loc[f"DCMQ {bits} bits, codes", "smaller than the teacher"]
        .removesuffix(" x")
        for bits in (64, 128)
    ],
}
METHODS = {
    "Against **PQ, OPQ, DCMH, SSAH and DCH-SCR** the claim holds in all four columns.": lambda: all(
        words("main-differences", name) == [AHEAD] * 4 for name in ("PQ", "OPQ", "DCMH", "SSAH", "DCH-SCR")
    ),
    "it holds in i2t by mAP@500 (hits). In t2i the two tie, and by mAP@all DCMQ is behind in i2t.": lambda: (
        words("main-differences", "CMHH") == [AHEAD, TIE, BEHIND, TIE]
    ),
    "Against **CMMQ** it holds in i2t. In t2i DCMQ is behind by both metrics.": lambda: (
        words("main-differences", "CMMQ") == [AHEAD, BEHIND, AHEAD, BEHIND]
    ),
    "DCMQ is ahead of both in all columns but one:": lambda: (
        (words("main-differences-unseen", "CMHH") + words("main-differences-unseen", "CMMQ")).count(AHEAD) == 7
    ),
    "is ahead of every student in every column, even when it reads the students' own tags": lambda: all(
        map(student_is_below, ("teacher-OPQ-labels", "teacher-OPQ-captions", "teacher-OPQ-tags"))
    ),
    "reaches mAP@500 (hits) {} in i2t and {} in t2i": lambda: [
        mean("backbones/scenes-clip-64bits-demo", "small_clip (pretrained: clip)", direction=direction)
        for direction in ("i2t", "t2i")
    ],
    "DCMQ is behind CMMQ and CMHH in both directions, and behind DCH-SCR in i2t.": lambda: (
        words("main-differences-photos", "CMMQ") == words("main-differences-photos", "CMHH") == [BEHIND] * 2
        and words("main-differences-photos", "DCH-SCR") == [BEHIND, TIE]
    ),
    "Codes of CMHH score {} higher in mAP@500 (hits) than in mAP@all": lambda: [
        f"{csv(f'{MAIN}/table-metric.csv').loc['CMHH', 'difference']:.3f}".removeprefix("0")
    ],
}
SEARCH = {
    "At 64 bits the exact ranking is {} times as fast as a Hamming scan of as many bytes, and {} times as fast as the embeddings.": lambda: [
        ratio(64, HAMMING),
        ratio(64, FLOAT),
    ],
    "At 128 bits it is {} times as fast as the Hamming scan, and {} times as fast as the embeddings.": lambda: [
        ratio(128, HAMMING),
        ratio(128, FLOAT),
    ],
    "from 64 to 16 bits the student of `clip` loses {} in i2t and {} in t2i by mAP@500 (hits), from 64 to 8 bits {} and {}": lambda: [
        f"{csv(LOST).loc['clip', f'{bits} bits {direction}']:.3f}".removeprefix("0")
        for bits in (16, 8)
        for direction in ("i2t", "t2i")
    ],
}
SENTENCES = [
    pytest.param(page, sentence, fact, id=f"{page}: {sentence[:50]}")
    for page, sentences in (
        ("README.md", README),
        ("docs/results.md", RESULTS),
        ("docs/methods.md", METHODS),
        ("docs/search.md", SEARCH),
    )
    for sentence, fact in sentences.items()
]


@pytest.mark.parametrize(("page", "sentence", "fact"), SENTENCES)
def test_sentences_follow_from_the_values(page, sentence, fact):
    """``fact`` is whether a sentence is true, or the numbers that stand in it."""
    values = fact()
    sentence = sentence.format(*values) if isinstance(values, list) else sentence
    assert values and sentence in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_npc_over_the_wide_teacher_has_the_words_of_its_report():
    assert verdicts(NPC_WIDE)["teacher with NPC > identity"] == "holds"


def test_every_data_set_and_population_has_a_row():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    names = {full_name(name, p) for name, entry in DATASETS.items() for p in entry.populations or ("",)}
    assert set(re.findall(r"^\| `([\w:]+)` \|", fill_docs.MARKED.sub("", text), re.M)) == names

"""What the pages say of results: tables and sentences are made from the reports, and no result stands elsewhere."""

import re

import pytest

from dcmq.data.catalog import full_name
from dcmq.data.datasets import DATASETS
from scripts import fill_docs
from scripts.fill_docs import ROOT, TABLE, TEXT

pages = pytest.mark.parametrize("page", fill_docs.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
# Numbers like a result's: .512, +.03, 0.512. Settings (.05 of a test, ±.01 of a margin, learning rates) stand in the list below.
RESULT = re.compile(r"(?<![\d\w/])[+-]?0?\.\d{2,}\b")
SETTINGS = {".05", ".01", "0.01", "0.05", "0.03", ".051"}
ORDER = re.compile(r"\b(is|are) (far )?(ahead|behind|better|worse)\b|\b(leads?|beats?|outperforms?)\b")
CLAIMED = ("paper", "says", "claim")  # a sentence on what the paper says is no result of ours


def by_hand(text: str) -> str:
    """A page without its generated tables and sentences, and without code."""
    return re.sub(r"```.*?```", "", TEXT.sub("", TABLE.sub("", text)), flags=re.DOTALL)


@pages
def test_tables_and_sentences_are_those_of_the_reports_and_registries(page):
    text = page.read_text(encoding="utf-8")
    assert fill_docs.filled(text) == text, "python scripts/fill_docs.py writes them anew"


@pages
def test_no_result_is_written_by_hand(page):
    rest = by_hand(page.read_text(encoding="utf-8")).replace("mean ± sd", "")
    found = {number for number in RESULT.findall(rest) if number not in SETTINGS}
    assert not found and "± ." not in rest


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "docs/methods.md"])
def test_no_order_of_results_is_written_by_hand(page):
    rest = by_hand((ROOT / page).read_text(encoding="utf-8"))
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.:;])\s", rest)]
    assert not [s for s in sentences if ORDER.search(s) and not any(word in s for word in CLAIMED)]


def test_a_result_by_hand_is_noticed():
    assert RESULT.findall("it reaches .512 and +.03, 0.437, not 1.25 or v0.12.1") == [".512", "+.03", "0.437"]
    assert ORDER.search("DCMQ is far ahead of it") and ORDER.search("it beats every student")


def test_the_words_of_a_verdict_say_what_they_combine():
    part = {"word": "holds", "direction": "i2t", "metric": "mAP@all"}
    places = [part | {"direction": d, "metric": m} for d in ("i2t", "t2i") for m in ("mAP@R (hits)", "mAP@all")]
    assert fill_docs.in_words(places) == "holds in both directions, by both metrics"
    places[2]["word"] = "undecided"
    assert fill_docs.in_words(places) == (
        "holds in i2t by mAP@500 (hits), i2t by mAP@all and t2i by mAP@all; undecided in t2i by mAP@500 (hits)"
    )


def test_every_data_set_and_population_has_a_row():
    names = {f"`{full_name(name, population)}`" for name, entry in DATASETS.items() for population in entry.populations}
    assert set(fill_docs.datasets_table().index) == names
